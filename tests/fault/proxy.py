"""A TCP proxy before a store that can fall silent for chosen requests, lie about commits, or reset every connection.

It forwards bytes and looks only at the head of a request, so that a signature over host and path stays valid. It runs
in a thread: a client that holds the interpreter's lock while it waits, as deltalake's does, must not go through it.
"""

import asyncio
import contextlib
import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SAID = b"<Error><Code>ConditionalRequestConflict</Code><Message>A rival was faster.</Message></Error>"
_CONFLICT = b"HTTP/1.1 409 Conflict\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_SAID),
    _SAID,
)


@dataclass
class _Talk:
    """One client's connection."""

    client: asyncio.StreamWriter
    loses_answer: bool = False


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
        self._chance: random.Random | None = None
        self._speaks = asyncio.Event()
        self._speaks.set()
        self.held = 0
        self.lost = self.refused = 0
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

    @contextmanager
    def lying(self, chance: random.Random) -> Iterator[None]:
        """Of every three commits lose the answer of one that landed, and refuse one that did not land."""
        self._chance = chance
        try:
            yield
        finally:
            self._chance = None

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
            talk = _Talk(writer)
            ways = [
                asyncio.ensure_future(self._ask(reader, behind_writer, talk)),
                asyncio.ensure_future(self._answer(behind_reader, talk)),
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

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: _Talk) -> None:
        while data := await reader.read(_READ_BYTES):
            if self._resets:
                raise ConnectionResetError
            if self._silent is not None and self._silent.match(data):
                self.held += 1
                await self._speaks.wait()
            if self._chance is not None and _HEADS["commit"].match(data):
                dice = self._chance.randrange(3)
                if dice == 0:
                    await _take_whole(data, reader)
                    self.refused += 1
                    talk.client.write(_CONFLICT)
                    await talk.client.drain()
                    continue
                talk.loses_answer = dice == 1
                self.lost += talk.loses_answer
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, talk: _Talk) -> None:
        while data := await reader.read(_READ_BYTES):
            if talk.loses_answer:
                raise ConnectionResetError
            talk.client.write(data)
            await talk.client.drain()


async def _take_whole(data: bytes, reader: asyncio.StreamReader) -> None:
    """Read a request to its end, so that the next one begins where it should."""
    while b"\r\n\r\n" not in data:
        data += await reader.read(_READ_BYTES)
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    assert length is not None
    left = int(length[1]) - len(body)
    while left > 0:
        left -= len(await reader.read(_READ_BYTES))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    channel = writer.get_extra_info("socket")
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
