"""The way to a broker: the one place that tells Kafka and the journal apart; all else speaks to a ``Driver``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    from neuralake_kernel.source.acks import Acks
    from neuralake_kernel.source.broker import Broker, Driver
    from neuralake_kernel.source.producer import Producer

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


def open_producer(broker: Broker, topic: str, *, acks: Acks = "durable") -> Producer:
    """Open the producer that fits a broker.

    Parameters
    ----------
    broker
        Kafka or a journal.
    topic
        An existing topic.
    acks
        ``durable``: nothing acked is lost by the end of a process (Kafka: every replica in sync has it, and nothing is
        doubled; journal: it is on disk). ``buffered``: one machine's system has it (Kafka: the leader). ``none``: it is
        on its way.

    Returns
    -------
    Producer
        ``KafkaProducer`` or ``JournalProducer``.

    Raises
    ------
    UsageError
        ``acks-unknown``.
    """
    return reach(broker).open_producer(topic, acks=acks)
