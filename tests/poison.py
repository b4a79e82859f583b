"""Messages that cannot land as they are, by encoding, each with what becomes of it: the table of the poison tests."""

import io
import json
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from neuralake_kernel.source import PacketStream, encode_packets

#: The declared size of the jobs that read these.
MAX_MESSAGE_BYTES = 20_000
YEAR_2704 = 23_162_630_400_000_000
STREAM = PacketStream(uuid.UUID(int=2704), 1000.0, gain_to_uv=0.5)
MOMENTS, CHANNELS = 10, 2
#: Where the stream goes on after its gap.
AHEAD = 10_000


@dataclass(frozen=True)
class Rejected:
    """A message, the reasons it is quarantined for, and which of its rows that is (None: the whole message)."""

    message: bytes
    reasons: tuple[str, ...]
    row: int | None = None
    rows: int = 1


@dataclass(frozen=True)
class Marked:
    """A packet that is kept, under what it is counted, and the mark of its blocks."""

    message: bytes
    counted: str
    mark: str | None


def line(**changes: object) -> bytes:
    """A row that holds the contract, but for the changes."""
    row = {"session": "s1", "packet": 1, "event_time": 1_700_000_000_000_000, "ch1_uv": 1.5, "count": 7}
    return json.dumps(row | changes).encode()


def nested(name: str, depth: int) -> bytes:
    """A row with arrays in arrays in a column."""
    return line(**{name: 0}).replace(f'"{name}": 0'.encode(), f'"{name}": {"[" * depth}{"]" * depth}'.encode())


def of_json(text: str | bytes, *reasons: str, row: int | None = 0, rows: int = 1) -> Rejected:
    return Rejected(text if isinstance(text, bytes) else text.encode(), reasons, row, rows)


def whole(text: str | bytes, *reasons: str) -> Rejected:
    return of_json(text, *reasons, row=None)


JSON: Mapping[str, Rejected] = {
    "empty": whole(b"", "message|empty"),
    "nothing but space": whole(" \n\t", "message|empty"),
    "over the declared size": whole(line(session="s" * MAX_MESSAGE_BYTES), "message|size"),
    "cut short": whole(line()[:-5], "message|json"),
    "two objects on a line": whole(line() + b" " + line(), "message|json"),
    "a good line and a cut one": whole(line() + b"\n" + line()[:-1], "message|json"),
    "NaN": whole(line(ch1_uv=float("nan")), "message|json"),
    "infinity": whole(line(ch1_uv=float("inf")), "message|json"),
    "half a UTF-8 character": whole(line(session="sé").replace(rb"\u00e9", b"\xc3"), "message|utf8"),
    "half a surrogate pair": whole(line(session="\ud800"), "message|json"),
    "UTF-16": whole(line().decode().encode("utf-16"), "message|utf8"),
    "a byte order mark": whole(b"\xef\xbb\xbf" + line(), "message|json"),
    "compressed": whole(b"\x1f\x8b\x08\x00" + bytes(20), "message|utf8"),
    "null": whole("null", "message|object"),
    "an array at top level": whole("[1, 2]", "message|object"),
    "a number at top level": whole("17", "message|object"),
    "a text at top level": whole('"s1"', "message|object"),
    "deep nesting that never ends": whole(line(more=0)[:-2] + b"[" * 9000, "message|json"),
    "deep nesting for a number": of_json(nested("ch1_uv", 5000), "ch1_uv|dtype"),
    "a duplicate key": of_json(line()[:-1] + b', "packet": 2}', "packet|duplicate"),
    "the year 2704": of_json(line(event_time=YEAR_2704), "event_time|max"),
    "the year 2704 as text": of_json(line(event_time="2704-01-01T00:00:00Z"), "event_time|max"),
    "a time of no date": of_json(line(event_time="yesterday"), "event_time|dtype"),
    "an integer beyond 2^63": of_json(line(count=2**63), "count|dtype"),
    "an integer beyond its column": of_json(line(packet=70_000), "packet|dtype"),
    "a real for an integer": of_json(line(packet=1.5), "packet|dtype"),
    "a number beyond its column": of_json(line(ch1_uv=1e39), "ch1_uv|dtype"),
    "out of bounds": of_json(line(packet=256), "packet|max"),
    "below its bound": of_json(line(packet=-1), "packet|min"),
    "a text for a number": of_json(line(ch1_uv="high"), "ch1_uv|dtype"),
    "a truth value for a number": of_json(line(packet=True), "packet|dtype"),
    "an object for a number": of_json(line(ch1_uv={"value": 1}), "ch1_uv|dtype"),
    "a missing column": of_json('{"session": "s1"}', "packet|nullability"),
    "null where there is none": of_json(line(session=None), "session|nullability"),
    "two faults": of_json(line(packet=-1, session=None), "session|nullability", "packet|min"),
    "one bad row of three": of_json(b"\n".join([line(), line(packet=300), line()]), "packet|max", row=1, rows=3),
}


