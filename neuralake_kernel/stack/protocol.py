"""The private conversation of a client with the supervisor: one JSON line each way per call.

A request is ``{"protocol", "secret", "call", "args"}``; an answer is ``{"ok": true, "value"}`` or ``{"ok": false,
"error": {"class", "code", "message", "hint"}}``. Whoever does not know the secret is answered nothing but a refusal.
The socket is a unix one where there are such, else loopback TCP.
"""

import contextlib
import hmac
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

from neuralake_kernel.errors import ProtocolError

__all__ = ["PROTOCOL", "bind", "connect", "decode", "encode", "is_same", "unbind"]

PROTOCOL = 1
MAX_LINE_BYTES = 4 * 1024 * 1024
# sockaddr_un holds 104 bytes on macOS, 108 on Linux.
MAX_SOCKET_PATH_BYTES = 100


def encode(message: dict[str, Any]) -> bytes:
    """One message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one message.

    Raises
    ------
    ProtocolError
        The line is no JSON object (``supervisor-message``).
    """
    try:
        message = json.loads(line)
    except ValueError as fault:
        text = f"Cannot read a message of the supervisor's socket: {fault}."
        raise ProtocolError(text, code="supervisor-message") from fault
    if not isinstance(message, dict):
        text = f"Cannot read a message of the supervisor's socket: expected an object, found {type(message).__name__}."
        raise ProtocolError(text, code="supervisor-message")
    return message


def is_same(left: str, right: str) -> bool:
    """Compare two secrets in time that does not tell where they differ; an empty one is never right."""
    return bool(left) and hmac.compare_digest(left.encode(), right.encode())


def bind(folder: Path, *, unix: bool | None = None) -> tuple[socket.socket, dict[str, Any]]:
    """Listen privately; return the socket and the address to record.

    Parameters
    ----------
    folder
        The supervisor's 0700 folder; the socket lies there unless the path is too long for a socket.
    unix
        False forces loopback TCP; by default the platform decides.
    """
    wants_unix = hasattr(socket, "AF_UNIX") if unix is None else unix
    if wants_unix:
        try:
            return _bind_unix(folder)
        except OSError:
            # Some network and FUSE folders hold no sockets; the secret protects TCP as well.
            pass
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener, {"tcp": list(listener.getsockname())}


def _bind_unix(folder: Path) -> tuple[socket.socket, dict[str, Any]]:
    path = folder / "socket"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        path = Path(f"/tmp/neuralake-{os.urandom(8).hex()}/socket")  # noqa: S108 - short; mkdir refuses what exists
        path.parent.mkdir(mode=0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener, {"unix": str(path)}


def unbind(address: dict[str, Any], folder: Path) -> None:
    """Remove the socket of an address, and its folder when it was made for it alone."""
    if "unix" not in address:
        return
    path = Path(address["unix"])
    path.unlink(missing_ok=True)
    if path.parent != folder and path.parent.name.startswith("neuralake-"):
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def connect(address: dict[str, Any], *, timeout_s: float) -> socket.socket | None:
    """Connect to a recorded address, or return None when nobody listens there."""
    channel: socket.socket | None = None
    try:
        if "unix" in address:
            path = Path(address["unix"])
            # A socket somebody else owns could be a trap for our secret.
            if path.parent.stat().st_uid != os.getuid() or not stat.S_ISSOCK(path.stat().st_mode):
                return None
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.settimeout(timeout_s)
            channel.connect(str(path))
        else:
            host, port = address["tcp"]
            channel = socket.create_connection((host, port), timeout=timeout_s)
    except OSError:
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.close()
        return None
    return channel
