# Behaviour on a terminal, with a real pty.
# shellcheck shell=bash
flake fsh /bin/sh --opt -ti
flake fshres /bin/sh --resume
for name in fsh fshres; do check_python pty_test $name; done
flake-ctl podman stop fshres >/dev/null
run bash -c 'fsh -c "printf x" | od -An -c'
check "pipes stay clean although the definition says -ti" [ "$(tr -d ' \n' <"$out")" = x ]
