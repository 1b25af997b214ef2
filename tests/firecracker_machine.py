# SPDX-License-Identifier: MIT
"""The machine of the stand-in: what may be asked when, the files it opens, snapshots."""
import fcntl
import json
import os
import socket
import struct

from firecracker_guest import Guest
from firecracker_schema import (Fault, KERNEL_ARGS, REQUESTS, VERSION, check_boot_args, check_load,
                                check_mac, check_machine, check_object)

BEFORE = "The requested operation is not supported before starting the microVM."
AFTER = "The requested operation is not supported after starting the microVM."
MAGIC = "stand-in snapshot"
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
DEFAULT_MACHINE = {"vcpu_count": 1, "mem_size_mib": 128}


class Gone(Exception):
    """The process ends with an error after this answer, as after a snapshot that does not load."""


def open_file(path, flags, what):
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as e:
        raise Fault(f"{what}: {e.strerror} (os error {e.errno}) {path}") from None


def open_tap(name):
    """Like Firecracker, but never makes one: a tap that is not there is a fault."""
    try:
        socket.if_nametoindex(name)
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        tap = os.fdopen(fd, "r+b", buffering=0)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(),
                                                IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return tap
    except OSError as e:
        raise Fault(f"Open tap device failed: {name}: {e.strerror}") from None


