#!/usr/bin/env python3
"""tests/bench/vm.py KERNEL INITRD ROUNDS: VM flakes (vmecho, vmsh on PATH) against bare QEMU,
in turns; prints medians of ratios as "NAME VALUE BUDGET UNIT"."""
import socket
import statistics
import subprocess
import sys
import time

KERNEL, INITRD, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
SIZE = 64 << 20


def khz():
    """The clock's rate, without which an emulated kernel may hang on a busy host."""
    for line in open("/proc/cpuinfo"):
        if line.startswith("cpu MHz"):
            return int(float(line.split(":")[1]) * 1000)
    return 1000000


def qemu(words, extra=()):
    return ["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256",
            "-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot", "-kernel", KERNEL,
            "-initrd", INITRD, "-append",
            f"console=ttyS0 reboot=t panic=-1 quiet tsc_early_khz={khz()} " + words, *extra]


def until(argv, word):
    """Seconds to the first output that holds word, and to the end."""
    began = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first, seen = None, b""
    while chunk := p.stdout.read1(65536):
        seen += chunk
        if first is None and word in seen:
            first = time.monotonic() - began
    if p.wait() != 0 or first is None:
        sys.exit(f"{argv[0]}: failed: {seen[-300:]!r}")
    return first, time.monotonic() - began


def port(words):
    ours, theirs = socket.socketpair()
    p = subprocess.Popen(
        qemu(words, ["-device", "virtio-serial-device", "-chardev", f"socket,id=c,fd={theirs.fileno()}", "-device",
                     "virtserialport,chardev=c,name=bench"]),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()])
    theirs.close()
    ours.settimeout(60)
    return ours, p


def drain(read):
    """Seconds until all but the first byte is read."""
    began, got = time.monotonic(), 1
    while got < SIZE:
        chunk = read(65536)
        if not chunk:
            sys.exit("the stream ended too early")
        got += len(chunk)
    return time.monotonic() - began


def bare_out():
    s, p = port("bench=out")
    s.recv(1)
    seconds = drain(s.recv)
    p.kill()
    p.wait()
    return seconds


def bare_in():
    s, p = port("bench=in")
    s.recv(1)
    began = time.monotonic()
    s.sendall(bytes(SIZE))
    s.recv(1)
    seconds = time.monotonic() - began
    p.kill()
    p.wait()
    return seconds


def our_out():
    p = subprocess.Popen(["vmsh", "-c", f"busybox dd if=/dev/zero bs=64k count={SIZE >> 16}"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.read(1)
    seconds = drain(p.stdout.read1)
    p.wait()
    return seconds


def our_in():
    """The first byte comes back as soon as the program is there, then all of it has to arrive."""
    p = subprocess.Popen(["vmsh", "-c", "cat >/dev/null; echo x >&2"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE)
    p.stdin.write(bytes(1 << 21))  # more than the windows: it runs when this is taken
    p.stdin.flush()
    began = time.monotonic()
    p.stdin.write(bytes(SIZE))
    p.stdin.close()
    p.stderr.read()
    seconds = time.monotonic() - began
    p.wait()
    return seconds


def main():
    firsts, ends, tuned, outs, ins = [], [], [], [], []
    for _ in range(ROUNDS):
        bare = until(qemu(""), b"hello")
        same = until(qemu("pci=off no_timer_check cryptomgr.notests"), b"hello")
        ours = until(["vmecho", "hello"], b"hello")
        firsts.append(ours[0] / bare[0])
        ends.append(ours[1] / bare[1])
        tuned.append(ours[1] / same[1])
    for _ in range(max(3, ROUNDS // 3)):
        outs.append(our_out() / bare_out())
        ins.append(our_in() / bare_in())
    print(f"VM_flake/bare_engine_+_one-line_init,_first_byte {statistics.median(firsts):.3f} 1.10 x")
    print(f"VM_flake/bare_engine_+_one-line_init,_exit {statistics.median(ends):.3f} 1.10 x")
    print(f"the_same,_bare_with_our_kernel_parameters,_exit {statistics.median(tuned):.3f} 1.25 x")
    print(f"64_MiB_out_of_a_VM/cat_over_the_port {statistics.median(outs):.3f} 1.25 x")
    print(f"64_MiB_into_a_VM/cat_over_the_port {statistics.median(ins):.3f} 1.25 x")


main()
