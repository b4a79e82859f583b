"""What a job has done, as its worker last said."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuralake_kernel.ingest.figures import CpuUse, DiskSpace, Freshness, StoreOperation
from neuralake_kernel.ingest.known import topics_of
from neuralake_kernel.ingest.unknown import UnknownFields
from neuralake_kernel.position import PartitionName

__all__ = ["JobReport"]

# A night and a day: time to notice it in the morning.
_WARN_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class JobReport:
    """Counters of one life of a worker, and where its table stands.

    Parameters
    ----------
    job, topics
        Name of the job (which is its table's) and of its topics.
    state
        ``starting``, ``running``, ``paused`` (store or source away), ``stopped``, ``fenced`` or ``failed``.
    epoch
        Epoch the worker holds; 0 before it took one.
    offered, offered_bytes
        Messages delivered to it and their bytes.
    decoded
        Messages decoded into rows, up to the last flush: ``offered = decoded + dead_letters + buffered_messages``.
    rows
        Rows that held the contract, up to the last flush.
    dead_letters, quarantined_rows, reasons
        Whole messages rejected; rows rejected, whole messages included; how often each rule kept one out.
    warnings
        How often rows in the table broke a rule that only warns.
    unknown_fields
        Fields of messages that no column takes; ``job.proposals()`` says what would.
    buffered_messages, buffered_rows, buffered_bytes
        Waiting for their flush.
    committed_rows, committed_messages, commits, files, bytes
        In the table by this worker.
    table_version, quarantine_version
        After its last commit.
    positions
        Next offset to read of each partition, as committed. A partition is named by its number, where there are several
        topics as ``topic/number``.
    jumps
        Where this worker went on elsewhere than the table had stopped, by choice: ``topic``, ``partition``, ``from``,
        ``to``, ``cause`` (code of the error), ``source``. The table's commits tell of them for good.
    added_columns
        Columns that this worker added to the table when it began: ``name``, ``type``. So do the table's commits.
    caught_up
        Whether the end was reached with nothing left to commit, as the worker saw it.
    lag
        Messages known to wait in the source.
    commit_p50_ms, commit_p99_ms
        Time of a commit, its files included, in ms.
    freshness
        How old rows were when a commit made them visible.
    cpu
        What the work cost, by stage.
    store
        What was asked of the store, by kind of operation: ``upload``, ``read``, ``list``, ``commit``, ``delete``.
    disk
        The disk of this machine that will be full first; None before it was looked at.
    metrics
        Where the same figures are as Prometheus text; empty when their port is taken.
    live_socket
        Where the worker answers live reads; None when it does not.
    started_at, last_commit_at, updated_at
        Seconds since the epoch, UTC.
    error
        Why it is paused or what ended it: ``code``, ``message``, ``hint``, ``retryable``.
    """

    job: str
    topics: tuple[str, ...]
    state: str = "starting"
    epoch: int = 0
    offered: int = 0
    offered_bytes: int = 0
    decoded: int = 0
    rows: int = 0
    dead_letters: int = 0
    quarantined_rows: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, int] = field(default_factory=dict)
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)
    buffered_messages: int = 0
    buffered_rows: int = 0
    buffered_bytes: int = 0
    committed_rows: int = 0
    committed_messages: int = 0
    commits: int = 0
    files: int = 0
    bytes: int = 0
    table_version: int = 0
    quarantine_version: int = 0
    positions: Mapping[PartitionName, int] = field(default_factory=dict)
    jumps: Sequence[Mapping[str, Any]] = ()
    added_columns: Sequence[Mapping[str, str]] = ()
    caught_up: bool = False
    lag: int = 0
    commit_p50_ms: float | None = None
    commit_p99_ms: float | None = None
    freshness: Freshness = field(default_factory=Freshness)
    cpu: CpuUse = field(default_factory=CpuUse)
    store: Mapping[str, StoreOperation] = field(default_factory=dict)
    disk: DiskSpace | None = None
    metrics: str = ""
    started_at: float | None = None
    last_commit_at: float | None = None
    updated_at: float | None = None
    live_socket: str | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "JobReport":
        """Build the value from a worker's words; unknown keys of a newer worker are ignored."""
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        known["topics"] = topics_of(value)
        known["positions"] = {
            int(part) if part.isdecimal() else part: int(offset) for part, offset in value.get("positions", {}).items()
        }
        known["freshness"] = Freshness.from_json(value.get("freshness", {}))
        known["cpu"] = CpuUse.from_json(value.get("cpu", {}))
        known["store"] = {kind: StoreOperation.from_json(told) for kind, told in value.get("store", {}).items()}
        known["jumps"] = tuple(value.get("jumps", ()))
        known["added_columns"] = tuple(value.get("added_columns", ()))
        known["unknown_fields"] = UnknownFields.from_json(value.get("unknown_fields", {}))
        disk = value.get("disk")
        known["disk"] = None if disk is None else DiskSpace.from_json(disk)
        return cls(**known)

    @classmethod
    def read(cls, path: Path, *, job: str, topics: Sequence[str]) -> "JobReport":
        """Read the report a worker left; one that said nothing yet is ``starting``."""
        try:
            return cls.from_json(json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError):
            return cls(job=job, topics=tuple(topics))

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        value["topics"] = list(self.topics)
        value["positions"] = {str(part): offset for part, offset in self.positions.items()}
        value["reasons"] = dict(self.reasons)
        value["warnings"] = dict(self.warnings)
        value["freshness"], value["cpu"] = self.freshness.to_json(), self.cpu.to_json()
        value["store"] = {kind: operation.to_json() for kind, operation in self.store.items()}
        value["jumps"] = [dict(jump) for jump in self.jumps]
        value["added_columns"] = [dict(column) for column in self.added_columns]
        value["unknown_fields"] = self.unknown_fields.to_json()
        value["disk"] = None if self.disk is None else self.disk.to_json()
        return value

    def __str__(self) -> str:
        """One line for people; it changes as the job goes on."""
        said = f"{self.job}: {self.state}, {self.committed_rows:,} rows committed in {self.commits} commits"
        if self.quarantined_rows:
            said += f", {self.quarantined_rows:,} in quarantine"
        if self.warnings:
            said += f", {sum(self.warnings.values()):,} warnings"
        if self.added_columns:
            said += f", added {', '.join(column['name'] for column in self.added_columns)} to the table"
        if self.unknown_fields.fields:
            said += f", {len(self.unknown_fields.fields)} fields without a column"
        if self.jumps:
            said += f", went on elsewhere in {len(self.jumps)} partitions by choice"
        if self.disk is not None and (self.disk.is_full or (self.disk.hours_left or math.inf) < _WARN_HOURS):
            left = "no room" if self.disk.is_full else f"full in {self.disk.hours_left:.1f} h"
            said += f", disk of {self.disk.path}: {left}"
        if self.lag:
            said += f", lag {self.lag:,} messages"
        return said
