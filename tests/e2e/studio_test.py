"""Drives flake-studio through a pty: wizard, Ctrl-C there and in a build.

studio_test.py DIRECTORY PROJECT. Prints "ok NAME" or "FAILED NAME"."""
import os
import pty
import select
import signal
import sys
import termios
import time

DIR, PROJECT = sys.argv[1], sys.argv[2]
# Seconds that something may take which is sure to come.
PATIENCE = float(os.environ.get("PATIENCE", "300"))


class Session:
    def __init__(self, cwd, *args):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvp("flake-studio", ["flake-studio", *args])
        self.before = termios.tcgetattr(self.fd)

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        try:
            self.seen += os.read(self.fd, 4096) if ready else b""
        except OSError:
            time.sleep(seconds)

    def expect(self, text, seconds=PATIENCE):
        end = time.time() + seconds
        while text.encode() not in self.seen and time.time() < end:
            self.read(0.2)
        found = self.seen.find(text.encode())
        if found >= 0:
            self.seen = self.seen[found + len(text):]
        return found >= 0

    def answer(self, *pairs):
        return all(self.expect(text) and os.write(self.fd, word.encode() + b"\n") for text, word in pairs)

    def status(self, seconds=PATIENCE):
        end = time.time() + seconds
        while time.time() < end:
            done, value = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(value)
            self.read(0.05)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        return None

    def sane(self):
        return termios.tcgetattr(self.fd) == self.before


def report(name, good, session):
    print("ok" if good else "FAILED", "terminal:", name, flush=True)
    if not good:
        print("    seen:", session.seen[-600:], flush=True)


def nothing():
    return os.listdir(DIR) == []


QUESTIONS = [("[1.0.0]", "2.0"), ("What it is", "It's $(a) wizard"), ("Home page", ""),
             ("Name of the maintainer", "Ann Mage"), ("Mail address", "ann@example.org"), ("Licence", "MIT")]


def wizard():
    for name, key, code in (("Ctrl-C in the wizard", b"\x03", 130), ("end of input", b"\x04", 1)):
        s = Session(DIR, "new", "wiz")
        s.answer(*QUESTIONS[:2])
        s.expect("Home page")
        os.write(s.fd, key)
        got = s.status()
        report(f"{name}: exit {code}, nothing left", got == code and nothing() and s.sane(), s)
    s = Session(DIR, "new", "wiz")
    s.answer(*QUESTIONS, ("Is this right?", "n"))
    report("no: exit 1, nothing left", s.status() == 1 and nothing(), s)
    s = Session(DIR, "new", "wiz")
    good = s.answer(("[1.0.0]", "1-1"), ("(no revision)", "2.0"), *QUESTIONS[1:], ("Is this right?", "y"))
    report("new asks, refuses and makes", good and s.status() == 0 and os.listdir(DIR) == ["wiz"], s)
    text = open(os.path.join(DIR, "wiz/src/options.yaml")).read()
    report("what was answered is in options.yaml", "It's $(a) wizard" in text and '"2.0"' in text, s)
    s = Session(os.path.join(DIR, "wiz"), "init")
    report("init asks nothing that options.yaml says", s.status() == 0 and b"nothing to do" in s.seen, s)
    s = Session(DIR, "new", "wiz")
    report("new asks nothing where it cannot make", s.status() == 1 and b"there already" in s.seen, s)


def build():
    before = sorted(os.listdir(os.path.join(PROJECT, "out")))
    s = Session(PROJECT, "build")
    good = s.expect("waiting")
    os.write(s.fd, b"\x03")
    report("Ctrl-C while build.sh runs: exit 130", good and s.status() == 130 and s.sane(), s)
    report("and out/ is as it was", sorted(os.listdir(os.path.join(PROJECT, "out"))) == before, s)
    os.unlink(os.path.join(PROJECT, "wait"))
    s = Session(PROJECT, "build")
    good = s.expect("dpkg-buildpackage")
    os.kill(s.pid, signal.SIGINT)
    report("SIGINT while packages are made: exit 130", good and s.status() == 130, s)
    report("and out/ is as it was then", sorted(os.listdir(os.path.join(PROJECT, "out"))) == before, s)


wizard()
build()
