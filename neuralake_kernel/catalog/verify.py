"""The checker of the law of the message, independent of whatever wrote the table.

A delivered message is one whole-message reject, or its rows 0..n-1 are split between the table and its
quarantine; together they hold each message from the first position to the present one exactly once.
The table is read first, at one version v; the quarantine afterwards, so that an honest writer at work is
never blamed; both are cut at v's positions. Nothing is written and no state is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.catalog.declaration import QUARANTINE_SUFFIX
from neuralake_kernel.catalog.delta_log import LogHistory, read_history
from neuralake_kernel.catalog.expectation import load_expected
from neuralake_kernel.catalog.findings import FindingList, judge_messages, judge_sent
from neuralake_kernel.catalog.snapshot import TableStore, open_table
from neuralake_kernel.catalog.verify_report import VerifyReport
from neuralake_kernel.errors import CatalogError, UsageError

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

__all__ = ["verify_table"]

_KEY: Final = ("source", "partition", "offset", "row")


@dataclass(frozen=True, slots=True)
class _Positions:
    """What the log of the main table says about one job."""

    now: Mapping[int, int]
    first: Mapping[int, int]
    epoch: int | None

    def frame(self) -> "pl.DataFrame":
        """Give ``partition``, ``first``, ``position``, one row per partition."""
        import polars as pl

        return pl.DataFrame(
            {
                "partition": list(self.now),
                "first": [self.first[key] for key in self.now],
                "position": list(self.now.values()),
            },
            schema={"partition": pl.Int64, "first": pl.Int64, "position": pl.Int64},
        )


def verify_table(
    store: TableStore,
    table: str,
    *,
    expect: "str | Path | pl.DataFrame | None" = None,
    version: int | None = None,
    dense: bool = False,
    foreign: bool = False,
) -> VerifyReport:
    """Check that a table and its quarantine hold each message exactly once.

    Parameters
    ----------
    store
        Where the lake is.
    table
        Name of the main table.
    expect
        What was sent: a file of JSON lines ``{"partition", "offset", "rows"}`` or a frame with
        these columns.
    version
        Version of the main table to check; without it the newest.
    dense
        The source leaves no offset out (our journal): an absent offset is then a lost message.
    foreign
        The table was not written by our ingestor: it has ``_partition`` and ``_offset``, perhaps
        ``_row``, but no positions; ``expect`` alone says what it must hold.

    Returns
    -------
    VerifyReport
        Verdict, counts, the first findings of each kind.

    Raises
    ------
    CatalogError
        The table cannot be opened, or lacks the columns of the law (``identity-missing``).
    UsageError
        ``expect-unreadable``, or ``foreign`` without ``expect``.
    """
    if foreign and expect is None:
        raise UsageError(
            f"Cannot verify {table!r} as a foreign table: nothing says what was sent.",
            code="expect-missing",
            hint="pass expect=… (--expect FILE).",
        )
    main = open_table(store, table, version=version)
    found = FindingList()
    history = None if foreign else read_history(main)
    positions = _Positions({}, {}, None)
    if history is not None:
        positions = _read_positions(main, table, history, found)
    quarantine = None if foreign else _open_quarantine(store, table, found)
    recorded = None if quarantine is None else quarantine.transaction_version(str(main.metadata().id))
    if history is not None:
        _judge_roll_forward(history, main.version(), recorded, found)

    rows = _read_rows(table, main, is_quarantine=False, may_lack_row=foreign)
    if quarantine is not None:
        name = table + QUARANTINE_SUFFIX
        rejected = _read_rows(name, quarantine, is_quarantine=True)
        rows = _concat(rows, rejected)
    if history is not None and not history.is_complete:
        positions = _from_oldest_held(positions, rows)
    cut = rows if foreign else _cut(rows, positions, main.version(), recorded, found)
    held = judge_messages(cut, found)
    sent = None if expect is None else load_expected(expect, positions.first)
    pending = 0
    if sent is not None:
        # Without row numbers a message that says nothing else is one row.
        due = sent.fill_null(1) if foreign else _below(sent, positions)
        pending = sent.height - due.height
        judge_sent(held, due, found)
    absent = 0 if foreign else _absent_offsets(held, positions)
    if dense and sent is None:
        found.count_missing(held, positions.first, positions.now, absent)
    return VerifyReport(
        table=table,
        version=main.version(),
        quarantine_version=recorded,
        positions={str(key): value for key, value in sorted(positions.now.items())},
        first_positions={str(key): value for key, value in sorted(positions.first.items())},
        epoch=positions.epoch,
        messages=held.height,
        **_row_counts(cut),
        expected=None if sent is None else sent.height,
        pending=pending,
        absent_offsets=absent,
        counts=found.counts,
        problems=found.kept,
        notes=_notes(rows, history),
    )


def _read_positions(main: "DeltaTable", job: str, history: LogHistory, found: FindingList) -> _Positions:
    """Positions, first positions and epoch; neither may ever move back."""
    now: dict[int, int] = {}
    first: dict[int, int] = {}
    app_ids: dict[int, str] = {}
    epoch: int | None = None
    for version, app_id, value in history.transactions():
        if app_id == f"{job}/epoch":
            if epoch is not None and value <= epoch:
                found.add("epoch-not-risen", f"version {version}: epoch {value} after {epoch}")
            epoch = value
            continue
        owner, _, rest = app_id.partition("/")
        partition = rest.rpartition("/")[2]
        if owner != job or "/" not in rest or not partition.isdecimal():
            continue
        key = int(partition)
        first.setdefault(key, value)
        if value < now.get(key, value):
            text = f"version {version}: partition {key} went from {now[key]} to {value}"
            found.add("position-moved-back", text, partition=key)
        now[key] = value
        app_ids[key] = app_id
    # The engine's own answer is asked too: a position that only our reading of the log sees is none.
    for key, app_id in app_ids.items():
        if main.transaction_version(app_id) != now[key]:
            text = f"{app_id}: the snapshot does not know position {now[key]}"
            found.add("no-position", text, partition=key)
    return _Positions(now, first, epoch)


def _from_oldest_held(positions: _Positions, rows: "pl.LazyFrame") -> _Positions:
    """Where the first commits are gone, a partition begins no later than with what it holds."""
    import polars as pl

    oldest = rows.group_by("partition").agg(pl.col("offset").min()).collect()
    held = dict(zip(oldest["partition"], oldest["offset"], strict=True))
    first = {key: min(value, held.get(key, value)) for key, value in positions.first.items()}
    return _Positions(positions.now, first, positions.epoch)


def _open_quarantine(store: TableStore, table: str, found: FindingList) -> "DeltaTable | None":
    try:
        return open_table(store, table + QUARANTINE_SUFFIX)
    except CatalogError as error:
        if error.code != "table-not-created":
            found.add("quarantine-unread", error.message)
        return None


def _judge_roll_forward(history: LogHistory, version: int, recorded: int | None, found: FindingList) -> None:
    """Versions in (recorded, v] may have named no file; one that did is not rolled forward."""
    for commit in history.commits:
        if (recorded is None or commit.version > recorded) and _names_rejects(commit.info):
            text = f"version {commit.version} of {version} named rejected rows; recorded {recorded}"
            found.add("quarantine-behind", text)


def _names_rejects(info: Any, *, under_quarantine: bool = False) -> bool:  # noqa: ANN401  (free JSON)
    """Whether a commit's info names quarantine files, under whatever key says so."""
    if isinstance(info, dict):
        return any(
            _names_rejects(value, under_quarantine=under_quarantine or "quarantine" in key.lower())
            for key, value in info.items()
        )
    if isinstance(info, str):
        return under_quarantine and ".parquet" in info
    return isinstance(info, list) and any(_names_rejects(value, under_quarantine=under_quarantine) for value in info)


