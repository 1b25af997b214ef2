# What a stranger's bundle may do, and what of it is said.
# shellcheck shell=bash
podman run --help >"$T/help"
run lua5.4 tests/e2e/podman_options.lua "$T/help"
check "every option of this podman is read as podman reads it, and judged" rc_is 0
