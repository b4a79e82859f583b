"""Topics: made, told apart, measured. One code for Kafka and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.reach import reach

if TYPE_CHECKING:
    from neuralake_kernel.source.broker import Broker

__all__ = ["create_topic", "end_offsets", "topic_incarnation"]


def create_topic(broker: Broker, topic: str, partitions: int = 1) -> str:
    """Make a topic, or find it made with as many partitions.

    Parameters
    ----------
    broker
        Kafka or a journal.
    topic
        Its name.
    partitions
        How many (> 0).

    Returns
    -------
    str
        The topic's incarnation, as ``topic_incarnation`` tells it.

    Raises
    ------
    SourceError
        ``topic-exists`` (journal: ``journal-partitions-differ``): it has another number of partitions. ``broker-away``.
    """
    if partitions < 1:
        msg = f"Cannot make topic {topic!r} with {partitions} partitions: expected at least 1."
        raise UsageError(msg, hint="One partition serves one device.")
    return reach(broker).create_topic(topic, partitions)


def topic_incarnation(broker: Broker, topic: str) -> str:
    """Tell one life of a topic from the next: Kafka's topic id, the journal's uuid.

    Raises
    ------
    SourceError
        ``topic-missing`` (journal: ``journal-topic-missing``) or ``broker-away``.
    """
    return reach(broker).incarnation(topic)


def end_offsets(broker: Broker, topic: str) -> dict[int, int]:
    """Give the offset after the last entry of each partition, markers of transactions included.

    Raises
    ------
    SourceError
        ``topic-missing`` (journal: ``journal-topic-missing``) or ``broker-away``.
    """
    return {partition: end for partition, (_, end) in reach(broker).offsets(topic).items()}
