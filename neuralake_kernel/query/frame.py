"""A table as a Polars lazy frame, pruned by the Delta log, pinned to one version."""

from typing import TYPE_CHECKING

from neuralake_kernel.catalog import Snapshots
from neuralake_kernel.contract import is_identity_column
from neuralake_kernel.query.published import published_frame

if TYPE_CHECKING:
    import polars as pl

__all__ = ["scan"]


def scan(snapshots: Snapshots, table: str, *, version: int | None = None, identity: bool = False) -> "pl.LazyFrame":
    """Read a table lazily.

    A filter on a column with statistics skips files by the log, before any of them is opened (not
    above a value on floats: a NaN counts as larger than all, and statistics leave it out). The frame
    stays at its version whatever is committed later; it fails once that version is vacuumed. Of the
    signal tables only rows of published recordings are seen.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    table
        Name of the table.
    version
        Version to read (≥ 0); without it the newest.
    identity
        Whether the columns that begin with ``_`` are there.

    Returns
    -------
    polars.LazyFrame
        Columns in stored order.

    Raises
    ------
    CatalogError
        The table or the version is not there, or the store does not answer.
    """
    import polars as pl

    held = snapshots.at(table, version)
    frame = published_frame(snapshots, table, pl.scan_delta(held))
    if identity:
        return frame
    shown = [field.name for field in held.schema().fields if not is_identity_column(field.name)]
    return frame.select(shown)
