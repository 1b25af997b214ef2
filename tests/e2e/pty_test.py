"""Drives the flake FLAKE (a shell) through a terminal: size, resize, Ctrl-C, Ctrl-Z.

Prints "ok NAME" or "FAILED NAME"."""
import sys
import time

import terminal
from terminal import PATIENCE, Terminal


def report(name, good, t=None):
    terminal.report(f"{sys.argv[1]}: {name}", good, t)


def is_resized(t):
    """The app may be faster than crun, which looks for resizes only when it has started it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        t.set_size(44, 98)
        t.set_size(44, 99)
        if t.expect("44 99", 1):
            return True
    return False


def main(flake):
    t = Terminal("/bin/echo", "one two")
    report("one read of this test may answer two of its questions", t.expect("one") and t.expect("two"), t)

    t = Terminal(flake, "-c", "stty size; echo done; read x")
    report("the app sees the terminal's size", t.expect("33 77"), t)
    t.type("\n")
    report("and ends with 0", t.status() == 0, t)

    t = Terminal(flake, "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    report("a resize arrives", t.expect("ready") and is_resized(t), t)
    t.type("\x03")
    report("Ctrl-C ends it with 130", t.status() == 130, t)

    t = Terminal(flake, "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
    t.expect("ready")
    t.type("\x03")
    report("Ctrl-C reaches a handler of the app", t.expect("caught") and t.status() == 9, t)

    t = Terminal(flake, "-c", "echo ready; read x; echo got-$x")
    t.expect("ready")
    # The terminal of the app echoes it when it has come there.
    t.type("\x1a")
    echoed = t.expect("^Z")
    t.type("word\n")
    report("Ctrl-Z leaves the app running", echoed and t.expect("got-") and t.status() == 0, t)

    t = Terminal(flake, "-c", "echo ready; exec sleep 3600")
    t.expect("ready")
    t.type("\x03")
    report("Ctrl-C ends an app that does not handle it", t.status() == 130, t)


if __name__ == "__main__":
    main(sys.argv[1])
