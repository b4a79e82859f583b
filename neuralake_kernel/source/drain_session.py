"""One life of a spool's client: a transactional producer, and a committed reader of the same topic."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.kafka import ANSWER_TIMEOUT_S, END, MOVING, kafka_error
from neuralake_kernel.source.kafka_producer import STEP_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from neuralake_kernel.source.kafka import KafkaDriver

__all__ = ["TRANSACTION_S", "Session", "UnansweredError"]

GRACE_S: Final = 2.0
#: The broker gives up a transaction that stands open for so long, and fences its producer.
TRANSACTION_S: Final = 30
GONE: Final = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001 - librdkafka's own name


class UnansweredError(SourceError):
    """A call into the client that does not come back: only the end of the process ends it."""


class Session:
    """A context manager: entering it settles what an earlier one left open, and no earlier one can send after it.

    Parameters
    ----------
    driver
        Kafka.
    topic
        The target.
    transactional_id
        The same for every session of a spool.
    """

    def __init__(self, driver: KafkaDriver, topic: str, transactional_id: str) -> None:
        self._topic = topic
        self._reader: Any = Consumer(
            driver.options
            | {
                # librdkafka wants a group even where partitions are assigned by hand; nothing is committed to it.
                "group.id": transactional_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
            }
        )
        self._client: Any = driver.client(
            {"transactional.id": transactional_id, "transaction.timeout.ms": TRANSACTION_S * 1000, "linger.ms": 5}
        )
        self._offsets: dict[int, int] = {}
        self._refused: KafkaError | None = None

    def __enter__(self) -> Self:
        try:
            self._ask(self._client.init_transactions)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is UnansweredError:
            # A thread is inside the client; the next life fences whatever becomes of it.
            return
        self._client.purge()
        self._client.flush(0)
        self._reader.close()
        # The last reference ends the client, which else would go on beginning, and fence the sessions after this one.
        self._client = None

    def begin(self) -> None:
        """Begin a transaction."""
        self._offsets.clear()
        self._refused = None
        self._client.begin_transaction()

    def send(self, partition: int, batch: pa.RecordBatch) -> None:
        """Queue the messages of a partition; ``flush`` tells of those that were not taken."""
        columns = (batch.column(name).to_pylist() for name in ("value", "key"))
        times_us = batch.column("timestamp").cast(pa.int64()).to_pylist()
        for value, key, time_us in zip(*columns, times_us, strict=True):
            message = {"value": value, "key": key, "partition": partition, "timestamp": time_us // 1000}
            while True:
                try:
                    self._client.produce(self._topic, **message, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._client.poll(STEP_S)
                except KafkaException as error:
                    # The transaction has failed already: its end tells why.
                    self._refused = self._refused or kafka_error(error)
                    return
        self._client.poll(0)

    def flush(self) -> dict[int, int]:
        """Wait until the broker has all that was sent; gives, by partition, the offset of the last message.

        Raises
        ------
        KafkaException
            It did not take a message: the transaction is given up.
        SourceError
            ``broker-away``: it has not taken all in time.
        """
        if self._client.flush(ANSWER_TIMEOUT_S):
            raise self._away("does not take the messages")
        if self._refused is not None:
            self.abort()
            raise KafkaException(self._refused)
        return dict(self._offsets)

    def commit(self) -> None:
        """Land what was sent, in all partitions, or in none."""
        self._ask(self._client.commit_transaction)

    def abort(self) -> None:
        """Give up what was sent."""
        self._ask(self._client.abort_transaction)

    def stable_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """By partition, the last stable offset: the fate of all below it is decided."""
        return {
            partition: self._reader.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=ANSWER_TIMEOUT_S, cached=False
            )[1]
            for partition in partitions
        }

    def holds(self, partition: int, offset: int, value: bytes | None, key: bytes | None) -> bool:
        """Tell whether committed readers find this message there; its fate is decided."""
        self._reader.assign([TopicPartition(self._topic, partition, offset)])
        try:
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while time.monotonic() < deadline:
                message: Message | None = self._reader.poll(STEP_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    return (message.offset(), message.value(), message.key()) == (offset, value, key)
                if error.code() in {END, GONE}:
                    return False
                if error.code() not in MOVING:
                    raise KafkaException(error)
            raise self._away("does not answer")
        finally:
            self._reader.unassign()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is None and partition is not None and offset is not None and offset >= 0:
            self._offsets[partition] = offset
        else:
            self._refused = self._refused or error or KafkaError(KafkaError.DUPLICATE_SEQUENCE_NUMBER)

    def _away(self, found: str) -> SourceError:
        return SourceError(
            f"Cannot drain the spool of {self._topic}: the broker {found} ({ANSWER_TIMEOUT_S:g} s).",
            code="broker-away",
            hint="The drainer goes on trying.",
            retryable=True,
        )

    def _ask(self, call: Callable[..., object]) -> None:
        """Call with librdkafka's time limit, and with one of our own.

        It may wait without end where a broker is lost between two of its requests.
        """
        failed: list[BaseException] = []

        def run() -> None:
            try:
                call(ANSWER_TIMEOUT_S)
            except BaseException as error:  # noqa: BLE001 - raised where it was asked for
                failed.append(error)

        asking = threading.Thread(target=run, daemon=True)
        asking.start()
        asking.join(ANSWER_TIMEOUT_S + GRACE_S)
        if asking.is_alive():
            raise UnansweredError(
                f"Cannot drain the spool of {self._topic}: the broker was lost in the middle of a transaction.",
                code="broker-away",
                hint="The drainer starts again by itself.",
                retryable=True,
            )
        if failed:
            # Nothing here may hold the error, which by its frames holds this list and the client.
            error = failed.pop()
            try:
                raise error
            finally:
                del error
