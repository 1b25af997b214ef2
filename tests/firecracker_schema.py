# SPDX-License-Identifier: MIT
"""Checks requests and configurations against firecracker_api.json, and what Firecracker's own
checks add to it (seen by running the program)."""
import json
import os
import re

HERE = os.path.dirname(os.path.realpath(__file__))
with open(os.path.join(HERE, "firecracker_api.json"), encoding="utf-8") as _f:
    API = json.load(_f)
OBJECTS, REQUESTS, VERSION = API["objects"], API["requests"], API["version"]
PAYLOAD_MAX = 51200
COMMAND_LINE_MAX = 2047
KERNEL_ARGS = ("reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux "
               "i8042.dumbkbd swiotlb=noforce")


class Fault(Exception):
    """What Firecracker answers as fault_message."""


def no_twice(pairs):
    """For JSON objects: a field may be there once."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise Fault(f"duplicate field `{name}`")
    return dict(pairs)


def parse(text):
    try:
        return json.loads(text, object_pairs_hook=no_twice)
    except (ValueError, UnicodeDecodeError) as e:
        raise Fault(f"invalid JSON: {e}") from None


def check_scalar(value, kind, where):
    ranged = re.fullmatch(r"integer(?: (\d+)\.\.(\d*))?", kind)
    if ranged:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Fault(f"{where}: invalid type: {value!r}, expected integer")
        low, high = ranged.groups()
        if value < int(low or 0) or (high and value > int(high)):
            raise Fault(f"{where}: {value} is out of range {low}..{high}")
    elif kind == "string" or kind == "boolean":
        if not isinstance(value, {"string": str, "boolean": bool}[kind]):
            raise Fault(f"{where}: invalid type: {value!r}, expected {kind}")
    elif kind.startswith("one of "):
        if value not in kind.split()[2:]:
            raise Fault(f"{where}: unknown variant `{value}`, expected {kind}")
    elif kind == "object":
        if not isinstance(value, dict):
            raise Fault(f"{where}: invalid type: {value!r}, expected object")
    elif kind != "any":
        check_object(value, kind, where)


def check_value(value, kind, where):
    if not kind.startswith("list of "):
        return check_scalar(value, kind, where)
    if not isinstance(value, list):
        raise Fault(f"{where}: invalid type: {value!r}, expected a list")
    for i, item in enumerate(value):
        check_scalar(item, kind[len("list of "):], f"{where}[{i}]")
    return None


def check_object(value, name, where=None):
    """Unknown field, missing field, wrong type: Fault. A null is as good as a missing field."""
    where = where or name
    if not isinstance(value, dict):
        raise Fault(f"{where}: invalid type: {value!r}, expected an object")
    fields = OBJECTS[name]
    for field in value:
        if field not in fields:
            raise Fault(f"{where}: unknown field `{field}`, expected one of {', '.join(fields)}")
    for field, kind in fields.items():
        if value.get(field) is not None:
            check_value(value[field], kind.rstrip("!"), f"{where}.{field}")
        elif kind.endswith("!"):
            raise Fault(f"{where}: missing field `{field}`")


def check_id(text):
    if not re.fullmatch(r"[A-Za-z0-9_]+", text):
        raise Fault("API Resource IDs can only contain alphanumeric characters and underscores.")


def find_request(method, path):
    """The entry of the table and the id in the path, or None."""
    for key, request in REQUESTS.items():
        its_method, its_path = key.split(" ")
        match = re.fullmatch(re.sub(r"\{\w+\}", "([^/]+)", its_path), path)
        if its_method == method and match:
            return key, request, match.group(1) if match.groups() else None
    raise Fault(f"Invalid request method and/or path: {method} {path[1:]}.")


def check_body(method, path, text):
    """Returns the request's key in the table and its body; raises Fault."""
    key, request, name = find_request(method, path)
    if "body" not in request:
        if text:
            raise Fault(f"{method} request cannot have a body.")
        return key, None
    if not text:
        raise Fault(f"Empty {method} request.")
    if len(text) > PAYLOAD_MAX:
        raise Fault(f"The body is longer than {PAYLOAD_MAX} bytes.")
    body = parse(text)
    check_value(body, request["body"], request["body"])
    for field in ("drive_id", "iface_id", "id"):
        if name is not None and field in body:
            check_id(name)
            if body[field] != name:
                raise Fault("The id from the path does not match the id from the body!")
    return key, body


def check_machine(machine):
    cpus = machine["vcpu_count"]
    if machine.get("smt") and cpus != 1 and cpus % 2:
        raise Fault("The number of vCPUs must be 1 or an even number if SMT is enabled.")
    if machine["mem_size_mib"] == 0:
        raise Fault("The memory size (MiB) is 0.")


def check_mac(interface):
    mac = interface.get("guest_mac")
    if mac is not None and not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", mac):
        raise Fault("The provided MAC address is invalid.")
    if len(interface["host_dev_name"]) > 15:
        raise Fault("The name of the host's interface is longer than 15 characters.")


def check_boot_args(text, drives, devices):
    """Firecracker appends to the line, a few words for each device, and stops at its limit."""
    if not re.fullmatch(r"[ -~]*", text):
        raise Fault("The kernel command line is invalid: not printable ASCII.")
    added = " pci=off" + " virtio_mmio.device=4K@0xc0001000:5" * devices
    for drive in drives:
        if drive["is_root_device"]:
            uuid = drive.get("partuuid")
            added += f" root={'PARTUUID=' + uuid if uuid else '/dev/vda'} rw"
    if len(text) + len(added) > COMMAND_LINE_MAX:
        raise Fault("Inserting string would make command line too long.")


def check_load(body):
    if bool(body.get("mem_backend")) == bool(body.get("mem_file_path")):
        raise Fault("either `mem_backend` or `mem_file_path` exclusively is required.")
