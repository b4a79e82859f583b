"""Sends what a spool holds to Kafka, each message exactly once.

A transaction holds the messages and, as an offset of the spool's group on the target partition, the sequence that comes
after them: both land or neither. Whatever is in doubt (the broker away, an answer unheard) ends the session; the next
one lets Kafka settle what was open under the same transactional id and asks the group where to go on. A second drainer
fences the first, which stops for good.
"""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from neuralake_kernel import _bridge
from neuralake_kernel.errors import FencedError, SourceError
from neuralake_kernel.source.faults import Faults
from neuralake_kernel.source.kafka import ANSWER_TIMEOUT_S, AWAY, KafkaDriver, kafka_error
from neuralake_kernel.source.kafka_producer import STEP_S
from neuralake_kernel.source.spool import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from neuralake_kernel.source.broker import Broker
    from neuralake_kernel.source.spool import Spool, SpoolChoice

__all__ = ["Drainer", "UnansweredError"]

TURN_MESSAGES: Final = 10_000
TURN_BYTES: Final = 8 << 20
LOOK_S: Final = 0.05
AGAIN_S: Final = 0.5
GRACE_S: Final = 2.0
TRANSACTION_MS: Final = 30_000
FENCED: Final = {
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own name
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}


class UnansweredError(SourceError):
    """A call into the client that does not come back: only the end of the process ends it."""


