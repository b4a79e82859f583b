"""Ports and credentials of a state folder's services: chosen once, kept across restarts.

``<home>/services/record.json`` is 0600. Ports are taken below the range from which the system picks source ports, so
a service that is away for a moment finds its port still free, and a probe cannot connect to itself.
"""

import json
import random
import secrets
import socket
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.state import lock_file, write_private

__all__ = ["ServiceRecord", "check_port", "free_port", "load_record"]

FORMAT = 1
_PORTS = ("store", "broker", "controller", "spark")
_FIRST_PORT, _LAST_PORT = 20000, 32000


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What was chosen for a state folder.

    Parameters
    ----------
    ports
        Port by use: ``store``, ``broker``, ``controller``, ``spark``.
    credentials
        Generated names and secrets: ``store_access_key``, ``store_secret_key``, ``broker_user``, ``broker_password``,
        ``spark_token``.
    cluster_id
        Kafka's, which its log folder is formatted with.
    """

    ports: Mapping[str, int]
    credentials: Mapping[str, str] = field(repr=False)
    cluster_id: str


def load_record(home: Path, *, ports: Mapping[str, int | None] | None = None) -> ServiceRecord:
    """Read the record, or make it; ports asked for by name win over recorded ones.

    Raises
    ------
    StackError
        The file cannot be read (``record-damaged``).
    """
    folder = home / "services"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / "record.json"
    asked = {name: port for name, port in (ports or {}).items() if port is not None}
    with lock_file(folder / "record.lock", timeout_s=10.0):
        record = _read(path)
        wanted = {**(record.ports if record else _free_ports()), **asked}
        if record is not None and dict(record.ports) == wanted:
            return record
        if record is None:
            record = ServiceRecord(wanted, _credentials(), _cluster_id())
        record = ServiceRecord(wanted, record.credentials, record.cluster_id)
        value = {
            "format": FORMAT,
            "ports": dict(record.ports),
            "credentials": dict(record.credentials),
            "cluster_id": record.cluster_id,
        }
        write_private(path, json.dumps(value, indent=1))
        return record


def check_port(name: str, port: int, *, setting: str) -> None:
    """Refuse a port that another program holds.

    Raises
    ------
    StackError
        Somebody listens there (``port-in-use``).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as fault:
            message = f"Cannot start {name}: port {port} of 127.0.0.1 is taken by another program."
            hint = f"Stop that program (`ss -ltnp 'sport = :{port}'` names it), or choose another port: {setting}."
            raise StackError(message, code="port-in-use", hint=hint, context={"port": port}) from fault


def _read(path: Path) -> ServiceRecord | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        record = ServiceRecord(value["ports"], value["credentials"], value["cluster_id"])
        found = value["format"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as fault:
        message = f"Cannot read the ports and credentials in {path}: {fault}."
        hint = "Restore that file: the services' data were made with the credentials it held."
        raise StackError(message, code="record-damaged", hint=hint) from fault
    if found != FORMAT:
        message = f"Cannot read the ports and credentials in {path}: format {found}, this version knows {FORMAT}."
        raise StackError(message, code="state-format", hint="Update the workbench, or use another state folder.")
    return record


def _credentials() -> dict[str, str]:
    return {
        "store_access_key": f"neuralake{secrets.token_hex(5)}",
        "store_secret_key": secrets.token_hex(20),
        "broker_user": "neuralake",
        "broker_password": secrets.token_hex(20),
        "spark_token": secrets.token_hex(20),
    }


def _cluster_id() -> str:
    """Generate an id as Kafka wants it; a first bit of zero keeps it from beginning with the dash of an option."""
    number = secrets.token_bytes(16)
    return urlsafe_b64encode(bytes([number[0] & 0x7F]) + number[1:]).decode().rstrip("=")


def free_port(besides: Collection[int] = ()) -> int:
    """Choose a port of 127.0.0.1 that nobody listens on, other than those named."""
    for port in random.sample(range(_FIRST_PORT, _LAST_PORT), _LAST_PORT - _FIRST_PORT):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in besides:
            return port
    message = f"Cannot find a free port of 127.0.0.1 between {_FIRST_PORT} and {_LAST_PORT}."
    raise StackError(message, code="port-in-use", hint="Stop some of the programs that listen there.")


def _free_ports() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in _PORTS:
        found[name] = free_port(found.values())
    return found
