"""How the messages of a topic are written: chosen once, where the table is declared."""

from typing import Final, Literal, get_args

from neuralake_kernel.errors import UsageError

__all__ = ["Encoding", "RowEncoding", "check_row_encoding"]

#: What a message of rows holds: lines of JSON, or one Arrow IPC stream.
RowEncoding = Literal["json", "arrow"]

#: What a message holds: rows, or a sample packet.
Encoding = Literal["json", "arrow", "packets"]

# With the wire format of a Confluent schema registry.
_NOT_YET: Final = ("avro", "protobuf")


def check_row_encoding(encoding: str) -> None:
    """Refuse what is no encoding of rows.

    Raises
    ------
    UsageError
        ``encoding-not-yet`` for one that has its place and no reader, ``encoding-unknown`` for any other.
    """
    if encoding in get_args(RowEncoding):
        return
    known = " or ".join(repr(name) for name in get_args(RowEncoding))
    if encoding in _NOT_YET:
        raise UsageError(
            f"Cannot read {encoding} messages: that encoding is not there yet.",
            code="encoding-not-yet",
            hint=f"have the producer send encoding={known}; lab.produce(Table, frame) does either.",
            context={"encoding": encoding},
        )
    hint = "sample packets have a declaration of their own: @nl.signals(topic=…)." if encoding == "packets" else ""
    raise UsageError(
        f"Cannot declare a table with encoding={encoding!r}: expected {known}.",
        code="encoding-unknown",
        hint=hint or "a message holds lines of JSON, or one Arrow IPC stream.",
        context={"encoding": encoding},
    )