class Drainer:
    """The drainer of one spool; ``run`` is its life.

    Parameters
    ----------
    spool
        What to send.
    broker
        Kafka.
    on_missing
        What to do when the spool has sent before and Kafka knows of no offset: ``fail``; ``resend`` from the last place
        known to be in this topic, which may double but loses nothing; ``skip`` all that may have been sent, which
        doubles nothing.
    faults
        Plan of deaths for fault tests.

    Raises
    ------
    SourceError
        ``spool-locked``: another process drains it.
    """

    def __init__(
        self, spool: Spool, broker: Broker, *, on_missing: SpoolChoice = "fail", faults: Path | None = None
    ) -> None:
        self._spool = spool
        self._topic = spool.topic
        self._driver = KafkaDriver(broker.options)
        self._on_missing = on_missing
        self._faults = Faults(faults)
        self._note = Note.read(spool.note_path)
        self.trouble = ""
        self._lock = (spool.folder / "drain.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            msg = f"Cannot drain the spool of {spool.topic}: another process does."
            raise SourceError(msg, code="spool-locked", hint="`neuralake status` names it.") from error

    def close(self) -> None:
        """Let another process drain; may be called twice."""
        self._lock.close()

    def run(self, stopping: threading.Event, *, tell: Callable[[], None] = lambda: None) -> None:
        """Send until told to stop, through any absence of the broker.

        Parameters
        ----------
        stopping
            Ends it, after the transaction under way.
        tell
            Called after each look.

        Raises
        ------
        SourceError
            ``spool-offset-missing``; ``broker-refused``: Kafka will not take a message.
        FencedError
            Another drainer of the same spool has begun.
        UnansweredError
            The client hangs: the caller ends its process and starts another.
        """
        while not stopping.is_set():
            try:
                with _Session(self._spool, self._driver) as session:
                    places = self._places(session)
                    self._spool.move(places, is_start=True)
                    self.trouble = ""
                    while not stopping.is_set():
                        if not self._turn(session, places):
                            stopping.wait(LOOK_S)
                        tell()
            except KafkaException as caught:
                error = kafka_error(caught)
                if error.code() in FENCED:
                    msg = f"Cannot go on draining the spool of {self._topic}: another drainer has begun."
                    raise FencedError(msg, hint="One home drains a spool; stop the other one.") from caught
                told = self._driver.refused(error, f"drain the spool of {self._topic!r}")
                if not (error.retriable() or error.txn_requires_abort() or error.code() in AWAY):
                    raise told from caught
                self.trouble = told.message
            except UnansweredError:
                raise
            except SourceError as error:
                if not error.retryable and error.code != "topic-missing":
                    raise
                self.trouble = error.message
            tell()
            stopping.wait(AGAIN_S)

    def _places(self, session: _Session) -> dict[int, int]:
        """Where to go on: Kafka's word, else the choice made."""
        held = self._spool.driver.offsets(self._topic)
        target = self._target(held)
        found = session.committed(sorted(held))
        places: dict[int, int] = {}
        for partition, (first, _) in held.items():
            place = found[partition]
            has_sent = partition in self._note.tried or first > 0
            if place is not None:
                places[partition] = place
            elif not has_sent:
                places[partition] = first
            else:
                places[partition] = self._chosen(partition, first, target)
        self._note.target = target
        return places

    def _target(self, held: Collection[int]) -> str:
        """Which life of the target it is; made with as many partitions as the spool if it is not there."""
        try:
            target = self._driver.incarnation(self._topic)
        except SourceError as error:
            if error.code != "topic-missing":
                raise
            return self._driver.create_topic(self._topic, len(held))
        missing = sorted(set(held) - set(self._driver.offsets(self._topic)))
        if missing:
            msg = f"Cannot drain the spool of {self._topic}: Kafka's topic has no partition {missing[0]}."
            raise SourceError(msg, code="spool-partitions", hint="Give the topic as many partitions as the spool has.")
        return target

    def _chosen(self, partition: int, first: int, target: str) -> int:
        if self._on_missing == "skip":
            return max(first, self._note.tried.get(partition, first))
        if self._on_missing == "resend":
            is_same = self._note.target == target
            return max(first, self._spool.drained().get(partition, first)) if is_same else first
        msg = (
            f"Cannot tell what of the spool of {self._topic}/{partition} is in Kafka: "
            f"it has sent before, and Kafka holds no offset of group {self._spool.id}."
        )
        raise SourceError(
            msg,
            code="spool-offset-missing",
            hint="The offset expired, or the topic is a new one. on_missing='resend' loses nothing and may double, "
            "on_missing='skip' doubles nothing and may lose.",
            context={"group": self._spool.id, "tried": self._note.tried, "confirmed": self._spool.drained()},
        )

    def _turn(self, session: _Session, places: dict[int, int]) -> bool:
        """Send what there is in one transaction; False when there is nothing."""
        batches = {partition: self._read(partition, place) for partition, place in places.items()}
        batches = {partition: batch for partition, batch in batches.items() if len(batch)}
        if not batches:
            return False
        after = {partition: places[partition] + len(batch) for partition, batch in batches.items()}
        session.client.begin_transaction()
        self._faults.pass_by("before_drain_send")
        for partition, batch in batches.items():
            session.send(partition, batch)
        self._faults.pass_by("before_drain_offsets")
        session.send_offsets(after)
        self._note.tried |= after
        self._note.write(self._spool.note_path)
        self._faults.pass_by("before_drain_commit")
        session.commit()
        self._faults.pass_by("after_drain_commit")
        places.update(after)
        self._spool.move(after)
        return True

    def _read(self, partition: int, place: int) -> pa.RecordBatch:
        spool = self._spool
        return pa.record_batch(
            _bridge.journal_read(spool.directory, self._topic, partition, place, TURN_MESSAGES, TURN_BYTES)
        )


class _Session:
    """A transactional producer and the group it commits for; a context manager."""

    def __init__(self, spool: Spool, driver: KafkaDriver) -> None:
        self._topic = spool.topic
        name = spool.id
        self._consumer: Any = Consumer(
            driver.options | {"group.id": name, "enable.auto.commit": False, "isolation.level": "read_committed"}
        )
        self.client: Any = driver.client(
            {"transactional.id": name, "transaction.timeout.ms": TRANSACTION_MS, "linger.ms": 5}
        )

    def __enter__(self) -> Self:
        # Aborts or completes what a former drainer left open; its offsets are settled from here on.
        self._ask(self.client.init_transactions)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is UnansweredError:
            # A thread is inside the client; the next life fences whatever becomes of it.
            return
        self.client.purge()
        self.client.flush(0)
        self._consumer.close()

    def committed(self, partitions: list[int]) -> dict[int, int | None]:
        """Offsets of the group; None where it has none."""
        asked = [TopicPartition(self._topic, partition) for partition in partitions]
        found = self._consumer.committed(asked, timeout=ANSWER_TIMEOUT_S)
        for place in found:
            if place.error is not None:
                raise KafkaException(place.error)
        return {place.partition: place.offset if place.offset >= 0 else None for place in found}

    def send(self, partition: int, batch: pa.RecordBatch) -> None:
        """Queue messages; their fate is told by the commit."""
        columns = (batch.column(name).to_pylist() for name in ("value", "key"))
        times_ms = batch.column("timestamp").cast(pa.int64()).to_pylist()
        for value, key, time_us in zip(*columns, times_ms, strict=True):
            while True:
                try:
                    self.client.produce(
                        self._topic, value=value, key=key, partition=partition, timestamp=time_us // 1000
                    )
                    break
                except BufferError:
                    self.client.poll(STEP_S)
        self.client.poll(0)

    def send_offsets(self, places: dict[int, int]) -> None:
        """Put the sequences that come next into the transaction."""
        offsets = [TopicPartition(self._topic, partition, place) for partition, place in places.items()]
        self._ask(self.client.send_offsets_to_transaction, offsets, self._consumer.consumer_group_metadata())

    def commit(self) -> None:
        """Land messages and offsets together, or neither."""
        self._ask(self.client.commit_transaction)

    def _ask(self, call: Callable[..., object], *arguments: object) -> None:
        """Call with librdkafka's time limit, and with one of our own.

        It waits without end where a broker is lost between two of its requests.
        """
        failed: list[BaseException] = []

        def run() -> None:
            try:
                call(*arguments, ANSWER_TIMEOUT_S)
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
            raise failed[0]
