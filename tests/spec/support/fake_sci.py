#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fake_sci.py --serve FD: the least guest for the spec of Firecracker's stand-in. HELLO; START is
answered with the session's arguments on standard output and EXIT 3, SHUTDOWN with BYE."""
import os
import struct
import sys

fd = int(sys.argv[2])


def send(kind, payload=b"", stream=0, session=0):
    os.write(fd, struct.pack("<IBBH", len(payload), kind, stream, session) + payload)


def take(size):
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


send(1, b"flk1\x01\x00")
arguments = b""
while True:
    length, kind, _, session = struct.unpack("<IBBH", take(8))
    body = take(length)
    if kind == 2:
        arguments += body + b"\n"
    elif kind == 9:
        send(10, arguments, 1, session)
        send(15, struct.pack("<II", 3, 0), 0, session)
    elif kind == 18:
        send(19)
        sys.exit(0)
