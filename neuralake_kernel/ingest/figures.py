"""What a job's work costs, how fresh its table is, and what its store was asked: parts of its report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

__all__ = ["CpuUse", "DiskSpace", "Freshness", "StoreOperation"]


class _Figures:
    """Built from a worker's words; unknown keys of a newer worker are ignored."""

    __slots__ = ()
    __dataclass_fields__: Mapping[str, Any]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class CpuUse(_Figures):
    """CPU seconds of one worker, by stage.

    Parameters
    ----------
    read_s
        Taking messages from the source and decoding them.
    encode_s
        Rows into Parquet.
    commit_s
        Uploads and commits, without the threads that speak to the store.
    store_s
        Threads that speak to the store.
    process_s
        The whole process: what the stages leave of it are the source's own threads and Python.
    """

    read_s: float = 0.0
    encode_s: float = 0.0
    commit_s: float = 0.0
    store_s: float = 0.0
    process_s: float = 0.0

    @property
    def other_s(self) -> float:
        """What no stage has counted."""
        return max(0.0, self.process_s - self.read_s - self.encode_s - self.commit_s - self.store_s)


@dataclass(frozen=True, slots=True)
class DiskSpace(_Figures):
    """The disk of this machine that will be full first.

    Parameters
    ----------
    path
        A folder on it.
    free_bytes
        What may be written.
    reserve_bytes
        Free bytes at which the job stops reading.
    hours_left
        Hours until then at the rate of the last ten minutes; None while it does not fill.
    is_full
        Whether the job has stopped reading for it.
    """

    path: str = ""
    free_bytes: int = 0
    reserve_bytes: int = 0
    hours_left: float | None = None
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Freshness(_Figures):
    """How old rows were when a commit made them visible, in seconds; percentiles over the last 512 commits.

    Parameters
    ----------
    event_s, event_p99_s
        Since the newest ``event_time`` of a commit; None without such a column.
    arrival_s, arrival_p50_s, arrival_p99_s
        Since the arrival of the oldest message of a commit.
    commit_s
        Since the last commit, at the time of the report.
    """

    event_s: float | None = None
    event_p99_s: float | None = None
    arrival_s: float | None = None
    arrival_p50_s: float | None = None
    arrival_p99_s: float | None = None
    commit_s: float | None = None


@dataclass(frozen=True, slots=True)
class StoreOperation(_Figures):
    """What was asked of the store by one kind of operation.

    Parameters
    ----------
    requests, retries, failures
        Requests sent, repeated ones included; those that repeated a failed one; those without an answer, or answered
        with a fault of the store.
    bytes
        Sent or received by requests that succeeded.
    waited_s
        Seconds waited for answers, added up over all requests.
    under_way
        Requests without an answer yet.
    circuit
        What the circuit breaker does with the next request: sends it (``closed``), holds it back (``open``), or waits
        for the one it has sent to try the store (``half_open``).
    circuit_since
        When it came into this state, in seconds since the epoch, UTC; None if it never left the first.
    next_try_at
        When an open circuit tries the store again, in seconds since the epoch, UTC.
    circuit_opened
        How often it opened.
    """

    requests: int = 0
    retries: int = 0
    failures: int = 0
    bytes: int = 0
    waited_s: float = 0.0
    under_way: int = 0
    circuit: Literal["closed", "open", "half_open"] = "closed"
    circuit_since: float | None = None
    next_try_at: float | None = None
    circuit_opened: int = 0
