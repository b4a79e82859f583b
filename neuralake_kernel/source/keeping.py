"""What a topic of the journal keeps, and for whom.

A consumer is registered by name (a job by its table's) with the next offset it reads. Nothing that a registered
consumer has yet to read is ever deleted, and without any consumer nothing is, unless a person asks by name. Whole
segments go (64 MiB), the oldest first, never the last one; offsets and incarnation stay as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuralake_kernel import _bridge
from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from neuralake_kernel.source.broker import Broker

__all__ = ["Consumer", "Journal", "RetentionPolicy", "TrimReport"]


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What may go; a segment goes when any of these lets it, and no consumer has yet to read it.

    Parameters
    ----------
    committed
        What every registered consumer has committed.
    bytes
        What lies further back than this, in each partition (>= 0).
    age_s
        What was written longer ago (>= 0).
    """

    committed: bool = False
    bytes: int | None = None
    age_s: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value in (("bytes", self.bytes), ("age_s", self.age_s)):
            if value is not None and value < 0:
                msg = f"Cannot keep {name}={value}: expected 0 or more, or None."
                raise UsageError(
                    msg, code="retention-invalid", hint="RetentionPolicy(committed=True) is the usual one."
                )


@dataclass(frozen=True, slots=True)
class Consumer:
    """A registered reader: by partition, its position and how many messages it has yet to read."""

    name: str
    moved_at_us: int
    positions: dict[int, int]
    lag: dict[int, int]

    def to_json(self) -> dict[str, object]:
        """Plain values, for ``json.dumps``."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class TrimReport:
    """What went of one partition, or would go."""

    partition: int
    segments: int
    bytes: int
    first_before: int
    first_after: int

    def to_json(self) -> dict[str, object]:
        """Plain values, for ``json.dumps``."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """One line."""
        return (
            f"partition {self.partition}: {self.segments} segments, {self.bytes / 1e6:.1f} MB, "
            f"offsets {self.first_before:,} to {self.first_after:,}"
        )


class Journal:
    """The journal of a workbench, as whoever keeps it sees it. ``lab.journal`` gives it.

    Parameters
    ----------
    broker
        A journal.

    Raises
    ------
    UsageError
        ``journal-only``: the broker is Kafka, which keeps its topics itself.
    """

    def __init__(self, broker: Broker) -> None:
        if broker.kind != "journal" or not broker.directory:
            msg = "Cannot look after the journal: this workbench's topics are Kafka's."
            hint = "Kafka's own retention.ms and consumer groups do this there; a spool has lab.spool(Table)."
            raise UsageError(msg, code="journal-only", hint=hint)
        self._directory = str(broker.directory)

    def consumers(self, topic: str) -> list[Consumer]:
        """Tell who is registered on a topic, and how far each has come.

        Raises
        ------
        SourceError
            ``journal-topic-missing``.
        """
        return [
            Consumer(
                name,
                moved_at_us,
                {partition: position for partition, position, _ in places},
                {partition: max(0, end - position) for partition, position, end in places},
            )
            for name, moved_at_us, places in _bridge.journal_consumers(self._directory, topic)
        ]

    def drop(self, topic: str, consumer: str) -> None:
        """Forget a consumer that reads no more; what it has yet to read is kept for it no longer.

        A job that still lives registers itself again with its next commit.

        Raises
        ------
        SourceError
            ``journal-consumer-unknown``, with those there are.
        """
        _bridge.journal_drop_consumer(self._directory, topic, consumer)

    def retention(self, topic: str) -> RetentionPolicy | None:
        """Tell what a topic keeps of its own accord; None: everything."""
        found = _bridge.journal_retention(self._directory, topic)
        return None if found is None else RetentionPolicy(*found)

    def retain(self, topic: str, policy: RetentionPolicy | None) -> None:
        """Say what a topic keeps of its own accord; jobs carry it out after their commits.

        Parameters
        ----------
        topic
            An existing topic.
        policy
            What may go; None: nothing.
        """
        _bridge.journal_set_retention(self._directory, topic, None if policy is None else _plain(policy))

    def trim(
        self, topic: str, policy: RetentionPolicy, *, dry_run: bool = False, faults: Path | None = None
    ) -> list[TrimReport]:
        """Delete now what a policy lets go, also where nobody is registered.

        Parameters
        ----------
        topic
            An existing topic.
        policy
            What may go; ``committed`` alone lets nothing go where nobody is registered.
        dry_run
            Only say what would go.
        faults
            Plan of deaths for fault tests.

        Returns
        -------
        list[TrimReport]
            One per partition.

        Raises
        ------
        SourceError
            ``journal-topic-missing``, or ``journal-damaged``: the list of consumers cannot be read.
        """
        gone = _bridge.journal_trim(self._directory, topic, _plain(policy), dry_run, faults)
        return [TrimReport(*part) for part in gone]


def _plain(policy: RetentionPolicy) -> tuple[bool, int | None, int | None]:
    return policy.committed, policy.bytes, policy.age_s