class Machine:
    def __init__(self, say, log, ended):
        self.say, self.log, self.ended = say, log, ended
        self.config = {"boot-source": None, "machine-config": dict(DEFAULT_MACHINE), "drives": [],
                       "network-interfaces": [], "vsock": None}
        self.state = "Not started"
        self.boot_asked = False
        self.listener = None
        self.files, self.taps = [], {}
        self.is_elf = False
        self.guest = None

    # --- configuration -------------------------------------------------------------------------

    def configure(self, key, value):
        """One part, as of the configuration file or of PUT /PART."""
        setter = {"boot-source": self.set_boot, "machine-config": self.set_machine,
                  "drives": self.add_drive, "network-interfaces": self.add_network,
                  "vsock": self.set_vsock}.get(key)
        if setter:
            setter(value)
        else:
            self.config[key] = value

    def configure_all(self, config):
        check_object(config, "FullVmConfiguration")
        for key in ("boot-source", "machine-config", "drives", "network-interfaces", "vsock"):
            value = config.get(key)
            for part in value if isinstance(value, list) else [value]:
                if part is not None:
                    self.configure(key, part)

    def set_boot(self, boot):
        kernel = open_file(boot["kernel_image_path"], os.O_RDONLY, "The kernel file cannot be opened")
        with open(kernel, "rb") as f:
            self.is_elf = f.read(4) == b"\x7fELF"
        if boot.get("initrd_path"):
            os.close(open_file(boot["initrd_path"], os.O_RDONLY, "The initrd file cannot be opened"))
        check_boot_args(boot.get("boot_args") or KERNEL_ARGS, [], 0)
        self.config["boot-source"] = boot

    def set_machine(self, machine):
        machine = {**self.config["machine-config"], **machine}
        check_machine(machine)
        self.config["machine-config"] = machine

    def replace(self, key, name, part):
        parts = [p for p in self.config[key] if p[name] != part[name]] + [part]
        self.config[key] = parts

    def add_drive(self, drive):
        if not drive.get("path_on_host") or drive.get("socket"):
            raise Fault("Unable to create the virtio block device: Invalid block config.")
        roots = [d for d in self.config["drives"] if d["is_root_device"]]
        if drive["is_root_device"] and any(d["drive_id"] != drive["drive_id"] for d in roots):
            raise Fault("Block device error: A root block device already exists!")
        os.close(self.open_drive(drive))
        self.replace("drives", "drive_id", drive)

    @staticmethod
    def open_drive(drive):
        flags = os.O_RDONLY if drive.get("is_read_only") else os.O_RDWR
        fd = open_file(drive["path_on_host"], flags, "Error manipulating the backing file")
        os.lseek(fd, 0, os.SEEK_END)
        return fd

    def add_network(self, interface):
        check_mac(interface)
        self.taps.pop(interface["iface_id"], None)
        self.taps[interface["iface_id"]] = open_tap(interface["host_dev_name"])
        self.replace("network-interfaces", "iface_id", interface)

    def set_vsock(self, vsock):
        """Binds at once, long before the start, and only to a path that does not exist yet."""
        if self.listener:
            self.listener.close()
            os.unlink(self.config["vsock"]["uds_path"])
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(vsock["uds_path"])
        except OSError as e:
            reason = e.strerror or str(e)
            raise Fault(f"Error binding to the host-side Unix socket: {reason}") from None
        listener.listen(64)
        self.listener, self.config["vsock"] = listener, vsock

    # --- requests ------------------------------------------------------------------------------

    def request(self, key, body):
        """Does what a checked request asks; returns what a GET answers."""
        self.check_time(key)
        self.boot_asked = self.boot_asked or REQUESTS[key].get("boot", False)
        method, path = key.split(" ")
        if method == "GET":
            return self.describe(path)
        special = {"PUT /actions": self.act, "PATCH /vm": self.change_state,
                   "PUT /snapshot/create": self.save, "PUT /snapshot/load": self.load}.get(key)
        if special:
            special(body)
        elif REQUESTS[key]["when"] == "before":
            self.configure(path.split("/")[1], body)
        return None

    def check_time(self, key):
        when = REQUESTS[key]["when"]
        if when == "before" and self.state != "Not started":
            raise Fault(AFTER)
        if when == "after" and self.state == "Not started":
            raise Fault(BEFORE)

    def describe(self, path):
        return {"/": {"id": self.log.id, "state": self.state, "vmm_version": VERSION,
                      "app_name": "Firecracker"},
                "/version": {"firecracker_version": VERSION},
                "/machine-config": self.config["machine-config"],
                "/vm/config": self.config}.get(path, {})

    def act(self, body):
        if body["action_type"] == "InstanceStart":
            if self.state != "Not started":
                raise Fault(AFTER)
            self.start()
        elif self.state == "Not started":
            raise Fault(BEFORE)
        elif body["action_type"] == "SendCtrlAltDel":
            self.ended(0)

    def change_state(self, body):
        self.state = {"Paused": "Paused", "Resumed": "Running"}[body["state"]]
        if self.state == "Running":
            self.guest.running.set()
        else:
            self.guest.running.clear()

    # --- the life of a machine -------------------------------------------------------------------

    def start(self):
        boot = self.config["boot-source"]
        if boot is None:
            raise Fault("Cannot start microvm without kernel configuration.")
        if not self.is_elf:
            raise Fault("Kernel Loader: failed to load ELF kernel image: Invalid Elf magic number")
        devices = (len(self.config["drives"]) + len(self.config["network-interfaces"])
                   + (self.config["vsock"] is not None) + ("entropy" in self.config))
        check_boot_args(boot.get("boot_args") or KERNEL_ARGS, self.config["drives"], devices)
        self.run(restored=False)

    def run(self, restored, paused=False):
        self.files = [self.open_drive(d) for d in self.config["drives"]]
        args = self.config["boot-source"].get("boot_args") or KERNEL_ARGS
        self.log(event="boot", boot_args=args, restored=restored, config=self.config)
        self.guest = Guest(self.config["vsock"], self.listener, "sci_resume=1" in args.split(),
                           restored, 1, self.log, lambda: self.ended(0))
        self.guest.start()
        self.change_state({"state": "Paused" if paused else "Resumed"})

    def save(self, body):
        if self.state != "Paused":
            raise Fault("Create snapshot error: save/restore unavailable while running")
        for path, text, size in ((body["snapshot_path"], json.dumps([MAGIC, self.config]), 0),
                                 (body["mem_file_path"], "",
                                  self.config["machine-config"]["mem_size_mib"] << 20)):
            fd = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "Create snapshot error")
            with open(fd, "w", encoding="utf-8") as f:
                f.write(text)
                f.flush()
                if size:
                    os.ftruncate(fd, size)
        self.guest.reset()

    def load(self, body):
        """Whatever goes wrong from here on, Firecracker answers, and then ends with status 1."""
        check_load(body)
        if self.boot_asked:
            raise Fault("Load snapshot error: Loading a microVM snapshot not allowed after "
                        "configuring boot-specific resources.")
        try:
            self.restore(body)
            self.run(restored=True, paused=not body.get("resume_vm"))
        except Fault as e:
            raise Gone(f"Load snapshot error: Failed to restore from snapshot: {e}") from None

    def restore(self, body):
        with open(open_file(body["snapshot_path"], os.O_RDONLY, "snapshot file"), "rb") as f:
            saved = json.loads(f.read() or b"null")
        if not isinstance(saved, list) or saved[0] != MAGIC:
            raise Fault("Failed to get snapshot state from file: not a snapshot")
        config = saved[1]
        memory = (body.get("mem_backend") or {}).get("backend_path") or body.get("mem_file_path")
        fd = open_file(memory, os.O_RDONLY, "Failed to load guest memory")
        if os.fstat(fd).st_size != config["machine-config"]["mem_size_mib"] << 20:
            raise Fault("Failed to load guest memory: wrong size")
        self.files.append(fd)
        for override in body.get("network_overrides") or []:
            same = [n for n in config["network-interfaces"]
                    if n["iface_id"] == override["iface_id"]]
            if not same:
                raise Fault("Failed to get snapshot state from file: Unknown Network Device.")
            same[0]["host_dev_name"] = override["host_dev_name"]
        vsock = config.pop("vsock")
        self.config.update(config)
        if body.get("vsock_override"):
            if not vsock:
                raise Fault("Failed to get snapshot state from file: Unknown Vsock Device.")
            vsock["uds_path"] = body["vsock_override"]["uds_path"]
        for interface in config["network-interfaces"]:
            self.taps[interface["iface_id"]] = open_tap(interface["host_dev_name"])
        if vsock:
            self.set_vsock(vsock)
