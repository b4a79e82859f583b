"""Producers: messages into Kafka or into the journal, behind one protocol.

Guarantees: what ``flush`` counted is acked as the chosen mode promises; messages of one partition
keep their order; nothing is doubled by a retry (Kafka: idempotent producer, unless weaker acks are
asked for; journal: one lock holder per partition). After a failed delivery every later call raises
the same error: what was acked before it stands in ``ranges``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import pyarrow as pa

    from neuralake_kernel.source.ack_times import AckTimes
    from neuralake_kernel.source.acks import AtRisk

__all__ = ["Closing", "Producer", "Ranges", "closed"]


class Producer(Protocol):
    """Sends messages to one topic; a context manager."""

    def send(
        self,
        values: Sequence[bytes] | pa.BinaryArray,
        partition: int = 0,
        *,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        """Hand over messages in order, with one key for all or one each; they count as acked after ``flush``."""

    def flush(self) -> int:
        """Wait until all are acked, and on the journal's disk; returns how many were since it was opened."""

    @property
    def acked(self) -> int:
        """Messages acked so far; with ``acks="none"`` Kafka does not tell their offsets."""

    @property
    def ack_times(self) -> AckTimes:
        """How long acks took so far."""

    @property
    def at_risk(self) -> AtRisk:
        """What is acked and not yet where nothing can lose it, as far as the producer knows."""

    def close(self) -> None:
        """Let go of the topic; may be called twice."""

    @property
    def ranges(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """Offsets acked so far, per partition, as ascending half-open ranges."""

    def __enter__(self) -> Self:
        """Give the producer itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""


class Ranges:
    """Offsets acked, kept as ranges: a million messages in a row are one pair."""

    def __init__(self) -> None:
        self.by_partition: dict[int, list[tuple[int, int]]] = {}
        self.count = 0

    def add(self, partition: int, first: int, end: int) -> None:
        """Note the offsets ``[first, end)`` as acked."""
        ranges = self.by_partition.setdefault(partition, [])
        self.count += end - first
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], end)
        elif end > first:
            ranges.append((first, end))


class Closing:
    """Context manager of a producer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the topic."""
        raise NotImplementedError


def closed(topic: str) -> UsageError:
    """Build the error of a producer that was used after its end."""
    return UsageError(f"Cannot send to {topic!r}: this producer is closed.", hint="Open another one.")
