"""What is wanted of a job."""

from dataclasses import dataclass, field
from typing import Any, Literal

from neuralake_kernel.errors import UsageError

__all__ = ["FlushPolicy", "IngestPolicy"]


@dataclass(frozen=True, slots=True)
class FlushPolicy:
    """When a buffer becomes a commit: whichever bound is met first.

    Parameters
    ----------
    max_rows
        Rows waiting (> 0).
    max_bytes
        Bytes waiting (> 0).
    max_age_s
        Seconds the oldest message may wait (> 0); the freshness of a quiet table.
    """

    max_rows: int = 250_000
    max_bytes: int = 64 * 1024**2
    max_age_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse bounds that would never, or always, flush."""
        for name in ("max_rows", "max_bytes", "max_age_s"):
            value = getattr(self, name)
            if not value > 0:
                message = f"Cannot flush by {name}={value}: expected more than 0."
                raise UsageError(message, code="flush-policy", context={name: value})

    def native(self) -> dict[str, Any]:
        """Return the value as the worker takes it."""
        return {
            "max_rows": self.max_rows,
            "max_bytes": self.max_bytes,
            "max_age_ms": max(1, round(self.max_age_s * 1000)),
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
    """

    flush: FlushPolicy = field(default_factory=FlushPolicy)
    start: Literal["earliest", "latest"] = "earliest"
    max_message_bytes: int = 8 * 1024**2
    deadline_s: int = 60
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        """Refuse what the worker could not follow."""
        if self.start not in {"earliest", "latest"}:
            message = f"Cannot start a job at {self.start!r}: expected 'earliest' or 'latest'."
            raise UsageError(message, code="ingest-policy")
        for name in ("max_message_bytes", "deadline_s", "checkpoint_every"):
            if getattr(self, name) < 1:
                message = f"Cannot run a job with {name}={getattr(self, name)}: expected at least 1."
                raise UsageError(message, code="ingest-policy", context={name: getattr(self, name)})
