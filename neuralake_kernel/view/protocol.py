"""The snapshot: one dictionary that cell widget, sidebar and static HTML all draw.

Every value is plain JSON. Times are seconds since the epoch by the kernel's clock; ages are counted
there too, so a browser on another machine never compares its clock with ours.
``widgets/packages/protocol`` holds the TypeScript side of these types;
``widgets/generate_protocol.py`` writes it and a test refuses drift.

A change that an older reader cannot draw raises ``PROTOCOL_VERSION``; a reader that meets another
version says so and draws nothing.
"""

from typing import Final, Literal, TypedDict

__all__ = [
    "PROTOCOL_VERSION",
    "ActionName",
    "CircuitState",
    "Disk",
    "Fault",
    "JobSnapshot",
    "JobState",
    "Operation",
    "OperationState",
    "Report",
    "ServiceSnapshot",
    "ServiceState",
    "Snapshot",
    "StackAction",
    "StoreOperation",
    "TableSnapshot",
]

PROTOCOL_VERSION: Final = 1

ServiceState = Literal["starting", "ready", "backoff", "stopping", "stopped", "fatal", "fenced"]
JobState = Literal["starting", "running", "paused", "backoff", "stopping", "stopped", "failed", "fenced"]
OperationState = Literal["running", "done", "failed"]
CircuitState = Literal["closed", "open", "half_open"]
ActionName = Literal["up", "down", "restart"]


class Fault(TypedDict):
    """What went wrong and what the reader can do about it."""

    code: str
    message: str
    hint: str


class ServiceSnapshot(TypedDict):
    """One process of the supervisor."""

    name: str
    kind: Literal["service", "job"]
    state: ServiceState
    pid: int | None
    restarts: int
    started_at: float | None
    endpoint: str | None
    rss_bytes: int | None
    reason: str | None


class StoreOperation(TypedDict):
    """Requests of one kind to the store, and what its circuit breaker does with the next."""

    requests: int
    retries: int
    circuit: CircuitState
    circuit_since: float | None
    next_try_at: float | None


class Disk(TypedDict):
    """The disk of the worker's machine that will be full first."""

    path: str
    free_bytes: int
    hours_left: float | None
    is_full: bool


class Report(TypedDict):
    """What a worker says of its job; the counters begin at the worker's own start.

    ``offered`` and ``lag`` count messages, ``reasons`` broken rules by rule id, ``positions`` the
    next offset to read by partition, ``store`` requests by kind of operation. ``metrics`` is the address of the
    same figures as Prometheus text.
    """

    epoch: int
    offered: int
    offered_bytes: int
    rows: int
    dead_letters: int
    quarantined_rows: int
    reasons: dict[str, int]
    decoded: int
    buffered_messages: int
    buffered_rows: int
    buffered_bytes: int
    committed_rows: int
    committed_messages: int
    commits: int
    files: int
    bytes: int
    table_version: int | None
    quarantine_version: int | None
    positions: dict[str, int]
    caught_up: bool
    lag: int | None
    commit_p50_ms: float | None
    commit_p99_ms: float | None
    arrival_p99_s: float | None
    cpu_s: float | None
    store: dict[str, StoreOperation]
    disk: Disk | None
    metrics: str | None
    started_at: float | None
    last_commit_at: float | None
    updated_at: float | None
    error: Fault | None


class JobSnapshot(TypedDict):
    """One ingest job: its report, its process and the rates of the last moments.

    ``history`` holds ``[seconds from the present (≤ 0), rows per second]``, oldest first.
    ``report`` is null until the worker has written its first one.
    """

    name: str
    table: str
    topic: str
    state: JobState
    reason: str | None
    rss_bytes: int | None
    restarts: int
    rate_rows_s: float | None
    rate_messages_s: float | None
    rate_commits_s: float | None
    committed_age_s: float | None
    report_age_s: float | None
    report: Report | None
    history: list[tuple[float, float]]


class TableSnapshot(TypedDict):
    """One table of the lake."""

    name: str
    rows: int | None
    bytes: int | None
    version: int | None


class Operation(TypedDict):
    """The last thing a host was asked to do with the stack."""

    action: ActionName
    name: str | None
    state: OperationState
    error: Fault | None


class Snapshot(TypedDict):
    """Everything the monitor draws."""

    protocol: Literal[1]
    profile: str
    services: list[ServiceSnapshot]
    jobs: list[JobSnapshot]
    tables: list[TableSnapshot]
    operation: Operation | None
    error: Fault | None
    updated_at: float


class StackAction(TypedDict):
    """Body of ``POST /neuralake/api/stack``; ``name`` only with ``restart``."""

    action: ActionName
    name: str | None
