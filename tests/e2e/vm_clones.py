#!/usr/bin/env python3
"""vm_clones.py DIR COUNT seed|none: boots a VM, saves it when its init waits for calls, restores it COUNT
times by QEMU's migration, and prints what each clone draws first: a uuid, the boot id, another uuid.
Standard input: QEMU's command line as `flake-ctl explain` shows it for a flake that stays, whose
channel is descriptor 5. seed: each clone gets a SEED as from a pilot (doc/channel.md); none: it gets
none, and many of them are alike."""
import json
import os
import shlex
import socket
import struct
import subprocess
import sys

ARG, SEED, START, DATA, EXIT, FAILED = 2, 8, 9, 10, 15, 16
LIMIT = 180  # seconds for one answer
# The kernel takes up entropy by itself when half of its uptime has passed since the last time. So that
# no clone comes to that, the VM is saved late, just after it has.
SETTLE = ("/bin/sh", "-c", "while read up rest </proc/uptime && [ ${up%.*} -lt 16 ]; do sleep 1; done; "
          "head -c 1 /dev/urandom >/dev/null")
# One process: others would draw in between, here and there.
RANDOM = "/proc/sys/kernel/random/"
DRAW = "/bin/cat", RANDOM + "uuid", RANDOM + "boot_id", RANDOM + "uuid"


class Vm:
    """One QEMU with memory in a file; its channel is descriptor 5, its monitor 7."""

    def __init__(self, argv, memory, share, *more):
        self.channel, channel = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        for end in self.channel, self.monitor:
            end.settimeout(LIMIT)
        argv = list(argv)
        argv[argv.index("-M") + 1] += ",memory-backend=mem"
        size = argv[argv.index("-m") + 1]
        argv += ["-object", f"memory-backend-file,id=mem,mem-path={memory},size={size}M,share={share}",
                 "-chardev", "socket,id=qmp,fd=7", "-mon", "chardev=qmp,mode=control", *more]
        moved = {5: os.dup(channel.fileno()), 7: os.dup(monitor.fileno())}

        def place():
            for to, fd in moved.items():
                os.dup2(fd, to)

        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        preexec_fn=place, pass_fds=(5, 7))
        for fd in (*moved.values(), channel.detach(), monitor.detach()):
            os.close(fd)
        self.answers = self.monitor.makefile()
        self.buffer = b""

    def command(self, name, **arguments):
        self.monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.answers.readline())
            if "error" in answer:
                sys.exit(f"{name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def event(self, status):
        while True:
            answer = json.loads(self.answers.readline())
            if answer.get("event") == "MIGRATION" and answer["data"]["status"] == "failed":
                sys.exit("migration failed")
            if answer.get("event") == "MIGRATION" and answer["data"]["status"] == status:
                return

    def prepare(self):
        self.answers.readline()
        self.command("qmp_capabilities")
        self.command("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in ("x-ignore-shared", "events")])

    def frame(self):
        """Type and payload of the guest's next frame."""
        while True:
            if len(self.buffer) >= 8:
                size, kind = struct.unpack_from("<IB", self.buffer)
                if len(self.buffer) >= 8 + size:
                    payload, self.buffer = self.buffer[8:8 + size], self.buffer[8 + size:]
                    return kind, payload
            data = self.channel.recv(65536)
            if not data:
                sys.exit("the guest is gone")
            self.buffer += data

    def ask(self, kind, payload=b""):
        self.channel.sendall(struct.pack("<IBBH", len(payload), kind, 0, 1) + payload)

    def run(self, words, seed):
        for word in words:
            self.ask(ARG, word.encode())
        if seed:
            self.ask(SEED, os.urandom(32))
        self.ask(START)
        text = b""
        while True:
            kind, payload = self.frame()
            if kind == DATA:
                text += payload
            elif kind in (EXIT, FAILED):
                return text.decode() if payload[:2] == b"\0\0" else sys.exit(f"failed: {payload}")

    def end(self):
        self.process.kill()
        self.process.wait()


def save(argv, directory):
    vm = Vm(argv, directory + "/memory", "on")
    vm.frame()
    vm.run(SETTLE, False)
    vm.prepare()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(directory + "/socket")
    listener.listen()
    vm.command("migrate", uri=f"unix:{directory}/socket")
    stream = listener.accept()[0]
    with open(directory + "/state", "wb") as state:
        while data := stream.recv(65536):
            state.write(data)
    vm.event("completed")
    vm.end()


def restore(argv, directory, seed):
    argv = list(argv)
    for word in "-kernel", "-initrd", "-append":
        at = argv.index(word)
        del argv[at:at + 2]
    vm = Vm(argv, directory + "/memory", "off", "-incoming", "defer")
    vm.prepare()
    vm.command("migrate-incoming", uri=f"unix:{directory}/clone")
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(directory + "/clone")
    with open(directory + "/state", "rb") as state:
        stream.sendall(state.read())
    stream.close()
    vm.event("completed")
    try:
        return vm.run(DRAW, seed).split()
    finally:
        vm.end()


def main():
    directory, count, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "seed"
    argv = shlex.split(sys.stdin.read())
    if not os.path.exists(directory + "/state"):
        save(argv, directory)
    for _ in range(count):
        print(*restore(argv, directory, seed), flush=True)


main()
