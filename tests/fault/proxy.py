"""A TCP proxy before a store that can fall silent for chosen requests, or reset every connection.

It forwards bytes and looks only at the head of a request, so that a signature over host and path stays valid. It runs
in a thread: a client that holds the interpreter's lock while it waits, as deltalake's does, must not go through it.
"""

import asyncio
import contextlib
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self
from urllib.parse import urlsplit

Kind = Literal["upload", "read", "list", "commit"]

_HEADS: dict[Kind, re.Pattern[bytes]] = {
    "upload": re.compile(rb"PUT \S+\.parquet[ ?]"),
    "commit": re.compile(rb"PUT \S+/_delta_log/\d{20}\.json[ ?]"),
    "list": re.compile(rb"GET \S*[?&]list-type="),
    "read": re.compile(rb"(GET|HEAD) [^ ?]+/_delta_log/[^ ?]+[ ]"),
}
_READ_BYTES = 1 << 16


class Proxy:
    """One proxy in a thread of its own.

    Parameters
    ----------
    endpoint
        Base URL of the store behind it.
    """

    def __init__(self, endpoint: str) -> None:
        behind = urlsplit(endpoint)
        self._behind = (behind.hostname, behind.port)
        self._loop = asyncio.new_event_loop()
        self._silent: re.Pattern[bytes] | None = None
        self._resets = False
        self._speaks = asyncio.Event()
        self._speaks.set()
        self.held = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def endpoint(self) -> str:
        """Base URL of the proxy."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def silent(self, kind: Kind) -> Iterator[None]:
        """Take requests of a kind and keep them until the end."""
        self.held = 0
        self._silent = _HEADS[kind]
        self._loop.call_soon_threadsafe(self._speaks.clear)
        try:
            yield
        finally:
            self._silent = None
            self._loop.call_soon_threadsafe(self._speaks.set)

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Reset every connection at its first byte."""
        self._resets = True
        try:
            yield
        finally:
            self._resets = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener))
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled only when the proxy ends, where nobody asks for its result.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
            ways = [
                asyncio.ensure_future(self._forward(reader, behind_writer, asks=True)),
                asyncio.ensure_future(self._forward(behind_reader, writer, asks=False)),
            ]
            try:
                # Whichever side ends first, the other must not wait for answers that cannot come.
                ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if any(isinstance(way.exception(), ConnectionResetError) for way in ended):
                    _reset(writer)
            finally:
                for way in ways:
                    way.cancel()
                behind_writer.close()
                writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        while data := await reader.read(_READ_BYTES):
            if asks and self._resets:
                raise ConnectionResetError
            if asks and self._silent is not None and self._silent.match(data):
                self.held += 1
                await self._speaks.wait()
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    channel = writer.get_extra_info("socket")
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
