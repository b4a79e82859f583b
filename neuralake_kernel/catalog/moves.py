"""What the checker makes of requeued rejects: one that moved is held by the table alone.

A quarantine is only ever added to. An attempt row, which has no raw bytes, stands at the place of the reject it
supersedes. It was decided by the commit that added the rows, so at a version it counts when the table holds them there.
"""

from typing import TYPE_CHECKING, Final

from neuralake_kernel.catalog.findings import FindingList

if TYPE_CHECKING:
    import polars as pl

__all__ = ["settle_moves"]

_MESSAGE: Final = ("source", "partition", "offset")
_PLACE: Final = (*_MESSAGE, "row")


def settle_moves(
    rows: "pl.LazyFrame", rejected: "pl.LazyFrame", found: FindingList, *, may_run_ahead: bool
) -> "pl.LazyFrame":
    """Keep the rejects that the quarantine alone holds.

    Parameters
    ----------
    rows
        Places of the main table.
    rejected
        Places of the quarantine, with ``is_attempt``.
    found
        Where an attempt is blamed whose rows are nowhere.
    may_run_ahead
        The quarantine may know of commits after the version that ``rows`` were read at.
    """
    import polars as pl

    rejects = rejected.filter(~pl.col("is_attempt")).drop("is_attempt")
    attempts = rejected.filter("is_attempt").select(_PLACE).collect().lazy()
    if attempts.select(pl.len()).collect().item() == 0:
        return rejects
    is_whole = pl.col("row").is_null()
    moved = pl.concat(
        [
            attempts.filter(~is_whole).join(rows, on=_PLACE, how="semi"),
            attempts.filter(is_whole).join(rows, on=_MESSAGE, how="semi"),
        ]
    )
    unmoved = attempts.join(moved, on=_PLACE, how="anti", nulls_equal=True)
    if not may_run_ahead:
        text = "partition {partition} offset {offset} row {row}: left the quarantine and is not in the table"
        found.add_places("moved-missing", unmoved.collect(), text)
    # Rows that a dead letter left in quarantine when it moved came with the move.
    later = unmoved.filter(is_whole)
    held = rejects.join(moved, on=_PLACE, how="anti", nulls_equal=True)
    return pl.concat([held.filter(is_whole), held.filter(~is_whole).join(later, on=_MESSAGE, how="anti")])
