"""The quarantine of a table, as people read it: what is in it by now, why, and what it said.

A reject that was requeued is superseded by an attempt row at its place, which has no raw bytes; neither is shown.
"""

from typing import TYPE_CHECKING, Final

from neuralake_kernel.catalog import QUARANTINE_SUFFIX, Snapshots
from neuralake_kernel.errors import CatalogError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Quarantine"]

_PLACE: Final = ("_source", "_partition", "_offset", "_row")
_EXAMPLES: Final = 5
_SHOWN_CHARACTERS: Final = 100
# What an Arrow IPC stream begins with; no UTF-8 does.
_ARROW_MARK: Final = b"\xff\xff\xff\xff"


class Quarantine:
    """The rejects of one table. ``lab.quarantine`` makes it.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    table
        Name of the table, without a suffix.
    """

    def __init__(self, snapshots: Snapshots, table: str) -> None:
        self._snapshots = snapshots
        self.table = table

    def lazy(self, *, version: int | None = None) -> "pl.LazyFrame":
        """Read the rejects as a Polars lazy frame.

        Parameters
        ----------
        version
            Version of the quarantine to read; without it the newest.

        Returns
        -------
        polars.LazyFrame
            ``text`` (null where the bytes are neither text nor a row of an Arrow message), ``reasons`` (rule ids),
            ``raw``, ``contract_id``, ``contract_version``, and where it came from: ``_source``, ``_partition``,
            ``_offset``, ``_row`` (null: the whole message), ``_ingest_time``.

        Raises
        ------
        CatalogError
            The table is not there, or the store is away.
        """
        import polars as pl

        rows = pl.scan_delta(self._snapshots.at(self.table + QUARANTINE_SUFFIX, version))
        attempts = rows.filter(pl.col("raw").is_null()).select(_PLACE)
        rejects = rows.filter(pl.col("raw").is_not_null())
        held = rejects.join(attempts, on=_PLACE, how="anti", nulls_equal=True, maintain_order="left")
        text = pl.col("raw").map_batches(_texts, return_dtype=pl.String)
        # A row of an Arrow message was written again by the ingestor; what came in itself may lie about its lengths.
        row = pl.when(pl.col("_row").is_not_null()).then("raw").map_batches(_rows, return_dtype=pl.String)
        text = pl.coalesce(text, row).alias("text")
        return held.select(text, "reasons", "raw", "contract_id", "contract_version", *_PLACE, "_ingest_time")

    def reasons(self) -> "pl.DataFrame":
        """Count rejects by rule, most often first; one that breaks two rules counts for both."""
        import polars as pl

        counted = self.lazy().select(reason=pl.col("reasons")).explode("reason").group_by("reason").len("rejects")
        return counted.sort("rejects", "reason", descending=[True, False]).collect()

    def __repr__(self) -> str:
        """Counts by reason, and the newest rejects."""
        import polars as pl

        try:
            held = self.lazy().select(pl.len()).collect().item()
            if not held:
                return f"Quarantine of {self.table}: empty"
            newest = self.lazy().sort("_ingest_time", "_offset", descending=True).head(_EXAMPLES).collect()
            lines = [f"Quarantine of {self.table}: {held:,} rejects"]
            lines += [f"  {count:>9,} x {reason}" for reason, count in self.reasons().iter_rows()]
        except CatalogError as error:
            return f"Quarantine of {self.table}: {error.message}"
        lines.append("newest:")
        for row in newest.iter_rows(named=True):
            place = f"partition {row['_partition']} offset {row['_offset']}"
            place += "" if row["_row"] is None else f" row {row['_row']}"
            lines.append(f"  {place}: {', '.join(row['reasons'])}: {_shown(row['text'], row['raw'])}")
        return "\n".join(lines)


def _texts(raw: "pl.Series") -> "pl.Series":
    """Bytes as text; null where they are none. Polars casts all of them or refuses all."""
    import polars as pl

    try:
        return raw.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series(raw.name, [_text(value) for value in raw], dtype=pl.String)


def _text(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _rows(raw: "pl.Series") -> "pl.Series":
    """Arrow streams of one row as the text of that row; null where it is none."""
    import polars as pl

    is_arrow = raw.bin.starts_with(_ARROW_MARK).fill_null(value=False)
    texts = [_row(value) if arrow else None for value, arrow in zip(raw, is_arrow, strict=True)]
    return pl.Series(raw.name, texts, dtype=pl.String)


def _row(raw: bytes) -> str:
    import pyarrow as pa

    with pa.ipc.open_stream(raw) as stream:
        return ", ".join(map(str, stream.read_all().to_pylist()))


def _shown(text: str | None, raw: bytes) -> str:
    shown = repr(raw) if text is None else text
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[: _SHOWN_CHARACTERS - 1] + "…"
