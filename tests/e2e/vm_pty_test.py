"""Drives the VM flake FLAKE (a shell) through a terminal: what is special when a VM has to boot first.

Prints "ok NAME" or "FAILED NAME"."""
import os
import signal
import subprocess
import sys
import termios
import time

from pty_test import report
from terminal import PATIENCE, Terminal


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def qemus(*signal_name):
    """Whether a QEMU runs; a signal for it."""
    return subprocess.run(["pkill", *signal_name, "^qemu-system"], check=False).returncode == 0


def no_qemu():
    return wait_for(lambda: not qemus("-0"))


def main(flake):
    # Its VM stands still, so that it goes on booting for ever.
    t = Terminal(flake, "-c", "echo ready; read x")
    wait_for(lambda: qemus("-STOP"))
    t.type("\x03")
    report("Ctrl-C while it boots ends it with 130", t.status() == 130, t)
    report("no engine is left", no_qemu())

    # The terminal outlives its programs only as long as somebody has it open.
    t = Terminal("/bin/sh", "-c", f"stty -a >/tmp/stty.1; {flake} -c 'echo ready; read x'; "
                 "echo rc=$?; stty -a >/tmp/stty.2; cmp /tmp/stty.1 /tmp/stty.2 && echo same")
    t.expect("ready")
    raw = not termios.tcgetattr(t.fd)[3] & termios.ECHO
    report("the terminal is raw while the app runs", raw)
    t.type("\x04")
    report("Ctrl-D is the end of its input", t.expect("rc=1"), t)
    report("the terminal is afterwards as it was", t.expect("same") and t.status() == 0, t)

    for name, sig in (("SIGTERM", signal.SIGTERM), ("SIGHUP", signal.SIGHUP)):
        t = Terminal(flake, "-c", "echo ready; exec sleep 3600")
        t.expect("ready")
        t.kill(sig)
        report(f"{name} on a terminal ends it with 128+N", t.status() == 128 + sig, t)
        t.close()

    t = Terminal(flake, "-c", "echo ready; sleep 3600; sleep 3600")
    t.expect("ready")
    t.close()
    report("it ends when the terminal goes away", t.status() is not None and no_qemu())

    t = Terminal(flake, "-c", "echo TERM=$TERM; tty; echo to-err >&2; exit 6")
    report("TERM is the caller's", t.expect("TERM=vt-test"), t)
    report("there is a terminal", t.expect("/dev/pts/"), t)
    report("standard error is the terminal", t.expect("to-err"), t)
    report("with the exit code", t.status() == 6, t)

    t = Terminal("/bin/sh", "-c", f"{flake} -c 'echo to-err >&2; tty' | cat; "
                 f"{flake} -c 'test -t 0 || echo piped' </dev/null")
    report("with a pipe as output there is none", t.expect("not a tty"), t)
    report("nor with no input", t.expect("piped"), t)
    t.status()


os.environ["TERM"] = "vt-test"
main(sys.argv[1])