def _read_rows(name: str, table: "DeltaTable", *, is_quarantine: bool, may_lack_row: bool = False) -> "pl.LazyFrame":
    import polars as pl

    frame = pl.scan_delta(table)
    names = frame.collect_schema().names()
    wanted = {"_partition", "_offset"} | (set() if may_lack_row else {"_row"})
    if lacking := sorted(wanted.difference(names)):
        raise CatalogError(
            f"Cannot verify {name!r}: it has no column {', '.join(lacking)}.",
            code="identity-missing",
            hint="a table of another writer needs at least _partition and _offset, and foreign=True.",
            context={"table": name, "columns": lacking},
        )
    key = ("_partition", "_offset")
    # Without a row number only the count can be compared with what was sent.
    row = pl.col("_row") if "_row" in names else pl.int_range(pl.len()).over(key)
    source = pl.col("_source").cast(pl.String) if "_source" in names else pl.lit("")
    return frame.select(
        source=source,
        partition=pl.col("_partition").cast(pl.Int64),
        offset=pl.col("_offset").cast(pl.Int64),
        row=row.cast(pl.Int64),
        in_quarantine=pl.lit(is_quarantine),
    )


def _concat(rows: "pl.LazyFrame", rejected: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    return pl.concat([rows, rejected])


def _cut(
    rows: "pl.LazyFrame",
    positions: _Positions,
    version: int,
    recorded: int | None,
    found: FindingList,
) -> "pl.LazyFrame":
    """Keep what lies below the positions; blame what lies beyond and may not."""
    import polars as pl

    placed = rows.join(positions.frame().lazy(), on="partition", how="left")
    is_beyond = (pl.col("offset") >= pl.col("position")) | pl.col("position").is_null()
    # A quarantine rolled forward past v honestly holds rejects of later versions.
    may_run_ahead = recorded is not None and recorded > version
    blamed = is_beyond & ~pl.col("in_quarantine") if may_run_ahead else is_beyond
    is_rowless = pl.col("row").is_null() & ~pl.col("in_quarantine")
    found.add_beyond(placed.filter(blamed).collect())
    found.add_misplaced(placed.filter((pl.col("offset") < pl.col("first")) | is_rowless).collect())
    return placed.filter(~is_beyond).select(*_KEY, "in_quarantine")


def _below(sent: "pl.DataFrame", positions: _Positions) -> "pl.DataFrame":
    """What was sent between the first positions and the positions."""
    import polars as pl

    placed = sent.join(positions.frame(), on="partition", how="left")
    inside = pl.col("offset").is_between(pl.col("first"), pl.col("position"), closed="left")
    return placed.filter(inside).select(sent.columns)


def _absent_offsets(held: "pl.DataFrame", positions: _Positions) -> int:
    span = sum(position - positions.first[key] for key, position in positions.now.items())
    return max(0, span - held.select("partition", "offset").n_unique()) if span else 0


def _row_counts(rows: "pl.LazyFrame") -> dict[str, int]:
    import polars as pl

    is_whole = pl.col("row").is_null()
    rejected = pl.col("in_quarantine")
    counted = rows.select(
        rows=(~rejected).sum(),
        quarantined_rows=(rejected & ~is_whole).sum(),
        dead_letters=(rejected & is_whole).sum(),
    ).collect()
    return {name: int(value) for name, value in counted.row(0, named=True).items()}


def _notes(rows: "pl.LazyFrame", history: LogHistory | None) -> tuple[str, ...]:
    import polars as pl

    notes = []
    if history is not None and not history.is_complete:
        notes.append("the oldest commits are cleaned; first positions are the oldest still known")
    sources = rows.select(pl.col("source").unique()).collect().to_series().drop_nulls().sort()
    if len(sources) > 1:
        notes.append(f"rows of {len(sources)} sources: {', '.join(sources)}")
    return tuple(notes)
