# flake-ctl against the real podman and a real registry.
# shellcheck shell=bash
start_registry
podman push -q "$IMAGE" "$REGISTRY/tools/busybox:1.0" 2>/dev/null
podman rmi "$REGISTRY/tools/busybox:1.0" >/dev/null 2>&1
podman tag "$IMAGE" localhost/untouched:1

run flake-ctl podman pull --uri "$REGISTRY/tools/busybox:1.0"
check "pull from a registry" rc_is 0
check "pulled image is there" podman image exists "$REGISTRY/tools/busybox:1.0"
check "pull prunes nothing" podman image exists localhost/untouched:1
run flake-ctl podman pull --uri 127.0.0.1:9/this/does/not:exist
check "unreachable registry gives podman's 125" rc_is 125

run flake-ctl podman register --container "$REGISTRY/tools/busybox:1.0" --app /usr/bin/hello --target /bin/echo --opt "--net none"
check "register" rc_is 0
check "definition is written" test -f /usr/share/flakes/hello.yaml
check "definition directory is made" test -d /usr/share/flakes/hello.d
check "command is a link to the pilot" [ "$(readlink /usr/bin/hello)" = /usr/bin/podman-pilot ]
run hello world
check "first flake runs" out_is world
run flake-ctl podman register --container x --app /usr/bin/hello
check "registering again is refused" rc_is 1
check "the refusal names the flake" err_has "flake 'hello' exists already"
run flake-ctl podman register --container x --app /usr/bin/cat --force
check "a foreign file is never replaced" rc_is 1
check "the foreign file still works" [ "$(echo x | /usr/bin/cat)" = x ]
run flake-ctl podman register --container "$IMAGE" --app relative
check "a relative path is wrong usage" rc_is 2
run flake-ctl podman register --container "$IMAGE" --app /opt/deep/er/tool --target /bin/true --opt "--net none"
check "parent directories are made" test -L /opt/deep/er/tool
run /opt/deep/er/tool
check "a command outside PATH runs" rc_is 0
flake-ctl podman remove --app /opt/deep/er/tool
rm -rf /opt/deep

run flake-ctl podman register ubuntu --container "$IMAGE" --app /usr/bin/one --app /usr/bin/two --target / --opt "--net none"
check "one flake, two commands" rc_is 0
run two /bin/echo second
check "the second command runs" out_is second
run flake-ctl podman remove --app /usr/bin/two
check "remove by a command takes the whole flake" [ ! -e /usr/bin/one ] 
check "no alias is left" [ ! -L /usr/share/flakes/one.yaml ]

run flake-ctl podman register --info --container "$IMAGE"
check "--info prints the image's notes" out_is "about: this is busybox"
check "--info leaves no container" [ -z "$(podman ps -aq)" ]

run flake-ctl list
check "list shows the flake" out_has hello
run flake-ctl list --format json
check "list as JSON" python3 -c "import json;d=json.load(open('$out'));assert d[0]['name']=='hello' and d[0]['engine']=='podman'"
run flake-ctl list --format csv
check "list as CSV has a header" out_has name,engine,app,target,image,file,error
echo 'container: [' >/usr/share/flakes/broken.yaml
run flake-ctl list
check "a broken definition hides no other" out_has hello
check "a broken definition is listed" out_has broken
check "its error names file and line" err_has /usr/share/flakes/broken.yaml:
rm /usr/share/flakes/broken.yaml

run flake-ctl explain hello -- 'a b' '*'
check "explain quotes for a shell" out_has "'a b' '*'"
check "explain names the files" out_has /usr/share/flakes/hello.yaml
run bash -c "$(flake-ctl explain hello -- 'a b' '*' | grep -v '^#')"
check "what explain prints runs" out_is 'a b *'

run flake-ctl podman export hello "$T/image.oci"
check "export" rc_is 0
check "export wrote an OCI archive" bash -c "tar -tf '$T/image.oci' | grep -qx oci-layout"
mkdir -p "$T/into"
run flake-ctl podman export hello "$T/into/"
check "export into a directory keeps the image's name" test -f "$T/into/127.0.0.1_5077_tools_busybox_1.0"
check "export leaves no temporary file" [ "$(ls -A "$T/into" | wc -l)" = 1 ]
run flake-ctl podman export nothing "$T/x"
check "exporting what is not there fails" rc_is 1

mkdir -p "$T/load"
podman save -q --format oci-archive -o "$T/load/bb-1.9.tar" "$IMAGE"
podman tag "$IMAGE" localhost/ten:1
podman save -q --format oci-archive -o "$T/load/bb-1.10.tar" localhost/ten:1
podman rmi localhost/ten:1 >/dev/null
run flake-ctl podman load --oci "$T/load/bb"
check "load takes the highest version" podman image exists localhost/ten:1
run flake-ctl podman load --oci "$T/load/none"
check "load of nothing is a clear error" err_has "there is no file"

run flake-ctl podman remove --app /no/where/hello
check "remove wants the command's own path" rc_is 1
check "nothing is removed by a wrong one" [ -e /usr/bin/hello ]
tar -C "$T/tree" -c . | podman import -q --change 'ENV used=1' - localhost/used:1 >/dev/null
run flake-ctl podman register --container localhost/used:1 --app /usr/bin/used --target /bin/true
podman create --name holder localhost/used:1 /bin/true >/dev/null
run flake-ctl podman remove --container localhost/used:1
check "an image in use is not removed" rc_is 1
check "and its flakes stay" [ -e /usr/bin/used ]
podman rm holder >/dev/null
run flake-ctl podman remove --container localhost/used:1
check "they go with it" [ ! -e /usr/bin/used ]
run flake-ctl podman register --container "$IMAGE" --app /usr/bin/untagged --target /bin/true
run flake-ctl podman register --container "$IMAGE:latest" --app /usr/bin/tagged --target /bin/true
podman save -q --format oci-archive -o "$T/keep.oci" "$IMAGE"
run flake-ctl podman remove --container "$IMAGE:latest"
check "remove --container knows the same image by its other name" [ ! -e /usr/bin/untagged -a ! -e /usr/bin/tagged ]
podman load -q -i "$T/keep.oci" >/dev/null
run flake-ctl podman remove --container "$REGISTRY/tools/busybox:1.0"
check "remove --container" rc_is 0
check "its flakes are gone" [ ! -e /usr/bin/hello ]
check "the image is gone" bash -c "! podman image exists $REGISTRY/tools/busybox:1.0"
check "other images stay" podman image exists "$IMAGE"
run flake-ctl podman remove --app /usr/bin/nothing
check "removing what is not there fails" rc_is 1
