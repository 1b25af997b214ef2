"""Drives flake-ctl build's wizard through a terminal: the paths of its questions.

wizard_test.py OUTPUT IMAGE. Prints "ok NAME" or "FAILED NAME"."""
import os
import sys

import terminal
from terminal import Terminal

OUT, IMAGE = sys.argv[1], sys.argv[2]


def start(*more):
    return Terminal("flake-ctl", "build", "--builder", "dpkg", "--from-oci=" + IMAGE, "-o", OUT, *more)


def report(name, good, t):
    terminal.report("wizard: " + name, good, t)


def nothing():
    return os.listdir(OUT) == []


ALL = [("Name of the package", "wiz"), ("Version of the package", "2.0"), ("What it is", "A wizard's work"),
       ("Home page", ""), ("Name of the maintainer", "Ann Mage"), ("Mail address", "ann@example.org"),
       ("Licence", "MIT"), ("Path of the command", "/usr/bin/wiz")]


def main():
    t = start()
    good = t.answer(*ALL) and t.expect("Is this right?")
    report("asks for everything and shows it", good, t)
    t.type("n\n")
    report("n leaves it: exit 1, nothing made", t.status() == 1 and nothing() and t.sane(), t)

    t = start("-a", "/usr/bin/wiz")
    good = t.answer(("[wiz]", "Bad Name"), ("begins with a-z or 0-9", "wiz"), ("[1.0.0]", "1-2"),
                    ("(no revision)", ""), ("What it is", ""), ("must not be empty", "Works"),
                    ("Home page", "ftp://x"), ("http or https", "example.com"), ("Name of the maintainer", "A <b>"),
                    ("must not hold", "Ann"), ("Mail address", "ann"), ("name@example.org", "ann@example.org"),
                    ("Licence", "MIT"))
    report("refuses on the spot, with the reason, and asks again", good, t)
    good = t.expect("https://example.com") and t.answer(("Is this right?", "99"), ("neither y nor n", "3"),
                                                       ("[Works]", "Works well"), ("Works well", "y"))
    report("a number changes an answer", good, t)
    report("y builds it", t.status() == 0 and "wiz_1.0.0_all.deb" in os.listdir(OUT), t)
    for name in os.listdir(OUT):
        os.unlink(os.path.join(OUT, name))

    for name, key, code in (("Ctrl-C at a question", "\x03", 130), ("end of input", "\x04", 1)):
        t = start()
        t.answer(*ALL[:2])
        t.expect("What it is")
        t.type(key)
        got = t.status()
        report(f"{name}: exit {code}, nothing left", got == code and nothing() and t.sane(), t)

    t = start("-a", "/usr/bin/wiz", "--name", "wiz", "--version", "1", "--description", "d", "--license", "MIT",
              "--maintainer-name", "A", "--maintainer-email", "a@b.de", "--url", "https://a.de", "--dry-run")
    report("asks nothing that is known", t.status() == 0 and b"?" not in t.seen and nothing(), t)

    t = start("--ci")
    report("--ci asks nothing on a terminal either", t.status() == 2 and nothing(), t)


main()
