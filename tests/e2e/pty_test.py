"""Drives the flake FLAKE (a shell) through a pty: size, resize, Ctrl-C, Ctrl-Z.

Prints "ok NAME" or "FAILED NAME"."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

# Seconds that something may take which is sure to come.
PATIENCE = float(os.environ.get("PATIENCE", "300"))


def set_size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def start(*argv, rows=33, cols=77):
    sized, told = os.pipe()
    pid, fd = pty.fork()
    if pid == 0:
        # The child waits for its terminal to have its size.
        os.read(sized, 1)
        os.execvp(argv[0], argv)
    set_size(fd, rows, cols)
    os.write(told, b"x")
    os.close(sized)
    os.close(told)
    return pid, fd


def expect(fd, text, seconds=PATIENCE):
    seen = b""
    end = time.time() + seconds
    while text not in seen and time.time() < end:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if ready:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data
    return text in seen


def resize(fd, rows, cols):
    """The app may be faster than crun, which looks for resizes only when it has started it."""
    end = time.time() + PATIENCE
    while time.time() < end:
        set_size(fd, rows, cols - 1)
        set_size(fd, rows, cols)
        if expect(fd, b"%d %d" % (rows, cols), 1):
            return True
    return False


def status(pid, seconds=PATIENCE):
    end = time.time() + seconds
    while time.time() < end:
        done, value = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(value)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def report(name, good):
    print("ok" if good else "FAILED", sys.argv[1] + ":", name, flush=True)


def main(flake):
    pid, fd = start(flake, "-c", "stty size; echo done; read x")
    report("the app sees the terminal's size", expect(fd, b"33 77"))
    os.write(fd, b"\n")
    report("and ends with 0", status(pid) == 0)

    pid, fd = start(flake, "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    expect(fd, b"ready")
    report("a resize arrives", resize(fd, 44, 99))
    os.write(fd, b"\x03")
    report("Ctrl-C ends it with 130", status(pid) == 130)

    pid, fd = start(flake, "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done")
    expect(fd, b"ready")
    os.write(fd, b"\x03")
    report("Ctrl-C reaches a handler of the app", expect(fd, b"caught") and status(pid) == 9)

    pid, fd = start(flake, "-c", "echo ready; read x; echo got-$x")
    expect(fd, b"ready")
    os.write(fd, b"\x1aword\n")
    report("Ctrl-Z leaves the app running", expect(fd, b"got-") and status(pid) == 0)

    pid, fd = start(flake, "-c", "echo ready; exec sleep 3600")
    expect(fd, b"ready")
    os.write(fd, b"\x03")
    report("Ctrl-C ends an app that does not handle it", status(pid) == 130)


if __name__ == "__main__":
    main(sys.argv[1])
