"""The checker of the law of the message, independent of whatever wrote the table.

A delivered message is one whole-message reject, or its rows 0..n-1 are split between the table and its
quarantine; together they hold each message from the first position to the present one exactly once.
A reject that was requeued is held by the table. In a table of sample blocks the same is asked of each sample.
The table is read first, at one version v; the quarantine afterwards, so that an honest writer at work is
never blamed; both are cut at v's positions. Nothing is written and no state is kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.catalog.coverage import Coverage, Part, jumps_of, topics_read
from neuralake_kernel.catalog.declaration import QUARANTINE_SUFFIX
from neuralake_kernel.catalog.delta_log import LogHistory, read_history
from neuralake_kernel.catalog.expectation import PACKET_COLUMNS, load_expected
from neuralake_kernel.catalog.findings import FindingList, judge_messages, judge_sent
from neuralake_kernel.catalog.moves import settle_moves
from neuralake_kernel.catalog.snapshot import TableStore, open_table
from neuralake_kernel.catalog.verify_packets import (
    BLOCK_COLUMNS,
    judge_blocks,
    judge_packets_sent,
    read_blocks,
    spanned_offsets,
)
from neuralake_kernel.catalog.verify_report import VerifyReport
from neuralake_kernel.errors import CatalogError, UsageError

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

__all__ = ["verify_table"]

_KEY: Final = ("source", "partition", "offset", "row")


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
    covered, epoch = Coverage(), None
    if history is not None:
        covered, epoch = _read_positions(main, table, history, found)
        found.tells_source = len(covered.topics) > 1
    quarantine = None if foreign else _open_quarantine(store, table, found)
    recorded = None if quarantine is None else quarantine.transaction_version(str(main.metadata().id))
    if history is not None:
        _judge_roll_forward(history, main.version(), recorded, found)
    told = _Told(table, main, covered, history, quarantine, recorded, expect)
    facts = _judge_packets(told, store, found) if _holds_blocks(main) else _judge_rows(told, found, dense=dense)
    return VerifyReport(
        table=table,
        version=main.version(),
        quarantine_version=recorded,
        positions=covered.named(covered.now),
        first_positions=covered.named(covered.first),
        epoch=epoch,
        jumps=() if history is None else tuple(jump for told in jumps_of(history).values() for jump in told),
        counts=found.counts,
        problems=found.kept,
        **facts,
    )


@dataclass(frozen=True)
class _Told:
    """What log, quarantine and producer tell of a table; a foreign one has no history."""

    table: str
    main: "DeltaTable"
    covered: Coverage
    history: LogHistory | None
    quarantine: "DeltaTable | None"
    recorded: int | None
    expect: "str | Path | pl.DataFrame | None"

    @property
    def may_run_ahead(self) -> bool:
        """Whether the quarantine may know of commits after the version of the table."""
        return self.recorded is not None and self.recorded > self.main.version()

    def rejected(self) -> "pl.LazyFrame | None":
        """Places of the quarantine."""
        if self.quarantine is None:
            return None
        return _read_rows(self.table + QUARANTINE_SUFFIX, self.quarantine, is_quarantine=True)


def _judge_rows(told: _Told, found: FindingList, *, dense: bool) -> dict[str, Any]:
    """Judge a table of rows."""
    import polars as pl

    covered, is_foreign = told.covered, told.history is None
    rows = _read_rows(told.table, told.main, is_quarantine=False, may_lack_row=is_foreign)
    rejected = told.rejected()
    if rejected is not None:
        rows = pl.concat([rows, settle_moves(rows, rejected, found, may_run_ahead=told.may_run_ahead)])
    if told.history is not None and not told.history.is_complete:
        _reach_oldest_held(covered, rows)
    cut = rows if is_foreign else _cut(rows, told, found)
    held = judge_messages(cut, found)
    unasked = (*PACKET_COLUMNS, "topic") if is_foreign else PACKET_COLUMNS
    sent = None if told.expect is None else load_expected(told.expect, covered.first).drop(unasked, strict=False)
    pending = left_out = 0
    if sent is not None:
        # Without row numbers a message that says nothing else is one row.
        due = sent.with_columns(pl.col("sent_rows").fill_null(1))
        if not is_foreign:
            due, pending = _due(sent, covered)
            left_out = sent.height - due.height - pending
        judge_sent(held.with_columns(topic=covered.topic_of("source")), due, found)
    absent = 0 if is_foreign else _absent_offsets(held, covered)
    if dense and sent is None:
        found.count_missing(held, covered, absent)
    return {
        "messages": held.height,
        **_row_counts(cut),
        "expected": None if sent is None else sent.height,
        "pending": pending,
        "left_out": left_out,
        "absent_offsets": absent,
        "notes": _notes(rows, told),
    }


def _judge_packets(told: _Told, store: TableStore, found: FindingList) -> dict[str, Any]:
    """Judge a table of sample blocks."""
    import polars as pl

    covered = told.covered
    blocks = read_blocks(pl.scan_delta(told.main))
    rejected = told.rejected()
    cut = None if rejected is None else _cut(rejected.filter(~pl.col("is_attempt")), told, found)
    letters = None if cut is None else judge_messages(cut, found)
    if told.history is not None and not told.history.is_complete:
        _reach_oldest_held(covered, blocks.lazy())
    samples = judge_blocks(blocks, _read_gaps(store), _stream_ends(told), covered, found)
    sent = None if told.expect is None else load_expected(told.expect, covered.first)
    pending = left_out = 0
    if sent is not None:
        due, pending = _due(sent, covered)
        left_out = sent.height - due.height - pending
        judge_packets_sent(blocks, letters, due, covered, found)
    return {
        "messages": spanned_offsets(blocks, letters),
        "rows": blocks.height,
        "quarantined_rows": 0,
        "dead_letters": 0 if letters is None else letters.height,
        "expected": None if sent is None else sent.height,
        "pending": pending,
        "left_out": left_out,
        "absent_offsets": 0,
        "samples": samples,
        "notes": _notes(blocks.lazy(), told),
    }


def _stream_ends(told: _Told) -> dict[str, int]:
    """Index after the highest sample of each stream, as the commits tell it."""
    prefix = f"{told.table}/stream/"
    transactions = () if told.history is None else told.history.transactions()
    named = ((app_id.removeprefix(prefix), end) for _, app_id, end in transactions if app_id.startswith(prefix))
    return {stream: end for stream, end in named if "/" not in stream}


def _holds_blocks(main: "DeltaTable") -> bool:
    return {field.name for field in main.schema().fields} >= BLOCK_COLUMNS


def _read_gaps(store: TableStore) -> "pl.DataFrame":
    """What the lake tells as missing from its streams; a lake without that table tells of nothing."""
    import polars as pl

    try:
        intervals = pl.scan_delta(open_table(store, "intervals")).filter(pl.col("kind") == "gap")
    except CatalogError as error:
        if error.code != "table-not-created":
            raise
        return pl.DataFrame(schema={"stream": pl.String, "start": pl.Int64, "stop": pl.Int64})
    return intervals.select(stream="stream_id", start="sample_start", stop="sample_stop").collect()


def _read_positions(
    main: "DeltaTable", job: str, history: LogHistory, found: FindingList
) -> tuple[Coverage, int | None]:
    """Runs and epoch; a position moves back by a jump alone, an epoch never."""
    covered, app_ids, jumps = Coverage(), dict[Part, str](), jumps_of(history)
    epoch: int | None = None
    for version, app_id, value in history.transactions():
        covered.jump(jumps.pop(version, ()))
        if app_id == f"{job}/epoch":
            if epoch is not None and value <= epoch:
                found.add("epoch-not-risen", f"version {version}: epoch {value} after {epoch}")
            epoch = value
            continue
        owner, _, rest = app_id.partition("/")
        topic, _, partition = rest.rpartition("/")
        if owner != job or not topic or not partition.isdecimal():
            continue
        part = (topic, int(partition))
        if value < covered.now.get(part, value):
            text = f"version {version}: partition {covered.name(part)} went from {covered.now[part]} to {value}"
            found.add("position-moved-back", text, partition=part[1])
        covered.advance(part, value)
        app_ids[part] = app_id
    # The engine's own answer is asked too: a position that only our reading of the log sees is none.
    for part, app_id in app_ids.items():
        if main.transaction_version(app_id) != covered.now[part]:
            text = f"{app_id}: the snapshot does not know position {covered.now[part]}"
            found.add("no-position", text, partition=part[1])
    return covered, epoch


def _reach_oldest_held(covered: Coverage, rows: "pl.LazyFrame") -> None:
    """Where the first commits are gone, a partition begins no later than with what it holds."""
    import polars as pl

    topic = covered.topic_of("source").alias("topic")
    oldest = rows.group_by(topic, "partition").agg(pl.col("offset").min()).collect()
    for topic, partition, offset in oldest.iter_rows():
        covered.reach((topic, partition), offset)


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
    places = {
        "source": source,
        "partition": pl.col("_partition").cast(pl.Int64),
        "offset": pl.col("_offset").cast(pl.Int64),
        "row": row.cast(pl.Int64),
        "in_quarantine": pl.lit(is_quarantine),
    }
    if is_quarantine:
        places["is_attempt"] = pl.col("raw").is_null() if "raw" in names else pl.lit(value=False)
    return frame.select(**places)


def _cut(rows: "pl.LazyFrame", told: _Told, found: FindingList) -> "pl.LazyFrame":
    """Keep what lies below the positions; blame what lies beyond and may not."""
    import polars as pl

    covered = told.covered
    placed = rows.with_columns(run=covered.source_of("source")).join(
        covered.frame().lazy(), on=["run", "partition"], how="left"
    )
    is_beyond = (pl.col("offset") >= pl.col("position")) | pl.col("position").is_null()
    # A quarantine rolled forward past v honestly holds rejects of later versions.
    blamed = is_beyond & ~pl.col("in_quarantine") if told.may_run_ahead else is_beyond
    is_rowless = pl.col("row").is_null() & ~pl.col("in_quarantine")
    found.add_beyond(placed.filter(blamed).collect())
    is_outside = (pl.col("offset") < pl.col("first")) | covered.is_left_out()
    found.add_misplaced(placed.filter(is_outside | is_rowless).collect())
    return placed.filter(~is_beyond).select(*_KEY, "in_quarantine")


def _due(sent: "pl.DataFrame", covered: Coverage) -> tuple["pl.DataFrame", int]:
    """Give what was sent inside the runs, and how much lies at or after every position."""
    import polars as pl

    reach = covered.frame()
    if "source" in sent.columns:
        placed = sent.with_columns(run=covered.source_of("source"))
        placed = placed.join(reach.drop("topic"), on=["run", "partition"], how="left")
    else:
        placed = sent.join(reach, on=[name for name in ("topic", "partition") if name in sent.columns], how="left")
    is_pending = (pl.col("offset") >= pl.col("position")) | pl.col("position").is_null()
    is_due = pl.col("offset").is_between(pl.col("first"), pl.col("position"), closed="left") & ~covered.is_left_out()
    message = [name for name in ("topic", "source", "partition", "offset") if name in sent.columns]
    judged = placed.group_by(message, maintain_order=True).agg(
        pl.col([name for name in sent.columns if name not in message]).first(),
        is_due=is_due.any(),
        is_pending=is_pending.all(),
    )
    due = judged.filter("is_due").select(sent.columns)
    return due, judged.select(pl.col("is_pending").sum()).item()


def _absent_offsets(held: "pl.DataFrame", covered: Coverage) -> int:
    span = sum(run.stop - run.first for run in covered.runs)
    return max(0, span - held.select("source", "partition", "offset").n_unique()) if span else 0


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


def _notes(rows: "pl.LazyFrame", told: _Told) -> tuple[str, ...]:
    import polars as pl

    notes = []
    if told.history is not None:
        if not told.history.is_complete:
            notes.append("the oldest commits are cleaned; first positions are the oldest still known")
        read = topics_read(told.history) or told.covered.topics
        notes += [f"topic {topic} is no longer read" for topic in told.covered.topics if topic not in read]
    sources = rows.select(pl.col("source").unique()).collect().to_series().drop_nulls().sort()
    if len(sources) > 1:
        notes.append(f"rows of {len(sources)} sources: {', '.join(sources)}")
    return tuple(notes)
