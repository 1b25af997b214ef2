# SPDX-License-Identifier: MIT
"""Cases of tests/firecracker_standin: standin_cases.py list|list-real|CASE. A case is a function;
its name with blanks is what it says. Those of list-real need no guest that runs: they hold for the
program that FLAKE_FIRECRACKER names, too, be it the real one."""
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAM = os.environ.get("FLAKE_FIRECRACKER") or os.path.join(HERE, "../../firecracker_standin")
REFUSED, DONE = 400, 204
# Seconds for what is sure to come, on a busy machine, too.
PATIENCE = 120


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = open_socket(self.path)


class Place:
    """A directory with a kernel, a disk, and the program running in it."""

    def __init__(self, directory):
        self.dir, self.program, self.fds = directory, None, ()
        self.put("kernel", b"\x7fELF" + bytes(60))
        self.put("disk", bytes(4096))
        os.symlink(os.path.join(HERE, "fake_sci.py"), self.path("sci"))
        self.env = {**os.environ, "FLAKE_STANDIN_SCI": self.path("sci"),
                    "FLAKE_STANDIN_LOG": self.path("record")}

    def path(self, name):
        return os.path.join(self.dir, name)

    def put(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def start(self, *args):
        self.program = subprocess.Popen([PROGRAM, *args], cwd=self.dir, env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, pass_fds=self.fds)
        return self

    def api(self):
        return self.start("--api-sock", self.path("api"))

    def config(self, change=None, args=()):
        config = {"boot-source": {"kernel_image_path": "kernel", "boot_args": "quiet"},
                  "drives": [drive()], "machine-config": machine(), "vsock": vsock()}
        if change:
            change(config)
        self.put("config", json.dumps(config).encode())
        return self.start("--no-api", "--config-file", "config", *args)

    def end(self):
        out, err = self.program.communicate(timeout=PATIENCE)
        return self.program.returncode, out.decode(), err.decode()

    def ask(self, method, path, body=None):
        connection = Connection(self.path("api"))
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text else None

    def put_all(self, args="sci_resume=1"):
        expect(self.ask("PUT", "/machine-config", machine())[0], DONE)
        expect(self.ask("PUT", "/boot-source",
                        {"kernel_image_path": "kernel", "boot_args": args})[0], DONE)
        expect(self.ask("PUT", "/drives/rootfs", drive())[0], DONE)
        expect(self.ask("PUT", "/vsock", vsock())[0], DONE)

    def refused(self, method, path, body, word):
        status, answer = self.ask(method, path, body)
        expect(status, REFUSED)
        assert word in answer["fault_message"], answer

    def record(self, event):
        with open(self.path("record"), encoding="utf-8") as f:
            return [r for r in map(json.loads, f) if r["event"] == event]


def expect(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def wait_for(path):
    end = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        assert time.monotonic() < end, path
        time.sleep(0.01)


def open_socket(path):
    """Connected: a socket has a name before somebody listens at it."""
    end = time.monotonic() + PATIENCE
    while True:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        try:
            s.connect(path)
            return s
        except (FileNotFoundError, ConnectionRefusedError):
            s.close()
            assert time.monotonic() < end, path
            time.sleep(0.01)


def machine(**more):
    return {"vcpu_count": 1, "mem_size_mib": 64, **more}


def drive(**more):
    return {"drive_id": "rootfs", "is_root_device": False, "is_read_only": True,
            "path_on_host": "disk", **more}


def vsock(**more):
    return {"guest_cid": 3, "uds_path": "v.sock", **more}


def start(place):
    expect(place.ask("PUT", "/actions", {"action_type": "InstanceStart"})[0], DONE)


def connect(path, word=b"CONNECT 52\n"):
    s = open_socket(path)
    s.sendall(word)
    return s


def read_frames(stream):
    while head := stream.read(8):
        length, kind, _, session = struct.unpack("<IBBH", head)
        yield kind, session, stream.read(length)


def frame(kind, payload=b"", session=0):
    return struct.pack("<IBBH", len(payload), kind, 0, session) + payload


def call(s):
    """A call over a connection; the frames up to EXIT."""
    stream, got = s.makefile("rb"), []
    for kind, session, payload in read_frames(stream):
        if kind == 1:
            s.sendall(frame(2, b"true", 1) + frame(9, b"", 1))
        got.append((kind, session, payload))
        if kind == 15:
            break
    return got, stream


CALL = [(1, 0, b"flk1\x01\x00"), (10, 1, b"true\n"), (15, 1, struct.pack("<II", 3, 0))]


def an_unknown_field_of_a_request_is_refused(place):
    place.api()
    place.refused("PUT", "/machine-config", machine(vcpus=2), "unknown field `vcpus`")
    place.refused("PUT", "/drives/rootfs", drive(bus="pci"), "unknown field `bus`")
    place.refused("PUT", "/snapshot/load", {"snapshot": "x"}, "unknown field")


def a_missing_field_of_a_request_is_refused(place):
    place.api()
    place.refused("PUT", "/machine-config", {"vcpu_count": 1}, "missing field `mem_size_mib`")
    place.refused("PUT", "/boot-source", {"boot_args": "x"}, "missing field `kernel_image_path`")
    place.refused("PUT", "/vsock", {"guest_cid": 3}, "missing field `uds_path`")
    place.refused("PUT", "/snapshot/load", {"snapshot_path": "x"}, "either `mem_backend`")
    place.refused("PUT", "/actions", None, "Empty PUT request")


def a_wrong_type_or_value_of_a_request_is_refused(place):
    place.api()
    place.refused("PUT", "/machine-config", machine(vcpu_count="1"), "invalid type")
    place.refused("PUT", "/drives/rootfs", drive(is_read_only="yes"), "invalid type")
    place.refused("PUT", "/actions", {"action_type": "Start"}, "unknown variant")
    place.refused("PUT", "/drives/root-fs", drive(drive_id="root-fs"), "alphanumeric")
    place.refused("PUT", "/drives/other", drive(), "does not match")
    place.refused("PUT", "/machine", {}, "Invalid request method and/or path")


def a_drive_after_the_start_is_refused(place):
    place.api()
    place.put_all()
    start(place)
    expect(place.ask("PUT", "/drives/b", drive(drive_id="b"))[0], REFUSED)
    place.refused("PUT", "/boot-source", {"kernel_image_path": "kernel"}, "after starting")
    place.refused("PUT", "/actions", {"action_type": "InstanceStart"}, "after starting")


def what_needs_a_running_machine_is_refused_before_the_start(place):
    place.api()
    place.refused("PATCH", "/vm", {"state": "Paused"}, "before starting")
    place.refused("PUT", "/snapshot/create", {"snapshot_path": "s", "mem_file_path": "m"},
                  "before starting")
    place.refused("PUT", "/actions", {"action_type": "InstanceStart"}, "kernel")


def a_snapshot_is_loaded_before_anything_else(place):
    place.api()
    expect(place.ask("PUT", "/machine-config", machine())[0], DONE)
    place.refused("PUT", "/snapshot/load", {"snapshot_path": "s", "mem_backend": {
        "backend_type": "File", "backend_path": "m"}}, "boot-specific")


def files_that_are_not_there_are_refused(place):
    place.api()
    place.refused("PUT", "/boot-source", {"kernel_image_path": "nope"}, "kernel")
    place.refused("PUT", "/drives/rootfs", drive(path_on_host="nope"), "backing file")
    place.put("v.sock", b"")
    place.refused("PUT", "/vsock", vsock(), "n use")


def a_kernel_that_is_no_elf_file_does_not_start(place):
    place.put("kernel", b"MZ" + bytes(510))
    code, _, err = place.config().end()
    expect(code, 1)
    assert "Elf" in err, err


def a_configuration_file_is_checked_the_same_way(place):
    for change in (lambda c: c["machine-config"].update(vcpus=2),
                   lambda c: c["machine-config"].pop("mem_size_mib"),
                   lambda c: c.pop("drives"), lambda c: c.pop("boot-source"),
                   lambda c: c["vsock"].update(guest_cid="3"),
                   lambda c: c["boot-source"].update(boot_args="x" * 2040)):
        code, out, err = place.config(change).end()
        expect(code, 1)
        assert "RunWithoutApiError" in err and "exit_code=1" in out, err
        with contextlib.suppress(OSError):
            os.unlink(place.path("v.sock"))


def options_are_checked(place):
    for args, wanted in ((["--bogus"], 153), (["--no-api"], 153), (["--id"], 153),
                         (["--level=Error"], 153), (["--id", "a", "--id", "b"], 153),
                         (["--level", "Chatty"], 152), (["--id", "a b"], -signal.SIGABRT),
                         (["--no-api", "--config-file", "nope"], -signal.SIGABRT)):
        expect((args, place.start(*args).end()[0]), (args, wanted))


def descriptors_are_paths(place):
    """As a pilot uses them: nothing of a machine needs a name."""
    config = os.memfd_create("config")
    disk = os.open(place.path("disk"), os.O_RDWR)
    os.write(config, json.dumps({"boot-source": {"kernel_image_path": "kernel"}, "drives": [
        drive(path_on_host=f"/proc/self/fd/{disk}", is_read_only=False)],
        "vsock": vsock()}).encode())
    place.fds = (config, disk)
    place.env["FLAKE_STANDIN_SCI"] = ""
    place.start("--no-api", "--config-file", f"/dev/fd/{config}")
    wait_for(place.path("v.sock"))
    place.program.terminate()
    expect(place.end()[0], -signal.SIGTERM)


def what_more_than_the_real_one_is_refused(place):
    for change in (lambda c: c.update(bogus={}), lambda c: c["vsock"].update(guest_cid=2),
                   lambda c: c["boot-source"].update(boot_args="\u00e4"),
                   lambda c: c.update({"network-interfaces": [
                       {"iface_id": "eth0", "host_dev_name": "no-such-tap"}]})):
        expect(place.config(change).end()[0], 1)
        with contextlib.suppress(OSError):
            os.unlink(place.path("v.sock"))


def a_machine_of_one_call_connects_and_ends_with_the_call(place):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place.path("v.sock_52"))
    listener.listen()
    place.config()
    host, _ = listener.accept()
    got, stream = call(host)
    expect(got, CALL)
    expect([kind for kind, _, _ in read_frames(stream)], [19])
    code, out, err = place.end()
    expect((code, err), (0, ""))
    assert "Running Firecracker v" in out
    expect(place.record("boot")[0]["boot_args"], "quiet")
    expect(place.record("channel")[0]["guest"], {"1": 1, "10": 1, "15": 1, "19": 1})


def a_machine_without_a_host_ends(place):
    code, out, _ = place.config(args=("--level", "Error")).end()
    expect((code, out), (0, "sci: no channel to the host\n"))


def a_machine_that_stays_takes_calls_until_it_is_shut_down(place):
    place.config(lambda c: c["boot-source"].update(boot_args="quiet sci_resume=1"))
    hosts = [connect(place.path("v.sock")) for _ in range(3)]
    for host in hosts:
        assert host.makefile("rb", buffering=0).readline().startswith(b"OK ")
        expect(call(host)[0], CALL)
    hosts[0].close()
    expect(connect(place.path("v.sock"), b"CONNECT 53\n").recv(9), b"")
    expect(connect(place.path("v.sock"), b"HELO\n").recv(9), b"")
    expect(place.program.poll(), None)
    hosts[1].sendall(frame(18))
    expect([kind for kind, _, _ in read_frames(hosts[1].makefile("rb"))], [19])
    expect(place.end()[0], 0)


def nothing_is_left_of_a_killed_machine(place):
    place.config(lambda c: c["boot-source"].update(boot_args="sci_resume=1"))
    host = connect(place.path("v.sock"))
    host.makefile("rb", buffering=0).readline()
    host.recv(14)
    place.program.kill()
    expect(place.end()[0], -signal.SIGKILL)
    expect(host.recv(9), b"")
    end = time.monotonic() + PATIENCE
    while subprocess.run(["pgrep", "-f", place.path("sci")], stdout=subprocess.DEVNULL,
                         check=False).returncode == 0:
        assert time.monotonic() < end, "sci is still there"
        time.sleep(0.05)


def a_snapshot_is_saved_paused_and_restored_elsewhere(place):
    place.api()
    place.put_all()
    start(place)
    files = {"snapshot_path": "s", "mem_file_path": "m"}
    place.refused("PUT", "/snapshot/create", files, "while running")
    expect(place.ask("PATCH", "/vm", {"state": "Paused"})[0], DONE)
    expect(place.ask("PUT", "/snapshot/create", files)[0], DONE)
    expect(os.stat(place.path("m")).st_size, 64 << 20)
    place.program.kill()
    place.end()
    os.unlink(place.path("api"))
    place.api()
    expect(place.ask("PUT", "/snapshot/load", {
        "snapshot_path": "s", "resume_vm": True, "vsock_override": {"uds_path": "w.sock"},
        "mem_backend": {"backend_type": "File", "backend_path": "m"}})[0], DONE)
    expect(place.ask("GET", "/")[1]["state"], "Running")
    host = connect(place.path("w.sock"))
    host.makefile("rb", buffering=0).readline()
    expect(call(host)[0], CALL)


def a_snapshot_that_does_not_load_ends_the_program(place):
    place.api()
    place.refused("PUT", "/snapshot/load", {"snapshot_path": "nope", "mem_backend": {
        "backend_type": "File", "backend_path": "m"}}, "Load snapshot error")
    expect(place.end()[0], 1)


def an_answer_without_a_body_has_no_length(place):
    place.api()
    s, body = connect(place.path("api"), b""), json.dumps(machine()).encode()
    s.sendall(b"PUT /machine-config HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    expect(s.recv(999),
           b"HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n")
    s.sendall(b"GET http://localhost/version HTTP/1.1\r\n\r\n")
    assert s.recv(999).startswith(b"HTTP/1.1 200 \r\n")


NEEDS_NO_GUEST = [
    an_unknown_field_of_a_request_is_refused, a_missing_field_of_a_request_is_refused,
    a_wrong_type_or_value_of_a_request_is_refused, a_snapshot_is_loaded_before_anything_else,
    what_needs_a_running_machine_is_refused_before_the_start, files_that_are_not_there_are_refused,
    a_configuration_file_is_checked_the_same_way, options_are_checked,
    a_snapshot_that_does_not_load_ends_the_program, an_answer_without_a_body_has_no_length]
CASES = {name: f for name, f in globals().items() if name.startswith(("a_", "an_", "what_", "files_",
         "options_", "descriptors_", "nothing_"))}


def main():
    if sys.argv[1] == "list":
        print("\n".join(CASES))
        return
    if sys.argv[1] == "list-real":
        print("\n".join(f.__name__ for f in NEEDS_NO_GUEST))
        return
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        try:
            CASES[sys.argv[1]](place)
        finally:
            if place.program and place.program.poll() is None:
                place.program.kill()
                place.program.wait()


main()
