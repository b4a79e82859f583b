"""The supervisor's end of the socket: connections, lines, refusals, answers. It knows no call by name."""

import contextlib
import selectors
import socket
from collections.abc import Callable
from typing import Any

from neuralake_kernel.errors import NeuralakeError, ProtocolError
from neuralake_kernel.stack.protocol import MAX_LINE_BYTES, PROTOCOL, decode, encode, is_same

__all__ = ["Connection", "Server", "as_error"]


def as_error(fault: NeuralakeError) -> dict[str, Any]:
    """Answer that carries an error."""
    error = {"class": type(fault).__name__, "code": fault.code, "message": fault.message, "hint": fault.hint}
    return {"ok": False, "error": error}


class Connection:
    """One client; its calls are answered in order, an answer may come later.

    Parameters
    ----------
    channel
        Its socket.
    selector
        The supervisor's.
    """

    def __init__(self, channel: socket.socket, selector: selectors.BaseSelector) -> None:
        channel.setblocking(False)
        self.channel = channel
        self.is_open = True
        self._selector = selector
        self._received = b""
        self._unsent = b""
        selector.register(channel, selectors.EVENT_READ, self)

    def read_lines(self) -> list[bytes]:
        """Complete lines that have arrived; closes at the end of the stream."""
        try:
            block = self.channel.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            block = b""
        if not block or len(self._received) > MAX_LINE_BYTES:
            self.close()
            return []
        *lines, self._received = (self._received + block).split(b"\n")
        return lines

    def answer(self, message: dict[str, Any]) -> None:
        """Send an answer as far as the client takes it."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send more of what is unsent."""
        if not self.is_open:
            return
        try:
            self._unsent = self._unsent[self.channel.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self.channel, wanted, self)

    def close(self) -> None:
        """Forget the client."""
        if self.is_open:
            self.is_open = False
            self._selector.unregister(self.channel)
            with contextlib.suppress(OSError):
                self.channel.close()


class Server:
    """Accept clients and hand their calls on.

    Parameters
    ----------
    listener
        Bound socket.
    secret
        What every call must carry.
    selector
        The supervisor's.
    handle
        Takes a connection, a call's name and its arguments; answers through the connection, now or later.
    """

    def __init__(
        self,
        listener: socket.socket,
        secret: str,
        selector: selectors.BaseSelector,
        handle: Callable[[Connection, str, dict[str, Any]], None],
    ) -> None:
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self)
        self._listener = listener
        self._secret = secret
        self._selector = selector
        self._handle = handle

    def accept(self) -> None:
        """Take a new client."""
        with contextlib.suppress(OSError):
            Connection(self._listener.accept()[0], self._selector)

    def serve(self, connection: Connection, events: int) -> None:
        """Answer what a client sent."""
        if events & selectors.EVENT_WRITE:
            connection.flush()
        if not events & selectors.EVENT_READ:
            return
        for line in connection.read_lines():
            try:
                call, arguments = self._check(line)
                self._handle(connection, call, arguments)
            except NeuralakeError as fault:
                connection.answer(as_error(fault))
            except (KeyError, TypeError, ValueError) as fault:
                message = f"Cannot answer a call: its arguments are wrong ({type(fault).__name__}: {fault})."
                connection.answer(as_error(ProtocolError(message, code="supervisor-message")))

    def _check(self, line: bytes) -> tuple[str, dict[str, Any]]:
        message = decode(line)
        if not is_same(str(message.get("secret", "")), self._secret):
            text = "Cannot answer: the secret is missing or wrong."
            raise ProtocolError(text, code="supervisor-secret", hint="Only the owner of the state folder may ask.")
        if message.get("protocol") != PROTOCOL:
            text = f"Cannot answer protocol {message.get('protocol')}: this supervisor speaks {PROTOCOL}."
            hint = "Stop it with the version of the workbench that started it (neuralake down), then try again."
            raise ProtocolError(text, code="supervisor-protocol", hint=hint)
        return str(message["call"]), dict(message.get("args", {}))

    def close(self) -> None:
        """Listen no more; open connections stay for their last answers."""
        self._selector.unregister(self._listener)
        self._listener.close()
