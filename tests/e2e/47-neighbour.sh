# What a hostile image or another user of the same host could do.
# shellcheck shell=bash disable=SC2016
state=/run/flakes/0
wait_for() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; return 1; }

# Labels of an image never count, neither in a flake's container nor in a plain one.
mkdir -p "$T/labels"
cat >"$T/labels/Containerfile" <<C
FROM $IMAGE
LABEL flake-pilot.key=../../../etc/victim flake-pilot.flake=fvictim flake-pilot.instance=x
LABEL flake-pilot.definition=x flake-pilot.composed=x flake-pilot.run=x
C
podman build -q -t localhost/labels "$T/labels" >/dev/null 2>&1
touch /etc/victim.run
flake fvictim /bin/sleep --resume
flake-ctl podman register --force --container localhost/labels --app /usr/bin/flabels --target /bin/sleep --opt "--net none"
fvictim 0 </dev/null
victim=$(sed -n 's/^id //p' $state/fvictim.run)
flabels 600 </dev/null & pid=$!
plain=$(podman run --detach --rm --net none localhost/labels /bin/sleep 600)
own=
wait_for eval 'own=$(podman ps -q --filter label=flake-pilot.flake=flabels); [ -n "$own" ]'
run flake-ctl podman show --format csv
check "a flake's container is the flake's, whatever its image says" bash -c "grep -q '^flabels,,$own' '$out'"
check "a plain container of such an image is nobody's" bash -c "! grep -q ${plain:0:12} '$out' && grep -q ^fvictim,,$victim '$out'"
run flake-ctl podman stop fvictim
check "stop ends what the flake started, and nothing else" bash -c "[ '$(cat "$out")' = 'stopped fvictim' ] && podman container exists $plain"
run flake-ctl podman stop --all
check "stop --all, too" bash -c "[ '$(cat "$out")' = 'stopped flabels' ] && podman container exists $plain"
check "keys of images name no files of the host" [ -e /etc/victim.run -a ! -e /etc/victim.lock ]
wait $pid
podman rm --force --time 0 "$plain" >/dev/null
rm /etc/victim.run
for f in fvictim flabels; do flake-ctl podman remove --app /usr/bin/$f; done
podman rmi localhost/labels >/dev/null