def table(**changes: Any) -> pa.Table:
    """Two rows that hold the contract, but for the changes; None leaves a column out."""
    columns = {
        "session": ["s1", "s2"],
        "packet": pa.array([1, 2], pa.int16()),
        "event_time": pa.array([1_700_000_000_000_000] * 2, pa.timestamp("us", "UTC")),
        "ch1_uv": pa.array([1.5, None], pa.float32()),
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


def stream(rows: pa.Table, **options: Any) -> bytes:
    """One Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def read(message: bytes) -> pa.Table:
    """The rows of an Arrow IPC stream."""
    return pa.ipc.open_stream(message).read_all()


def file(rows: pa.Table) -> bytes:
    """The same rows as an Arrow IPC file."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def put(value: bytes, found: bytes, over: bytes) -> bytes:
    """Change bytes that stand in a message."""
    assert found in value
    return value.replace(found, over.ljust(len(found), b"\0"), 1)


def of_arrow(rows: pa.Table, *reasons: str, row: int | None = 1) -> Rejected:
    return Rejected(stream(rows), reasons, row, rows.num_rows)


def twice(name: str) -> pa.Table:
    rows = table()
    return rows.append_column(name, rows[name])


# Of `session`: no nulls, then three offsets of four bytes, by place and length.
_OFFSETS = struct.pack("<qq", 0, 12)

ARROW: Mapping[str, Rejected] = {
    "empty": whole(b"", "message|empty"),
    "a schema and no rows": whole(stream(table().slice(0, 0)), "message|empty"),
    "over the declared size": whole(stream(table(note=["n" * MAX_MESSAGE_BYTES] * 2)), "message|size"),
    "JSON": whole(line(), "arrow|header"),
    "an Arrow file": whole(file(table()), "arrow|header"),
    "cut in its body": whole(stream(table())[:-40], "arrow|truncated"),
    "cut before its end mark": whole(stream(table())[:-8], "arrow|truncated"),
    "bytes after its end": whole(stream(table()) + b"more", "arrow|trailing"),
    "two streams": whole(stream(table()) * 2, "arrow|trailing"),
    "compressed": whole(stream(table(), compression="zstd"), "arrow|compressed"),
    "a buffer beyond the message": whole(
        put(stream(table()), _OFFSETS, struct.pack("<qq", 1 << 40, 12)), "arrow|length"
    ),
    "texts that are none": whole(put(stream(table()), b"s1s2", b"\xc3\xc3"), "arrow|batch"),
    "metadata that is none": whole(stream(table())[:8] + bytes([0xEE] * 100), "arrow|truncated"),
    "another schema": whole(
        stream(pa.table({"time": [1.0], "voltage": [2.0]})),
        *("arrow|schema", "session|nullability", "packet|nullability"),
    ),
    "a column of another type": whole(stream(table(packet=["1", "2"])), "arrow|schema", "packet|dtype"),
    "a nested column": whole(stream(table(ch1_uv=[[1.0], [2.0]])), "arrow|schema", "ch1_uv|dtype"),
    "a time without a zone": whole(
        stream(table(event_time=pa.array([1, 2], pa.timestamp("us")))), "arrow|schema", "event_time|dtype"
    ),
    "a column that is there twice": whole(stream(twice("packet")), "arrow|schema", "packet|duplicate"),
    "a column that is missing": whole(stream(table(packet=None)), "arrow|schema", "packet|nullability"),
    "NaN": of_arrow(table(ch1_uv=pa.array([1.5, float("nan")], pa.float32())), "ch1_uv|nan"),
    "infinity": of_arrow(table(ch1_uv=pa.array([1.5, float("inf")], pa.float32())), "ch1_uv|inf"),
    "a number beyond its column": of_arrow(table(ch1_uv=[1.5, 1e39]), "ch1_uv|dtype"),
    "the year 2704": of_arrow(table(event_time=pa.array([1, YEAR_2704], pa.timestamp("us", "UTC"))), "event_time|max"),
    "a time between microseconds": of_arrow(
        table(event_time=pa.array([1000, 1001], pa.timestamp("ns", "UTC"))), "event_time|dtype"
    ),
    "an integer beyond its column": of_arrow(table(packet=[1, 2**53 + 1]), "packet|dtype"),
    "an integer beyond 2^63": of_arrow(table(count=pa.array([1, 2**63], pa.uint64())), "count|dtype"),
    "out of bounds": of_arrow(table(packet=[1, 256]), "packet|max"),
    "null where there is none": of_arrow(table(packet=[1, None]), "packet|nullability"),
    "two faults": of_arrow(table(packet=[1, -1], session=["s1", None]), "session|nullability", "packet|min"),
}


def packet(at: int, *, stream: PacketStream = STREAM, channels: int = CHANNELS, dtype: str = "int16") -> bytes:
    """The packet of a place: its samples say where they stand."""
    samples = np.arange(at, at + MOMENTS)[:, None] + np.arange(channels)
    return next(iter(encode_packets(stream, samples.astype(dtype), first=at, moments=MOMENTS)))


def header(at: int, value: bytes) -> bytes:
    """A packet with other bytes in its header."""
    good = packet(0)
    return good[:at] + value + good[at + len(value) :]


#: Sent between the packets of a stream that has 1000 Hz, two channels, int16; the gap comes last.
PACKETS: Mapping[str, Rejected | Marked] = {
    "empty": whole(b"", "message|empty"),
    "over the declared size": whole(packet(20, channels=MAX_MESSAGE_BYTES // 10), "message|size"),
    "no header": whole(b"NLSP", "packet|header"),
    "JSON": whole(line(), "packet|header"),
    "another version": whole(header(4, b"\2"), "packet|header"),
    "a type that there is not": whole(header(5, b"\x09"), "packet|dtype"),
    "a layout that there is not": whole(header(6, b"\2"), "packet|layout"),
    "a rate of NaN": whole(header(32, struct.pack("<d", float("nan"))), "packet|rate"),
    "a rate below zero": whole(header(32, struct.pack("<d", -1.0)), "packet|rate"),
    "no channel": whole(header(40, struct.pack("<H", 0)), "packet|empty"),
    "more channels than samples": whole(header(40, struct.pack("<H", 3)), "packet|length"),
    "more samples than bytes": whole(header(44, struct.pack("<I", 2**32 - 1)), "packet|length"),
    "fewer samples than bytes": whole(header(44, struct.pack("<I", MOMENTS - 1)), "packet|length"),
    "cut short": whole(packet(20)[:-1], "packet|length"),
    "a gain of zero": whole(header(48, struct.pack("<d", 0.0)), "packet|gain"),
    "an index beyond 2^63": whole(header(24, struct.pack("<Q", 2**63)), "packet|index"),
    "a rate that changes": whole(header(32, struct.pack("<d", 999.0)), "packet|rate_changed"),
    "a gain that changes": whole(header(48, struct.pack("<d", 0.25)), "packet|gain_changed"),
    "a type that changes": whole(packet(20, dtype="float32"), "packet|dtype_changed"),
    "channels that change": whole(packet(20, channels=3), "packet|channels_changed"),
    "a sample index that runs back": Marked(packet(3), "packet|behind", "behind"),
    "a packet delivered again": Marked(packet(0), "packet|behind", "behind"),
    "a sample index that runs ahead": Marked(packet(AHEAD), "packet|gap", None),
}
