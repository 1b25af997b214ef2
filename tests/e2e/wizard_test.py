"""Drives flake-ctl build's wizard through a pty: the paths of its questions.

wizard_test.py OUTPUT IMAGE. Prints "ok NAME" or "FAILED NAME"."""
import os
import pty
import select
import sys
import termios
import time

OUT, IMAGE = sys.argv[1], sys.argv[2]
# Seconds that something may take which is sure to come.
PATIENCE = float(os.environ.get("PATIENCE", "300"))
ARGS = ["flake-ctl", "build", "--builder", "dpkg", "--from-oci=" + IMAGE]


class Session:
    def __init__(self, *more):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(ARGS[0], ARGS + ["-o", OUT, *more])
        self.before = termios.tcgetattr(self.fd)

    def expect(self, text, seconds=PATIENCE):
        end = time.time() + seconds
        while text.encode() not in self.seen and time.time() < end:
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if ready:
                try:
                    data = os.read(self.fd, 4096)
                except OSError:
                    break
                if not data:
                    break
                self.seen += data
        found = text.encode() in self.seen
        # What comes next counts, not what was.
        self.seen = self.seen[self.seen.find(text.encode()) + len(text):] if found else self.seen
        return found

    def answer(self, *pairs):
        return all([self.expect(text) and self.type(word) for text, word in pairs])

    def type(self, word):
        os.write(self.fd, word.encode() + b"\n")
        return True

    def status(self, seconds=PATIENCE):
        end = time.time() + seconds
        while time.time() < end:
            done, value = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(value)
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            if ready:
                try:
                    self.seen += os.read(self.fd, 4096)
                except OSError:
                    pass
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        return None

    def sane(self):
        return termios.tcgetattr(self.fd) == self.before


def report(name, good, session=None):
    print("ok" if good else "FAILED", "wizard:", name, flush=True)
    if not good and session:
        print("    seen:", session.seen[-600:], flush=True)


def nothing():
    return os.listdir(OUT) == []


ALL = [("Name of the package", "wiz"), ("Version of the package", "2.0"), ("What it is", "A wizard's work"),
       ("Home page", ""), ("Name of the maintainer", "Ann Mage"), ("Mail address", "ann@example.org"),
       ("Licence", "MIT"), ("Path of the command", "/usr/bin/wiz")]


def main():
    s = Session()
    good = s.answer(*ALL) and s.expect("Is this right?")
    report("asks for everything and shows it", good, s)
    s.type("n")
    report("n leaves it: exit 1, nothing made", s.status() == 1 and nothing() and s.sane(), s)

    s = Session("-a", "/usr/bin/wiz")
    good = s.answer(("[wiz]", "Bad Name"), ("begins with a-z or 0-9", "wiz"), ("[1.0.0]", "1-2"),
                    ("(no revision)", ""), ("What it is", ""), ("must not be empty", "Works"),
                    ("Home page", "ftp://x"), ("http or https", "example.com"), ("Name of the maintainer", "A <b>"),
                    ("must not hold", "Ann"), ("Mail address", "ann"), ("name@example.org", "ann@example.org"),
                    ("Licence", "MIT"))
    report("refuses on the spot, with the reason, and asks again", good, s)
    good = s.expect("https://example.com") and s.answer(("Is this right?", "99"), ("neither y nor n", "3"),
                                                       ("[Works]", "Works well"), ("Works well", "y"))
    report("a number changes an answer", good, s)
    report("y builds it", s.status() == 0 and "wiz_1.0.0_all.deb" in os.listdir(OUT), s)
    for name in os.listdir(OUT):
        os.unlink(os.path.join(OUT, name))

    for name, key, code in (("Ctrl-C at a question", b"\x03", 130), ("end of input", b"\x04", 1)):
        s = Session()
        s.answer(*ALL[:2])
        s.expect("What it is")
        os.write(s.fd, key)
        got = s.status()
        report(f"{name}: exit {code}, nothing left", got == code and nothing() and s.sane(), s)

    s = Session("-a", "/usr/bin/wiz", "--name", "wiz", "--version", "1", "--description", "d", "--license", "MIT",
                "--maintainer-name", "A", "--maintainer-email", "a@b.de", "--url", "https://a.de", "--dry-run")
    report("asks nothing that is known", s.status() == 0 and b"?" not in s.seen and nothing(), s)

    s = Session("--ci")
    report("--ci asks nothing on a terminal either", s.status() == 2 and nothing(), s)


main()
