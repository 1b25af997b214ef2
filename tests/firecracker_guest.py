# SPDX-License-Identifier: MIT
"""The guest of the stand-in: vsock as Firecracker's docs/vsock.md has it, and `sci --serve` for
each connection, with the channel's frames (doc/channel.md) counted on their way."""
import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import threading

PORT = 52
FRAME_MAX = 131072
EXIT, FAILED, SHUTDOWN, BYE = 15, 16, 18, 19
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def process_box():
    """Processes of a VM end with it, whatever happens: they get a pid namespace where we may."""
    for box in (["unshare", "-pf", "--kill-child"], ["unshare", "-cpf", "--kill-child"]):
        try:
            done = subprocess.run(box + ["true"], stdout=subprocess.DEVNULL, check=False,
                                  stderr=subprocess.DEVNULL)
        except OSError:
            return []
        if done.returncode == 0:
            return box
    return []


class Frames:
    """Cuts a byte stream into whole frames; what breaks the rules goes through as it is."""

    def __init__(self):
        self.pending = b""
        self.broken = False
        self.count = {}

    def feed(self, data):
        """Whole frames as [(type, session, bytes)]."""
        out, at = [], 0
        data = self.pending + data
        while not self.broken and len(data) - at >= 8:
            size, kind, _, session = struct.unpack_from("<IBBH", data, at)
            if size > FRAME_MAX:
                self.broken = True
            elif len(data) - at < 8 + size:
                break
            else:
                self.count[kind] = self.count.get(kind, 0) + 1
                out.append((kind, session, data[at:at + 8 + size]))
                at += 8 + size
        self.pending = data[at:]
        if self.broken:
            out.append((None, 0, self.pending))
            self.pending = b""
        return out


class Link:
    """One connection: the host's end, sci, and the bytes between them."""

    def __init__(self, guest, host, first=b""):
        self.guest, self.host = guest, host
        self.from_host, self.from_sci = Frames(), Frames()
        self.to_sci, self.to_host = bytearray(), bytearray(first)
        self.asked_to_end = False
        self.machine_ends = False

    def serve(self, program):
        """Runs to the end of sci; true if the machine ends with it."""
        mine, its = socket.socketpair()
        with mine, self.host:
            child = subprocess.Popen(self.guest.box + [program, "--serve", str(its.fileno())],
                                     pass_fds=[its.fileno()], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=self.guest.console,
                                     env={"PATH": os.defpath, "HOME": "/", "TERM": "linux"},
                                     cwd="/", preexec_fn=die_with_parent)
            its.close()
            for s in (mine, self.host):
                s.setblocking(False)
            self.pump(mine)
            mine.close()
            child.wait()
        return self.machine_ends or not self.guest.stays

    def pump(self, mine):
        open_ends = {mine, self.host}
        while mine in open_ends or (self.to_host and self.host in open_ends):
            reads = [s for s in open_ends if len(self.buffer_to(s, mine)) < 4 * FRAME_MAX]
            writes = [s for s in open_ends if (self.to_sci if s is mine else self.to_host)]
            ready, writable, _ = select.select(reads, writes, [])
            for s in writable:
                self.write(s, self.to_sci if s is mine else self.to_host, open_ends)
            for s in ready:
                self.read(s, mine, open_ends)
            if self.host not in open_ends and not self.to_sci and mine in open_ends:
                self.shut(mine)

    def buffer_to(self, source, mine):
        """Where that is put what comes from source."""
        return self.to_host if source is mine else self.to_sci

    @staticmethod
    def shut(s):
        try:
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    @staticmethod
    def write(s, data, open_ends):
        try:
            del data[:s.send(data)]
        except OSError as e:
            if e.errno != 11:
                data.clear()
                open_ends.discard(s)

    def read(self, s, mine, open_ends):
        try:
            data = s.recv(FRAME_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            open_ends.discard(s)
        elif s is mine:
            self.take_from_sci(data)
        elif not self.asked_to_end:
            for _, _, frame in self.from_host.feed(data):
                self.to_sci += frame

    def take_from_sci(self, data):
        """A VM of one call shuts down when its session is over: sci --serve has to be told."""
        for kind, _, frame in self.from_sci.feed(data):
            self.to_host += frame
            self.machine_ends = self.machine_ends or kind == BYE
            if kind in (EXIT, FAILED) and not self.guest.stays and not self.asked_to_end:
                self.asked_to_end = True
                self.to_sci += struct.pack("<IBBH", 0, SHUTDOWN, 0, 0)


class Guest:
    """What runs once the machine is started. ended: called when it reboots or powers off."""

    def __init__(self, vsock, listener, stays, restored, console, log, ended):
        self.path = vsock["uds_path"] if vsock else None
        self.listener, self.stays, self.restored = listener, stays, restored
        self.console, self.log, self.ended = console, log, ended
        self.box = process_box()
        self.running = threading.Event()
        self.program = os.environ.get("FLAKE_STANDIN_SCI")
        self.next_port = 1073741824
        self.links = set()

    def start(self):
        if self.path and self.program:
            threading.Thread(target=self.connect_to_host, daemon=True).start()
            threading.Thread(target=self.listen, daemon=True).start()

    def connect_to_host(self):
        """Only a guest that has just booted calls; a restored one has done that long ago."""
        self.running.wait()
        host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self.restored:
                return
            host.connect(f"{self.path}_{PORT}")
        except OSError as e:
            self.log(event="vsock", by="guest", port=PORT, error=e.strerror)
            if not self.stays:
                os.write(self.console, b"sci: no channel to the host\n")
                self.ended()
            return
        self.log(event="vsock", by="guest", port=PORT)
        self.run(Link(self, host))

    def listen(self):
        while True:
            self.running.wait()
            host, _ = self.listener.accept()
            threading.Thread(target=self.accept, args=[host], daemon=True).start()

    def accept(self, host):
        """CONNECT PORT; a port where nobody listens, or another word: the host is cut off."""
        line = b""
        while not line.endswith(b"\n") and len(line) < 32:
            byte = host.recv(1)
            if not byte:
                break
            line += byte
        listens = self.stays or self.restored
        self.log(event="vsock", by="host", line=line.decode("latin-1"), listens=listens)
        if line != b"CONNECT %d\n" % PORT or not listens:
            host.close()
            return
        self.next_port += 1
        self.run(Link(self, host, b"OK %d\n" % self.next_port))

    def reset(self):
        """A snapshot cuts all connections; listeners stay."""
        for link in list(self.links):
            self.links.discard(link)
            link.host.shutdown(socket.SHUT_RDWR)

    def run(self, link):
        self.links.add(link)
        over = link.serve(self.program)
        self.links.discard(link)
        self.log(event="channel", host=link.from_host.count, guest=link.from_sci.count, over=over)
        if over:
            self.ended()
