"""The way to a broker: the one place that tells Kafka and the journal apart; all else speaks to a ``Driver``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from neuralake_kernel.source.broker import Broker, Driver
    from neuralake_kernel.source.produce import Producer

__all__ = ["open_producer", "reach"]


def reach(broker: Broker) -> Driver:
    """Choose the driver of a broker; nothing is asked of the broker yet.

    Parameters
    ----------
    broker
        A journal with a folder, or Kafka with ``bootstrap.servers``.

    Raises
    ------
    UsageError
        It is neither.
    """
    if broker.kind == "journal" and broker.directory:
        from neuralake_kernel.source.journal import JournalDriver

        return JournalDriver(str(broker.directory))
    if broker.kind == "kafka" and broker.options.get("bootstrap.servers"):
        from neuralake_kernel.source.kafka import KafkaDriver

        return KafkaDriver(broker.options)
    msg = (
        f"Cannot reach a broker of kind {broker.kind!r}: "
        "expected a journal with a folder, or Kafka with bootstrap.servers."
    )
    raise UsageError(msg, hint="Use lab.broker, or BrokerSpec of neuralake_kernel.stack.")


def open_producer(broker: Broker, topic: str) -> Producer:
    """Open the producer that fits a broker.

    Parameters
    ----------
    broker
        Kafka or a journal.
    topic
        An existing topic.

    Returns
    -------
    Producer
        ``KafkaProducer`` (idempotent, ``acks=all``) or ``JournalProducer`` (durable on return).
    """
    return reach(broker).open_producer(topic)
