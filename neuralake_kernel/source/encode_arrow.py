"""Rows to messages: Arrow IPC streams of as many rows as a message may hold.

Times become UTC microseconds, a time without a zone is taken for UTC, and categories become texts; all else stays as it
is, NaN too.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

__all__ = ["MESSAGE_BYTES", "encode_streams"]

# Half of what Kafka's producers and brokers take by default, as rows of one frame differ in size.
MESSAGE_BYTES = 512 * 1024


def encode_streams(frame: pl.DataFrame, most_rows: int | None = None) -> pa.BinaryArray:
    """Encode rows as Arrow IPC streams, each a message.

    Parameters
    ----------
    frame
        Shape (row, column).
    most_rows
        Rows of a message at most (> 0); without it as many as fit.

    Returns
    -------
    pyarrow.BinaryArray
        Messages that hold the rows in their order. One is larger than `MESSAGE_BYTES` only if it holds a single row.
    """
    table = _plain(frame).to_arrow(compat_level=pl.CompatLevel.oldest())
    fitting = max(1, MESSAGE_BYTES * len(frame) // max(table.nbytes, 1))
    values: list[bytes] = []
    for batch in table.combine_chunks().to_batches(max_chunksize=min(fitting, most_rows or fitting)):
        _encode(batch, values)
    return pa.array(values, pa.binary())


def _encode(batch: pa.RecordBatch, values: list[bytes]) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    value = sink.getvalue()
    if value.size > MESSAGE_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        _encode(batch.slice(0, half), values)
        _encode(batch.slice(half), values)
    else:
        values.append(value.to_pybytes())


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    changed = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.Datetime):
            has_zone = dtype.time_zone is not None
            in_utc = column.dt.convert_time_zone("UTC") if has_zone else column.dt.replace_time_zone("UTC")
            changed.append(in_utc.dt.cast_time_unit("us"))
        elif isinstance(dtype, pl.Categorical | pl.Enum):
            changed.append(column.cast(pl.String))
    return frame.with_columns(changed)
