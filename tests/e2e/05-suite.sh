# The suite itself: topics that hang or break off, and callers that ignore signals.
# shellcheck shell=bash disable=SC2016
S=$T/suite
mkdir -p "$S/scratch"
touch "$S/scratch/prepared"
topic() { cat >"$S/$1.sh"; }
# A run of these topics in this sandbox, with a scratch directory of its own.
inner() { FLAKE_SANDBOX=$S tests/e2e/run "${@/#/"../..$up$S/"}"; }
up=$(tr -dc / <<<"$ROOT" | sed 's,/,/..,g')

topic fine <<'SH'
check "all is fine" true
SH
topic hang <<'SH'
check "the first" true
(setsid sleep 3601 &)
run sleep 3602
check "the second" true
SH
topic breaks-off <<'SH'
check "another first" true
echo "$no_such_variable"
SH
topic signals <<'SH'
fresh_set=0000000000000000
# 32 and 33 are libc's own: no program can reset them.
check "nothing is ignored or blocked" [ "$(sed -n 's/^Sig[BI][lg][kn]:\s*//p' /proc/self/status |
	sed 's/[01][08]0000000$/000000000/' | xargs)" = "$fresh_set $fresh_set" ]
check "nothing comes on standard input" [ "$(readlink /proc/$$/fd/0)" = /dev/null ]
check "a flake starts, and ends by a signal" eval 'flake fsig /bin/sh && run fsig -c "kill -PIPE \$\$" && rc_is 141'
check "a topic has no terminal" [ "$(cut -d' ' -f7 /proc/$$/stat)" = 0 ]
SH

for limit in 5 50 500; do
	FLAKE_LIMIT=$limit run inner hang fine
	! out_has 'after "the first": sleep 3602' || break
done
check "a topic that hangs is told, with the check and the command" \
	grep -q "^HUNG .*hang.sh: not done after $limit s, in: after \"the first\": sleep 3602" "$out"
check "all that it started is ended" bash -c "! pgrep -f 'sleep 360[12]'"
check "it is a failure, what it had done counts, and the next topic runs" out_has "2 passed, 1 failed, 0 skipped"
check "so the run has failed" rc_is 1
run inner breaks-off fine
check "a topic that breaks off is a failure" [ "$rc" = 1 -a "$(tail -n 1 "$out")" = "2 passed, 1 failed, 0 skipped" ]
check "which is told" out_has "breaks-off.sh did not come to its end"

for how in "trap '' HUP INT QUIT TERM PIPE CHLD USR1 USR2; \"\$@\"" 'nohup "$@" & wait $!' '"$@" <&-' \
	'"$@" </dev/null | cat; exit "${PIPESTATUS[0]}"' 'setsid -w "$@"' 'yes | "$@"' \
	'script -qec "bash tests/e2e/run $2" /dev/null </dev/null'; do
	run env FLAKE_SANDBOX="$S" bash -c "$how" bash tests/e2e/run "../..$up$S/signals"
	check "a caller's way: $how" bash -c "tr -d '\r' <'$out' | tail -n 1 | grep -qx '4 passed, 0 failed, 0 skipped'"
done
flake-ctl podman remove --app /usr/bin/fsig
