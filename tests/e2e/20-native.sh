# A flake behaves like a native command.
# shellcheck shell=bash
flake fprint /bin/printf
flake fcat /bin/cat
flake fsh /bin/sh
flake fdefault /

run fdefault
check "--target / runs the image's own command" out_is default
run fprint '[%s]' 'a b' "it's" '"q"' $'new\nline' '$HOME' '*' '' '@scope/pkg' '%s'
check "arguments arrive byte for byte" [ "$(cat "$out")" = "$(printf '[%s]' 'a b' "it's" '"q"' $'new\nline' '$HOME' '*' '' '@scope/pkg' '%s')" ]
fprint '[%s]' $'\xff\xfe\x80' </dev/null >"$T/got"
check "bytes that are not UTF-8 arrive" cmp -s "$T/got" <(printf '[%s]' $'\xff\xfe\x80')
long=$(head -c 100000 /dev/zero | tr '\0' x)
run fprint %s "$long"
check "an argument of 100 KB arrives" [ "$(wc -c <"$out")" = 100000 ]
long=$(head -c 100000 /dev/zero | tr '\0' '\377')
fprint %s "$long" </dev/null >"$T/got"
check "and one of 100 KB that is no text" [ "$(tr -dc '\377' <"$T/got" | wc -c)" = 100000 ]
long=$(head -c 131000 /dev/zero | tr '\0' x)
run fprint %s "$long"
check "and one of nearly 128 KiB" [ "$(wc -c <"$out")" = 131000 ]
run fprint '@@x'
check "@@x is a literal @x" out_is '@x'
run fprint @inst '%s' hello
check "@instance in front is ours" out_is hello

head -c 67108864 /dev/urandom >"$T/big"
sum=$(sha256sum <"$T/big")
check "64 MiB through stdin and stdout" [ "$(fcat <"$T/big" | sha256sum)" = "$sum" ]
rm "$T/big"
run fsh -c 'echo to-out; echo to-err >&2'
check "stdout is separate" out_is to-out
check "stderr is separate" [ "$(cat "$err")" = to-err ]
for code in 0 1 42 255; do
	run fsh -c "exit $code"
	check "exit code $code" rc_is "$code"
done
run fsh -c 'kill -9 $$'
check "death by signal is 128+N" rc_is 137
run fsh -c 'kill -TERM $$; sleep 600'
check "so is death by SIGTERM" rc_is 143
fcat </dev/zero >/dev/null 2>"$err" & pid=$!
wait_for run_containers 1
kill -TERM $pid; rc=0; wait $pid || rc=$?
check "SIGTERM ends an app that does not handle it" rc_is 143
run bash -c 'timeout $PATIENCE bash -c "fsh -c \"yes\" | head -n 1"'
check "a closed pipe ends it" out_is y
if podman_is 5.7; then
	skip "nothing runs on after it" "podman 5.7 and later die of the closed pipe and leave the container"
	podman kill --all >/dev/null 2>&1
fi
for _ in $(seq 300); do [ -z "$(podman ps --all --quiet)" ] && break; sleep 0.1; done
check "no container is left" [ -z "$(podman ps --all --quiet)" ]
fsh -c 'echo lost' </dev/null >&- 2>"$err"; rc=$?
check "a closed stdout" rc_is 0
run bash -c "timeout $PATIENCE fsh -c 'echo to-err >&2; echo to-out' <&- 2>&-"
check "closed stdin and stderr" out_is to-out
run fsh -c 'tty'
check "no terminal without one" out_is "not a tty"
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fmissing --target /bin/nowhere --opt "--net none"
run fmissing
check "a program that is not in the image: 127" rc_is 127
flake fnoexec /etc/passwd
run fnoexec
check "a program that is not executable: 126" rc_is 126

run podman-pilot
check "called by its own name it explains itself" rc_is 1
check "and says how to use it" err_has register
(exec -a ../fsh /usr/bin/podman-pilot -c 'echo tricked') >"$out" 2>"$err" </dev/null; rc=$?
check "argv[0] with .. is only a base name" out_is tricked
(exec -a '' /usr/bin/podman-pilot) >"$out" 2>"$err" </dev/null; rc=$?
check "an empty argv[0]" rc_is 1
(exec -a ..  /usr/bin/podman-pilot) >"$out" 2>"$err" </dev/null; rc=$?
check "argv[0] '..' is refused" rc_is 126
(exec -a nothing-here /usr/bin/podman-pilot) >"$out" 2>"$err" </dev/null; rc=$?
check "no definition: 127" rc_is 127

fsh @one -c 'sleep 600' </dev/null & one=$!
fsh @two -c 'sleep 600' </dev/null & two=$!
wait_for run_containers 2
run flake-ctl podman show
check "two instances at once are shown" [ "$(grep -cE '^fsh +(one|two) ' "$out")" = 2 ]
check "no process of ours stays beside the app" [ -z "$(pgrep -x podman-pilot)" ]
kill -TERM $one
podman kill --all >/dev/null 2>&1
wait $one $two 2>/dev/null
wait_for no_containers
run flake-ctl podman show --format json
check "nothing is left of them" [ "$(tr -d '[:space:]' <"$out")" = '[]' ]

fsh -c 'trap "echo caught; exit 7" TERM; echo ready; while :; do sleep 0.1; done' >"$out" 2>"$err" </dev/null & pid=$!
wait_for has_line ready "$out"
kill -TERM $pid; rc=0; wait $pid || rc=$?
check "SIGTERM reaches the app" out_has caught
check "the app's answer to it is the status" rc_is 7

for i in $(seq 20); do fsh -c "echo $i" </dev/null >"$T/par.$i" 2>"$T/par.err.$i" & pids[i]=$!; done
good=0
for i in $(seq 20); do
	if wait "${pids[i]}" && [ "$(cat "$T/par.$i")" = "$i" ]; then
		good=$((good + 1))
	else
		sed "s/^/    launch $i: /" "$T/par.err.$i"
	fi
done
check "20 launches in parallel" [ $good = 20 ]
check "nothing is left of those either" [ -z "$(podman ps -aq)" ]

flake fvol /bin/true --opt "--volume /nowhere/at/all:/x"
run fvol
check "a missing volume path fails" rc_is 125
run fvol %ignore_missing_volume_path
check "%ignore_missing_volume_path leaves it out" rc_is 0
run fvol %ignore_missing_volume_path %debug
check "%debug shows the command" err_has "podman run --rm"
GREETING=hi-there flake fenv /bin/env --opt "--env X=%GREETING"
GREETING='two words' run fenv
check "%NAME expands at the call" out_has "X=two words"
flake fhost /bin/echo --opt "--pid host" --opt "--tty=true" --opt "--env -t"
run fhost up
check "options may share the PID namespace and ask for a terminal" out_is up
flake fsystemd /bin/echo --opt "--systemd=always"
run fsystemd up
check "and want to be systemd's" out_is up
