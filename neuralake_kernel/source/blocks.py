"""Rows of any kind, cut into blocks of messages.

A frame becomes one JSON object per row, encoded as a column. Dicts become JSON as the frame's rows would: times as
microseconds since 1970 (UTC), a float that is no number as null. Bytes are messages already.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import polars as pl
    import pyarrow as pa

__all__ = ["Block", "blocks"]

FRAME_ROWS = 8192
ITEM_ROWS = 1000
# An item of a slow iterator waits at most this long for those behind it, once one of them comes.
ITEM_S = 0.05
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Block:
    """Messages in order, and their keys if there are any."""

    values: pa.BinaryArray
    keys: list[bytes] | None


def blocks(rows: object, columns: Sequence[str] | None, required: Collection[str], key: str | None) -> Iterator[Block]:
    """Cut rows into blocks; what kind they are is told before the first one is sent.

    Raises
    ------
    UsageError
        ``rows-unknown``, ``columns-missing``.
    """
    if hasattr(rows, "__arrow_c_stream__"):
        return _frames(_batches(rows), columns, required, key)
    if type(rows).__module__.startswith("polars") and hasattr(rows, "collect"):
        return _frames(iter([rows.collect()]), columns, required, key)
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping):
        return _items(rows, required, key)
    raise _unknown(rows)


def _batches(rows: object) -> Iterator[pl.DataFrame]:
    import polars as pl
    import pyarrow as pa

    for batch in pa.RecordBatchReader.from_stream(rows):
        yield pl.DataFrame(pl.from_arrow(batch))


def _frames(
    frames: Iterator[pl.DataFrame], columns: Sequence[str] | None, required: Collection[str], key: str | None
) -> Iterator[Block]:
    import polars as pl

    from neuralake_kernel.source.encode import encode_rows
    from neuralake_kernel.source.replaying import match_columns

    for frame in frames:
        chosen = match_columns(frame.columns, columns, {*required, *([key] if key else [])}, name="these rows")
        for part in frame.iter_slices(FRAME_ROWS):
            if part.is_empty():
                continue
            keys = None if key is None else part.get_column(key).cast(pl.String).fill_null("").to_list()
            yield Block(encode_rows(part.select(chosen)), keys and [text.encode() for text in keys])


def _items(rows: Iterable[object], required: Collection[str], key: str | None) -> Iterator[Block]:
    import pyarrow as pa

    values: list[bytes] = []
    keys: list[bytes] = []
    began = time.monotonic()

    def cut() -> Block:
        block = Block(pa.array(values, pa.binary()), list(keys) if key else None)
        values.clear()
        keys.clear()
        return block

    for number, row in enumerate(rows):
        value = _encode(row, required, key, number)
        if not values:
            began = time.monotonic()
        values.append(value)
        if key is not None and isinstance(row, Mapping):
            keys.append(str(row[key]).encode())
        if len(values) >= ITEM_ROWS or time.monotonic() - began >= ITEM_S:
            yield cut()
    if values:
        yield cut()


def _encode(row: object, required: Collection[str], key: str | None, number: int) -> bytes:
    if isinstance(row, bytes | bytearray | memoryview):
        if key is not None:
            msg = f"Cannot take the key {key!r} out of bytes: only dicts and frames have columns."
            raise UsageError(msg, code="rows-unknown", hint="Leave the key out, or send dicts.")
        return bytes(row)
    if not isinstance(row, Mapping):
        raise _unknown(row)
    missing = [name for name in (*required, *([key] if key else [])) if name not in row]
    if missing:
        shown = ", ".join(map(str, list(row)[:12]))
        msg = f"Cannot send row {number} to this table: it has no {', '.join(missing)}. Found: {shown}."
        raise UsageError(msg, code="columns-missing", hint="Add the columns, or declare them nullable.")
    return json.dumps(_finite(row), separators=(",", ":"), default=_plain, ensure_ascii=False).encode()


def _finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return value


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever a dict holds
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - EPOCH) // MICROSECOND
    if isinstance(value, date):
        return value.isoformat()
    item: Callable[[], object] | None = getattr(value, "item", None)
    if item is not None:
        return _finite(item())
    msg = f"Cannot send a value of type {type(value).__name__} as JSON."
    raise UsageError(msg, code="rows-unknown", hint="Numbers, text, booleans, times, lists and dicts can be sent.")


def _unknown(found: object) -> UsageError:
    return UsageError(
        f"Cannot send {type(found).__name__}: expected a frame, an Arrow stream, or an iterable of dicts or bytes.",
        code="rows-unknown",
        hint="A single row goes as a list of one dict.",
    )
