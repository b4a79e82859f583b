"""Rows to messages: one JSON object per row, encoded by polars as a column, never row by row in Python.

Times become integers (us since epoch, UTC); a float that is no number becomes null, as JSON has
none.
"""

from __future__ import annotations

import polars as pl
import polars.selectors as cs
import pyarrow as pa

__all__ = ["encode_rows"]


def encode_rows(frame: pl.DataFrame) -> pa.BinaryArray:
    """Encode rows as JSON.

    Parameters
    ----------
    frame
        Shape (row, column).

    Returns
    -------
    pyarrow.BinaryArray
        Shape (row,), UTF-8 JSON objects whose keys are the columns in their order.
    """
    plain = frame.with_columns(
        cs.datetime().dt.epoch("us"),
        pl.when(cs.float().is_finite()).then(cs.float()),
    )
    text = plain.select(pl.struct(pl.all()).struct.json_encode().alias("json")).to_series()
    return text.to_arrow().cast(pa.binary())
