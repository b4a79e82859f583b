"""What is wanted of a job."""

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from neuralake_kernel.errors import UsageError

__all__ = ["FlushPolicy", "IngestPolicy"]

# A column of texts in one batch is addressed by 31 bits; half of that leaves room for what one message adds.
_MOST_BYTES = 1024**3
_MOST_ROWS = 2**31 - 1
_MOST_AGE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """When a buffer becomes a commit: whichever bound is met first.

    Parameters
    ----------
    max_rows
        Rows waiting (1 to 2,147,483,647).
    max_bytes
        Bytes waiting (1 to 1 GiB).
    max_age_s
        Seconds the oldest message may wait (> 0, a day at most); the freshness of a quiet table.
    budget_bytes
        Bytes that may wait or be under way to the store (≥ ``max_bytes``); past them the job stops reading until the
        store has taken some. None: three times ``max_bytes``, one buffer filling, one waiting, one under way.
    """

    max_rows: int = 250_000
    max_bytes: int = 64 * 1024**2
    max_age_s: float = 1.0
    budget_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that would never, or always, flush."""
        most = {"max_rows": _MOST_ROWS, "max_bytes": _MOST_BYTES, "max_age_s": _MOST_AGE_S}
        for name, limit in most.items():
            value = getattr(self, name)
            if not 0 < value <= limit:
                message = f"Cannot flush by {name}={value}: expected more than 0 and at most {limit:,}."
                raise UsageError(message, code="flush-policy", context={name: value})
        if self.budget_bytes is not None and self.budget_bytes < self.max_bytes:
            message = f"Cannot hold budget_bytes={self.budget_bytes}: a buffer alone may have {self.max_bytes}."
            raise UsageError(message, code="flush-policy", context={"budget_bytes": self.budget_bytes})

    def native(self) -> dict[str, Any]:
        """Return the value as the worker takes it."""
        return {
            "max_rows": self.max_rows,
            "max_bytes": self.max_bytes,
            "max_age_ms": max(1, round(self.max_age_s * 1000)),
            "budget_bytes": self.budget_bytes or 3 * self.max_bytes,
        }


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """How a job behaves.

    Parameters
    ----------
    flush
        When a buffer becomes a commit.
    start
        Where a partition begins that the table has no position for: with the ``earliest`` message held or with the
        next one (``latest``).
    max_message_bytes
        A larger message is a dead letter (> 0).
    deadline_s
        Seconds a commit may stay in doubt, or the store away, before the worker gives up and starts again (> 0).
    checkpoint_every
        Commits between two checkpoints (> 0).
    disk_reserve_bytes
        Free bytes of this machine's disk at which the job stops reading, until there is room again (≥ 0); None: 2 % of
        the disk, at least 1 GiB and at most a tenth of it.
    readers
        Threads that read and decode (> 0), each with partitions of its own; None: one a core, at most four.
    """

    flush: FlushPolicy = field(default_factory=FlushPolicy)
    start: Literal["earliest", "latest"] = "earliest"
    max_message_bytes: int = 8 * 1024**2
    deadline_s: int = 60
    checkpoint_every: int = 100
    disk_reserve_bytes: int | None = None
    readers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what the worker could not follow."""
        if self.start not in {"earliest", "latest"}:
            message = f"Cannot start a job at {self.start!r}: expected 'earliest' or 'latest'."
            raise UsageError(message, code="ingest-policy")
        for name in ("max_message_bytes", "deadline_s", "checkpoint_every"):
            if getattr(self, name) < 1:
                message = f"Cannot run a job with {name}={getattr(self, name)}: expected at least 1."
                raise UsageError(message, code="ingest-policy", context={name: getattr(self, name)})
        if self.disk_reserve_bytes is not None and self.disk_reserve_bytes < 0:
            message = f"Cannot keep disk_reserve_bytes={self.disk_reserve_bytes}: expected at least 0."
            raise UsageError(message, code="ingest-policy")
        if self.readers is not None and self.readers < 1:
            message = f"Cannot run a job with readers={self.readers}: expected at least 1, or None."
            raise UsageError(message, code="ingest-policy", context={"readers": self.readers})

    @property
    def reader_threads(self) -> int:
        """Threads that read and decode."""
        return self.readers or min(4, os.cpu_count() or 1)
