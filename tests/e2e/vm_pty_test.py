"""Drives the VM flake FLAKE (a shell) through a pty: what is special when a VM has to boot first.

Prints "ok NAME" or "FAILED NAME"."""
import os
import signal
import subprocess
import sys
import termios
import time

from pty_test import PATIENCE, expect, report, start, status


def wait_for(condition):
    end = time.time() + PATIENCE
    while not condition() and time.time() < end:
        time.sleep(0.05)
    return condition()


def qemus(*signal_name):
    """Whether a QEMU runs; a signal for it."""
    return subprocess.run(["pkill", *signal_name, "^qemu-system"], check=False).returncode == 0


def no_qemu():
    return wait_for(lambda: not qemus("-0"))


def main(flake):
    # Its VM stands still, so that it goes on booting for ever.
    pid, fd = start(flake, "-c", "echo ready; read x")
    wait_for(lambda: qemus("-STOP"))
    os.write(fd, b"\x03")
    report("Ctrl-C while it boots ends it with 130", status(pid) == 130)
    report("no engine is left", no_qemu())

    # The terminal outlives its programs only as long as somebody has it open.
    pid, fd = start("/bin/sh", "-c", f"stty -a >/tmp/stty.1; {flake} -c 'echo ready; read x'; "
                    "echo rc=$?; stty -a >/tmp/stty.2; cmp /tmp/stty.1 /tmp/stty.2 && echo same")
    expect(fd, b"ready")
    raw = not termios.tcgetattr(fd)[3] & termios.ECHO
    report("the terminal is raw while the app runs", raw)
    os.write(fd, b"\x04")
    report("Ctrl-D is the end of its input", expect(fd, b"rc=1"))
    report("the terminal is afterwards as it was", expect(fd, b"same") and status(pid) == 0)

    for name, sig in (("SIGTERM", signal.SIGTERM), ("SIGHUP", signal.SIGHUP)):
        pid, fd = start(flake, "-c", "echo ready; exec sleep 3600")
        expect(fd, b"ready")
        os.kill(pid, sig)
        report(f"{name} on a terminal ends it with 128+N", status(pid) == 128 + sig)
        os.close(fd)

    pid, fd = start(flake, "-c", "echo ready; sleep 3600; sleep 3600")
    expect(fd, b"ready")
    os.close(fd)
    report("it ends when the terminal goes away", status(pid) is not None and no_qemu())

    pid, fd = start(flake, "-c", "echo TERM=$TERM; tty; echo to-err >&2; exit 6")
    report("TERM is the caller's", expect(fd, b"TERM=vt-test"))
    report("there is a terminal", expect(fd, b"/dev/pts/"))
    report("standard error is the terminal", expect(fd, b"to-err"))
    report("with the exit code", status(pid) == 6)

    pid, fd = start("/bin/sh", "-c", f"{flake} -c 'echo to-err >&2; tty' | cat; {flake} -c 'test -t 0 || echo piped' </dev/null")
    report("with a pipe as output there is none", expect(fd, b"not a tty"))
    report("nor with no input", expect(fd, b"piped"))
    status(pid)


os.environ["TERM"] = "vt-test"
main(sys.argv[1])
