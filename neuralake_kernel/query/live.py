"""Live reads: what is committed, and what its writer has not committed yet, each message once.

The writer answers with its rows beyond a version of the table: the one that the reader has at hand, where it still
keeps them. The reader takes a snapshot at or above that version and of the same epoch, and of the writer's rows only
those at or beyond the snapshot's positions: the union is by position, never by file, so it is an exact prefix of each
partition of each topic. Without a running writer it is what is committed, and after a writer's death a later read may
step back to that.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial, reduce
from itertools import count
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

from neuralake_kernel.catalog import Snapshots
from neuralake_kernel.errors import QueryError, UsageError
from neuralake_kernel.ingest import JobReport
from neuralake_kernel.position import PartitionName, partition_name

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

__all__ = ["Freshness", "LiveRead", "check_freshness", "read_live"]

#: What a read sees: versions of the table, or also what its job has not committed yet.
Freshness = Literal["committed", "live"]

_ANSWER_WITHIN_S: Final = 5.0
#: A writer may be replaced between its answer and the snapshot; each try asks both anew.
_TRIES: Final = 5


def check_freshness(freshness: Freshness, version: object) -> Freshness:
    """Give the freshness back, or refuse what cannot be.

    Raises
    ------
    UsageError
        ``freshness``: no such word, or a version together with ``live``.
    """
    if freshness not in {"committed", "live"}:
        message = f"Cannot read with freshness={freshness!r}: expected 'committed' or 'live'."
        raise UsageError(message, code="freshness")
    if freshness == "live" and version is not None:
        message = f"Cannot read version {version} live: rows that are not committed belong to no version."
        raise UsageError(message, code="freshness", hint="leave the version out, or read what is committed.")
    return freshness


@dataclass(frozen=True)
class LiveRead:
    """One consistent view of a table and of what is on its way into it.

    Parameters
    ----------
    committed
        The table at ``version``, identity columns included.
    tail
        Rows beyond it, shape (row,), of the same columns; None when no writer runs.
    rejected
        Where rows of the same stretch went that break the contract: ``_source``, ``_partition``, ``_offset``, ``_row``
        (null: the whole message).
    version, epoch
        Of the snapshot.
    positions
        Where the view ends: next offset of each partition, named as in the job's report.
    """

    committed: "DeltaTable"
    tail: "pl.DataFrame | None"
    rejected: "pl.DataFrame | None"
    version: int
    epoch: int
    positions: Mapping[PartitionName, int]

    def lazy(self) -> "pl.LazyFrame":
        """Both parts as one frame, identity columns included."""
        import polars as pl

        frame = pl.scan_delta(self.committed)
        if self.tail is None:
            return frame
        return pl.concat([frame, self.tail.lazy()])


@dataclass(frozen=True)
class _Answer:
    """What a writer holds beyond a version of its table."""

    epoch: int
    version: int
    newest: int
    spans: Mapping[tuple[str, int], tuple[int, int]]
    rows: "pl.DataFrame"
    rejected: "pl.DataFrame"


def read_live(snapshots: Snapshots, table: str, report_path: Path) -> LiveRead:
    """Read a table with what its writer has not committed yet.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    table
        Name of the table.
    report_path
        Where the table's job leaves its report; it names the writer's socket.

    Returns
    -------
    LiveRead
        An exact prefix of each partition.

    Raises
    ------
    QueryError
        ``live-unsettled`` (retryable): writers changed faster than they could be read.
    CatalogError
        The table is not there, or the store is away.
    """
    for _ in range(_TRIES):
        report = JobReport.read(report_path, job=table, topics=())
        at_hand = snapshots.held(table)
        answer = _ask(report.live_socket, None if at_hand is None else at_hand.version())
        if answer is None:
            return _committed(snapshots, report)
        held = snapshots.at_least(table, answer.version)
        if _epoch(held, table) == answer.epoch:
            if held.version() < answer.newest:
                # Opened beside this read: no read waits for the log of a table that commits once a second.
                snapshots.renew(table, partial(_remember, report))
            return _union(held, answer, report)
        # Another worker has taken the table over since: this one's rows will not be committed.
        if answer.epoch < _epoch(snapshots.at(table), table):
            continue
    raise QueryError(
        f"Cannot read {table} live: its writer changed {_TRIES} times while it was asked.",
        code="live-unsettled",
        hint="`neuralake status` shows why its job starts again and again; committed rows can be read meanwhile.",
        retryable=True,
    )


def _committed(snapshots: Snapshots, report: JobReport) -> LiveRead:
    held = snapshots.at(report.job)
    positions = _named(_positions(held, report), report)
    return LiveRead(held, None, None, held.version(), _epoch(held, report.job), positions)


def _epoch(held: "DeltaTable", table: str) -> int:
    return held.transaction_version(f"{table}/epoch") or 0


def _remember(report: JobReport, held: "DeltaTable") -> None:
    """Ask a snapshot what a live read needs of it: it remembers the answers."""
    _epoch(held, report.job)
    _positions(held, report)


def _positions(held: "DeltaTable", report: JobReport) -> dict[tuple[str, int], int]:
    """What a snapshot has recorded; partitions are numbered from 0, and each has a position before it is read."""
    found = {}
    for topic in report.topics:
        for partition in count():
            position = held.transaction_version(f"{report.job}/{topic}/{partition}")
            if position is None:
                break
            found[topic, partition] = position
    return found


def _named(positions: Mapping[tuple[str, int], int], report: JobReport) -> dict[PartitionName, int]:
    return {partition_name(*part, report.topics): position for part, position in positions.items()}


def _union(held: "DeltaTable", answer: _Answer, report: JobReport) -> LiveRead:
    import polars as pl

    recorded = _positions(held, report)
    positions = dict(recorded)
    beyond = [pl.lit(value=False)]
    for (topic, partition), (first, upto) in answer.spans.items():
        position = recorded.get((topic, partition), first)
        positions[topic, partition] = max(position, upto)
        # Two topics have partitions of the same number, and offsets of the same value there.
        is_of_topic = pl.col("_source").str.starts_with(f"{topic}@")
        beyond.append(is_of_topic & (pl.col("_partition") == partition) & (pl.col("_offset") >= position))
    is_beyond = reduce(or_, beyond)
    return LiveRead(
        committed=held,
        tail=_of_columns(answer.rows.filter(is_beyond), pl.scan_delta(held).collect_schema()),
        rejected=answer.rejected.filter(is_beyond),
        version=held.version(),
        epoch=answer.epoch,
        positions=_named(positions, report),
    )


def _of_columns(rows: "pl.DataFrame", schema: "pl.Schema") -> "pl.DataFrame":
    """Rows in the columns of the table: one that their writer does not declare is null in them."""
    import polars as pl

    own = set(rows.columns)
    return rows.select(pl.col(name) if name in own else pl.lit(None).alias(name) for name in schema).cast(schema)


def _ask(path: str | None, has: int | None) -> _Answer | None:
    """Ask a writer for its rows beyond a version; None when nobody answers there."""
    if path is None:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(_ANSWER_WITHIN_S)
            channel.connect(path)
            channel.sendall(json.dumps(has).encode() + b"\n")
            with channel.makefile("rb") as stream:
                return _read(stream)
    except (OSError, EOFError, ValueError):
        # It died before it had answered whole: half an answer is none.
        return None


def _read(stream: BinaryIO) -> _Answer:
    import polars as pl
    import pyarrow as pa

    header: dict[str, Any] = json.loads(stream.readline())

    def frame() -> "pl.DataFrame":
        with pa.ipc.open_stream(stream) as reader:
            read = pl.from_arrow(reader.read_all())
        assert isinstance(read, pl.DataFrame)  # noqa: S101 - a table is never a series
        return read

    return _Answer(
        epoch=header["epoch"],
        version=header["version"],
        newest=header["newest"],
        spans={(topic, partition): (first, upto) for topic, partition, first, upto in header["spans"]},
        rows=frame(),
        rejected=frame(),
    )
