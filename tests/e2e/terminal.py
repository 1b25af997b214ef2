"""A program on a pseudo-terminal, and what it writes there."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

# Seconds that something may take which is sure to come.
PATIENCE = float(os.environ.get("PATIENCE", "300"))


class Terminal:
    def __init__(self, *argv, rows=33, cols=77, cwd=None):
        """Starts the program. Its terminal has its size by then."""
        self.seen = b""
        self.ended = False
        go, gate = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(gate)
            os.read(go, 1)
            if cwd:
                os.chdir(cwd)
            os.execvp(argv[0], argv)
        self.set_size(rows, cols)
        self.before = termios.tcgetattr(self.fd)
        os.close(go)
        os.close(gate)

    def set_size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def close(self):
        os.close(self.fd)
        self.ended = True

    def read(self, seconds):
        """Waits at most that long for something to read. Says whether there was something."""
        if self.ended:
            time.sleep(seconds)
            return False
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        self.ended = not data
        return not self.ended

    def expect(self, text, seconds=PATIENCE):
        """Waits for the text. What stands behind it is left for the next question."""
        text = text.encode()
        end = time.monotonic() + seconds
        while text not in self.seen and not self.ended and time.monotonic() < end:
            self.read(0.2)
        before, found, rest = self.seen.partition(text)
        self.seen = rest if found else before
        return bool(found)

    def type(self, text):
        """Always true, for chains of questions and answers."""
        os.write(self.fd, text.encode())
        return True

    def answer(self, *pairs):
        """Types a line after each of these texts."""
        return all(self.expect(text) and self.type(word + "\n") for text, word in pairs)

    def kill(self, sig):
        os.kill(self.pid, sig)

    def status(self, seconds=PATIENCE):
        """The exit status, -N of signal N, None: killed because it did not end. All is read."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, value = os.waitpid(self.pid, os.WNOHANG)
            if done:
                while not self.ended and self.read(0):
                    pass
                return os.waitstatus_to_exitcode(value)
            self.read(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def sane(self):
        """Is the terminal as it was at the beginning?"""
        return termios.tcgetattr(self.fd) == self.before


def report(name, good, terminal=None):
    """A line of what the test has found, with what was seen last where that is not good."""
    print("ok" if good else "FAILED", name, flush=True)
    if not good and terminal:
        print("seen:", terminal.seen[-600:], flush=True)
