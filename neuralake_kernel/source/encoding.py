"""Messages out of the rows of a frame, as their topic is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl
    import pyarrow as pa

    from neuralake_kernel.contract import Encoding

    #: A frame and the most rows of a message (None: as many as it takes) to messages.
    Encode = Callable[[pl.DataFrame, int | None], pa.BinaryArray]

__all__ = ["encoder"]


def encoder(encoding: Encoding) -> Encode:
    """Give what makes messages of a frame.

    Raises
    ------
    UsageError
        ``rows-unknown``: the topic holds sample packets.
    """
    if encoding == "packets":
        raise UsageError(
            "Cannot send rows to a topic of sample packets.",
            code="rows-unknown",
            hint="make packets of samples with neuralake_kernel.source.encode_packets and send their bytes.",
        )
    return _streams if encoding == "arrow" else _lines


def _lines(frame: pl.DataFrame, _most_rows: int | None) -> pa.BinaryArray:
    from neuralake_kernel.source.encode import encode_rows

    return encode_rows(frame)


def _streams(frame: pl.DataFrame, most_rows: int | None) -> pa.BinaryArray:
    from neuralake_kernel.source.encode_arrow import encode_streams

    return encode_streams(frame, most_rows)
