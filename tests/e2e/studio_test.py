"""Drives flake-studio through a terminal: wizard, Ctrl-C there and in a build.

studio_test.py DIRECTORY PROJECT. Prints "ok NAME" or "FAILED NAME"."""
import os
import signal
import sys

import terminal
from terminal import Terminal

DIR, PROJECT = sys.argv[1], sys.argv[2]


def start(cwd, *args):
    return Terminal("flake-studio", *args, cwd=cwd)


def report(name, good, t):
    terminal.report("terminal: " + name, good, t)


def nothing():
    return os.listdir(DIR) == []


QUESTIONS = [("[1.0.0]", "2.0"), ("What it is", "It's $(a) wizard"), ("Home page", ""),
             ("Name of the maintainer", "Ann Mage"), ("Mail address", "ann@example.org"), ("Licence", "MIT")]


def wizard():
    for name, key, code in (("Ctrl-C in the wizard", "\x03", 130), ("end of input", "\x04", 1)):
        t = start(DIR, "new", "wiz")
        t.answer(*QUESTIONS[:2])
        t.expect("Home page")
        t.type(key)
        got = t.status()
        report(f"{name}: exit {code}, nothing left", got == code and nothing() and t.sane(), t)
    t = start(DIR, "new", "wiz")
    t.answer(*QUESTIONS, ("Is this right?", "n"))
    report("no: exit 1, nothing left", t.status() == 1 and nothing(), t)
    t = start(DIR, "new", "wiz")
    good = t.answer(("[1.0.0]", "1-1"), ("(no revision)", "2.0"), *QUESTIONS[1:], ("Is this right?", "y"))
    report("new asks, refuses and makes", good and t.status() == 0 and os.listdir(DIR) == ["wiz"], t)
    text = open(os.path.join(DIR, "wiz/src/options.yaml")).read()
    report("what was answered is in options.yaml", "It's $(a) wizard" in text and '"2.0"' in text, t)
    t = start(os.path.join(DIR, "wiz"), "init")
    report("init asks nothing that options.yaml says", t.status() == 0 and b"nothing to do" in t.seen, t)
    t = start(DIR, "new", "wiz")
    report("new asks nothing where it cannot make", t.status() == 1 and b"there already" in t.seen, t)


def build():
    before = sorted(os.listdir(os.path.join(PROJECT, "out")))
    t = start(PROJECT, "build")
    good = t.expect("waiting")
    t.type("\x03")
    report("Ctrl-C while build.sh runs: exit 130", good and t.status() == 130 and t.sane(), t)
    report("and out/ is as it was", sorted(os.listdir(os.path.join(PROJECT, "out"))) == before, t)
    os.unlink(os.path.join(PROJECT, "wait"))
    t = start(PROJECT, "build")
    good = t.expect("dpkg-buildpackage")
    t.kill(signal.SIGINT)
    report("SIGINT while packages are made: exit 130", good and t.status() == 130, t)
    report("and out/ is as it was then", sorted(os.listdir(os.path.join(PROJECT, "out"))) == before, t)


wizard()
build()
