"""Rows at hand against a contract: the verdict that the ingestor would give, before anything is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from neuralake_kernel import _bridge
from neuralake_kernel.contract.columns import Contract

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CheckReport", "check_rows"]

_SHOWN_ROWS = 5


@dataclass(frozen=True)
class CheckReport:
    """What a contract says of some rows.

    Parameters
    ----------
    rows
        Rows looked at.
    broken
        Those that break a rule, with ``row`` (their number), ``reasons`` and ``warnings`` (rule ids) before their own
        columns. A row without reasons would reach the table, and be counted as a warning.
    """

    rows: int
    broken: "pl.DataFrame" = field(repr=False)

    @property
    def rejected(self) -> int:
        """Rows that would go to the quarantine."""
        return int((self.broken["reasons"].list.len() > 0).sum())

    @property
    def reasons(self) -> Mapping[str, int]:
        """How often each rule keeps a row out, most often first."""
        return _counts(self.broken["reasons"])

    @property
    def warnings(self) -> Mapping[str, int]:
        """How often rows break a rule they may stay with."""
        return _counts(self.broken["warnings"])

    def __bool__(self) -> bool:
        """Whether every row would reach the table."""
        return self.rejected == 0

    def __repr__(self) -> str:
        """Counts by reason, and the first rows at fault."""
        lines = [f"{self.rows:,} rows: {self.rows - self.rejected:,} hold the contract, {self.rejected:,} do not"]
        lines += [f"  {count:>9,} x {reason}" for reason, count in self.reasons.items()]
        lines += [f"  {count:>9,} x {reason} (warning)" for reason, count in self.warnings.items()]
        if len(self.broken):
            lines.append(str(self.broken.head(_SHOWN_ROWS)))
        return "\n".join(lines)


def check_rows(contract: Contract, rows: Any) -> CheckReport:  # noqa: ANN401 - whatever Polars makes a frame of
    """Judge rows by a contract, as the ingestor would.

    Parameters
    ----------
    contract
        What a row must be.
    rows
        A Polars or pandas frame, an Arrow table, or a mapping of columns. Columns are found by name; one that is not
        there counts as null, one that the contract does not know is not looked at. Values of a narrower type are
        taken for those of the declared one where no digit is lost.

    Returns
    -------
    CheckReport
        Rows that break a rule, with their reasons.
    """
    import polars as pl

    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
    # Nothing but nulls says as much as no column; a batch without any would not know how many rows it has.
    known = [name for name in contract.names if frame.schema.get(name, pl.Null()) != pl.Null()]
    judged = frame.select(*known, pl.repeat(None, frame.height, dtype=pl.Boolean).alias("_"))
    found = pl.DataFrame(_bridge.contract_judge(json.dumps(contract.to_json()), judged))
    numbered = frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return CheckReport(rows=frame.height, broken=found.join(numbered, on="row", how="left", maintain_order="left"))


def _counts(lists: "pl.Series") -> dict[str, int]:
    import polars as pl

    counts = lists.explode().drop_nulls().value_counts(name="count").sort("count", lists.name, descending=[True, False])
    return dict(counts.select(pl.col(lists.name), pl.col("count")).iter_rows())
