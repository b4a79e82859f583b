"""A producer to Kafka, by confluent-kafka: messages are queued, and count once the broker has acked them."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neuralake_kernel.source.ack_times import AckTimes
from neuralake_kernel.source.acks import AtRisk, check_acks
from neuralake_kernel.source.producer import Closing, Ranges, closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from confluent_kafka import KafkaError, Message

    from neuralake_kernel.source.acks import Acks
    from neuralake_kernel.source.kafka import KafkaDriver

__all__ = ["STEP_S", "KafkaProducer"]

# Long enough for a broker that was killed and comes back (12 s at worst), short enough to tell a
# person that it is gone.
DELIVERY_TIMEOUT_MS = 60_000
#: Longest wait inside the client, so that the interrupt of a cell is heard.
STEP_S = 0.2


class KafkaProducer(Closing):
    """Producer, idempotent with ``acks=all`` unless weaker acks are asked for.

    Parameters
    ----------
    driver
        The Kafka; its options may set anything but idempotence and acks.
    topic
        An existing topic.
    acks
        ``durable``: idempotent, every replica in sync has it. ``buffered``: the leader has it; a retry may double.
        ``none``: it was sent.
    compression
        ``"none"`` or ``"lz4"``.

    Raises
    ------
    SourceError
        From ``send`` and ``flush``: ``broker-away``, ``topic-missing``, ``broker-refused``.
    """

    def __init__(self, driver: KafkaDriver, topic: str, *, acks: Acks = "durable", compression: str = "none") -> None:
        check_acks(acks)
        self._driver = driver
        self._topic = topic
        self._client: Any = driver.client(
            {
                "linger.ms": 5,
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                # A topic is known by the time create_topic returns: a missing one is a mistake.
                "topic.metadata.propagation.max.ms": 2000,
                "compression.type": compression,
            },
            acks=acks,
        )
        self._acked = Ranges()
        self.ack_times = AckTimes()
        self._error: KafkaError | None = None

    def send(
        self,
        values: Sequence[bytes] | pa.BinaryArray,
        partition: int = 0,
        *,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        """Queue messages, with one key for all or one each; waits while librdkafka's queue is full."""
        client = self._open_client()
        keys = repeat(key) if key is None or isinstance(key, bytes) else key
        plain = values if isinstance(values, list | tuple) else pa.array(values).to_pylist()
        for value, own in zip(plain, keys, strict=False):
            while True:
                try:
                    client.produce(
                        self._topic,
                        value=value,
                        key=own,
                        partition=partition,
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:
                    client.poll(STEP_S)
                    self._raise_failed()
        client.poll(0)
        self._raise_failed()

    def flush(self) -> int:
        """Wait until every queued message is acked or has failed."""
        client = self._open_client()
        # In steps, for a flush without end would hold back the interrupt of a cell.
        while client.flush(STEP_S) > 0:
            self._raise_failed()
        self._raise_failed()
        return self._acked.count

    @property
    def acked(self) -> int:
        """Messages acked so far."""
        return self._acked.count

    @property
    def at_risk(self) -> AtRisk:
        """Nothing: what the broker acked is the broker's."""
        return AtRisk(0, 0)

    @property
    def ranges(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """Offsets acked so far, per partition, as ascending half-open ranges."""
        return self._acked.by_partition

    def close(self) -> None:
        """Wait for queued messages, unless a delivery has failed; may be called twice."""
        client, self._client = self._client, None
        if client is None:
            return
        if self._error is not None:
            client.purge()
        while client.flush(STEP_S) > 0 and self._error is None:
            pass

    def _open_client(self) -> Any:  # noqa: ANN401 - the stubs are incomplete
        if self._client is None:
            raise closed(self._topic)
        return self._client

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = self._error or error
            return
        partition, offset = message.partition(), message.offset()
        if partition is not None:
            if offset is None:
                self._acked.count += 1
            else:
                self._acked.add(partition, offset, offset + 1)
            self.ack_times.add((message.latency() or 0.0) * 1e3)

    def _raise_failed(self) -> None:
        if self._error is not None:
            raise self._driver.refused(self._error, f"deliver to topic {self._topic!r}")
