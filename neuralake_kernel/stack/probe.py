"""Ready probes that never block the supervisor's loop.

One :class:`Probe` is one attempt: it connects, asks if it has to, and ends with True or False. A process that accepts
connections and then says nothing costs a probe its deadline, not the supervisor its other work.
"""

import errno
import selectors
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from neuralake_kernel.stack.spec import ReadyProbe

__all__ = ["Probe"]

TIMEOUT_S = 2.0


class Probe:
    """One attempt to find a process ready; the loop that registers its channel closes it.

    Parameters
    ----------
    ready
        What to try.
    started_at
        Start of the process, seconds since the epoch; a file older than that does not count.
    """

    def __init__(self, ready: ReadyProbe, *, started_at: float) -> None:
        self.deadline = time.monotonic() + TIMEOUT_S
        self.answer: bool | None = None
        self.channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._is_http = ready.kind == "http"
        self._request = b""
        if ready.kind == "file":
            self.channel.close()
            self.answer = _is_fresh(Path(ready.target), started_at)
            return
        if self._is_http:
            url = urlsplit(ready.target)
            host, port = url.hostname or "127.0.0.1", url.port or 80
            self._request = f"GET {url.path or '/'} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode()
        else:
            host, _, text = ready.target.rpartition(":")
            port = int(text)
        self.channel.setblocking(False)
        if self.channel.connect_ex((host, port)) not in {0, errno.EINPROGRESS}:
            self.answer = False

    @property
    def events(self) -> int:
        """What to wait for on the channel: it is writable once connected, readable once answered."""
        return selectors.EVENT_WRITE if self._request or not self._is_http else selectors.EVENT_READ

    def advance(self) -> None:
        """Go one step, when the channel is as :attr:`events` wants it."""
        if self.answer is not None:
            return
        try:
            if self.channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.answer = False
            elif not self._is_http:
                self.answer = True
            elif self._request:
                self.channel.send(self._request)
                self._request = b""
            else:
                status = self.channel.recv(64).split(b" ")
                self.answer = len(status) > 1 and status[1].startswith(b"2")
        except OSError:
            self.answer = False


def _is_fresh(path: Path, started_at: float) -> bool:
    try:
        # A second of slack: file systems round their times.
        return path.stat().st_mtime >= started_at - 1.0
    except OSError:
        return False
