"""Topics: made, told apart, measured. One code for Kafka and the journal."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING
from uuid import UUID

from neuralake_kernel.errors import UsageError
from neuralake_kernel.source.reach import reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralake_kernel.source.broker import Broker

__all__ = ["create_topic", "delete_before", "end_offsets", "first_offsets", "incarnation_bits", "topic_incarnation"]


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


def incarnation_bits(incarnation: str) -> int:
    """Give the 63 bits of an incarnation by which a table knows its topic.

    Parameters
    ----------
    incarnation
        As ``topic_incarnation`` tells it: Kafka's base64 of 16 bytes, or the journal's uuid.
    """
    is_uuid = len(incarnation) > len("0123456789012345678901")
    found = UUID(incarnation) if is_uuid else UUID(bytes=urlsafe_b64decode(incarnation + "=="))
    return found.int >> 65


def end_offsets(broker: Broker, topic: str) -> dict[int, int]:
    """Give the offset after the last entry of each partition, markers of transactions included.

    Raises
    ------
    SourceError
        ``topic-missing`` (journal: ``journal-topic-missing``) or ``broker-away``.
    """
    return {partition: end for partition, (_, end) in reach(broker).offsets(topic).items()}


def first_offsets(broker: Broker, topic: str) -> dict[int, int]:
    """Give the first offset held of each partition.

    Raises
    ------
    SourceError
        ``topic-missing`` (journal: ``journal-topic-missing``) or ``broker-away``.
    """
    return {partition: first for partition, (first, _) in reach(broker).offsets(topic).items()}


def delete_before(broker: Broker, topic: str, places: Mapping[int, int]) -> dict[int, int]:
    """Delete the messages of a Kafka topic below a place in each partition.

    What is deleted is gone for every reader: whoever asks for it has made sure that none needs it.

    Parameters
    ----------
    broker
        Kafka.
    topic
        Its name.
    places
        First offset to keep, by partition; never past the end.

    Returns
    -------
    dict
        First offset held now, by partition.

    Raises
    ------
    UsageError
        ``kafka-only``: a journal is trimmed by what its registered consumers have read.
    SourceError
        ``topic-missing``, ``broker-away`` or ``broker-refused``.
    """
    if broker.kind != "kafka":
        msg = f"Cannot delete messages of {topic!r}: its broker is the journal."
        raise UsageError(msg, code="kafka-only", hint="lab.journal trims what every registered consumer has read.")
    from neuralake_kernel.source.kafka import KafkaDriver

    return KafkaDriver(broker.options).delete_before(topic, places)
