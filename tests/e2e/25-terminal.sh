# Behaviour on a terminal, with a real pty.
# shellcheck shell=bash
flake fsh /bin/sh --opt -ti
flake fshres /bin/sh --resume
for name in fsh fshres; do
	while read -r word name; do
		case $word in
		ok) check "$name" true ;;
		FAILED) rc=1; check "$name" false ;;
		esac
	done < <(python3 tests/e2e/pty_test.py $name 2>"$err")
	check "the pty test ran to its end" [ ! -s "$err" ]
done
flake-ctl podman stop fshres >/dev/null
run bash -c 'fsh -c "printf x" | od -An -c'
check "pipes stay clean although the definition says -ti" [ "$(tr -d ' \n' <"$out")" = x ]
