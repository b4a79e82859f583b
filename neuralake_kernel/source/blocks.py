"""Rows of any kind, cut into blocks of messages.

As JSON a frame becomes one object per row, encoded as a column, and dicts become what the frame's rows would: times as
microseconds since 1970 (UTC), a float that is no number as null. As Arrow, frames and dicts become messages of many
rows. Bytes are messages already.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.encoding import encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import polars as pl
    import pyarrow as pa

    from neuralake_kernel.contract import Encoding

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


def blocks(
    rows: object, columns: Sequence[str] | None, required: Collection[str], key: str | None, encoding: Encoding = "json"
) -> Iterator[Block]:
    """Cut rows into blocks; what kind they are is told before the first one is sent.

    Raises
    ------
    UsageError
        ``rows-unknown``, ``columns-missing``.
    """
    if hasattr(rows, "__arrow_c_stream__"):
        return _frames(_batches(rows), columns, required, key, encoding)
    if type(rows).__module__.startswith("polars") and hasattr(rows, "collect"):
        return _frames(iter([rows.collect()]), columns, required, key, encoding)
    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes | Mapping):
        return _items(rows, required, key, encoding)
    raise _unknown(rows)


def _batches(rows: object) -> Iterator[pl.DataFrame]:
    import polars as pl
    import pyarrow as pa

    for batch in pa.RecordBatchReader.from_stream(rows):
        yield pl.DataFrame(pl.from_arrow(batch))


def _frames(
    frames: Iterator[pl.DataFrame],
    columns: Sequence[str] | None,
    required: Collection[str],
    key: str | None,
    encoding: Encoding,
) -> Iterator[Block]:
    from neuralake_kernel.source.replaying import match_columns

    for frame in frames:
        chosen = match_columns(frame.columns, columns, {*required, *([key] if key else [])}, name="these rows")
        for part in frame.iter_slices(FRAME_ROWS):
            if not part.is_empty():
                yield _framed(part, chosen, key, encoding)


def _framed(part: pl.DataFrame, chosen: Sequence[str], key: str | None, encoding: Encoding) -> Block:
    import polars as pl
    import pyarrow as pa

    encode = encoder(encoding)
    if key is None:
        return Block(encode(part.select(chosen), None), None)
    named = pl.col(key).cast(pl.String).fill_null("")
    if encoding == "json":
        return Block(encode(part.select(chosen), None), [text.encode() for text in part.select(named).to_series()])
    # A message has one key, so the rows of many-row messages are put together by it.
    values, keys = [], list[bytes]()
    for group in part.partition_by(key, maintain_order=True):
        values.append(encode(group.select(chosen), None))
        keys += [group.select(named).item(0, 0).encode()] * len(values[-1])
    return Block(pa.concat_arrays(values), keys)


def _items(rows: Iterable[object], required: Collection[str], key: str | None, encoding: Encoding) -> Iterator[Block]:
    pending: list[bytes | Mapping[str, Any]] = []
    began = time.monotonic()
    for number, row in enumerate(rows):
        checked = _checked(row, required, key, number)
        if not pending:
            began = time.monotonic()
        pending.append(checked)
        if len(pending) >= ITEM_ROWS or time.monotonic() - began >= ITEM_S:
            yield from _itemised(pending, key, encoding)
            pending.clear()
    if pending:
        yield from _itemised(pending, key, encoding)


def _itemised(items: Sequence[bytes | Mapping[str, Any]], key: str | None, encoding: Encoding) -> Iterator[Block]:
    import pyarrow as pa

    if encoding == "json":
        values = [item if isinstance(item, bytes) else _line(item) for item in items]
        keys = [str(item[key]).encode() for item in items if isinstance(item, Mapping)] if key else None
        yield Block(pa.array(values, pa.binary()), keys)
        return
    for is_message, run in groupby(items, lambda item: isinstance(item, bytes)):
        if is_message:
            yield Block(pa.array(list(run), pa.binary()), None)
        else:
            frame = _frame(list(run))
            yield _framed(frame, frame.columns, key, encoding)


def _frame(rows: Sequence[Any]) -> pl.DataFrame:
    import polars as pl
    import pyarrow as pa

    columns = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        try:
            columns[str(name)] = pa.array([row.get(name) for row in rows])
        except pa.ArrowException as error:
            msg = f"Cannot send these dicts as Arrow, where a column has one type: {name}: {error}."
            hint = "Give the column values of one type, or declare the table with encoding='json'."
            raise UsageError(msg, code="rows-unknown", hint=hint) from error
    return pl.DataFrame(pl.from_arrow(pa.table(columns)))


def _checked(row: object, required: Collection[str], key: str | None, number: int) -> bytes | Mapping[str, Any]:
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
    return row


def _line(row: Mapping[str, Any]) -> bytes:
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
