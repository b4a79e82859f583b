"""Sends what a spool holds to Kafka, each message exactly once.

Messages land by transactions. Before each commit the spool notes, durably, where in the target the last message of
each partition is. A session begins by waiting until the fate of all that was sent before is decided, and then looks
there: what committed readers find has landed, the rest is sent again. The target itself tells, so no answer of the
broker has to be believed, also not one that it gave and could not keep. A second drainer fences the first, which stops
for good.
"""

from __future__ import annotations

import fcntl
import threading
import time
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException

from neuralake_kernel import _bridge
from neuralake_kernel.errors import FencedError, SourceError
from neuralake_kernel.source.drain_note import Note, Tried
from neuralake_kernel.source.drain_session import TRANSACTION_S, Session, UnansweredError
from neuralake_kernel.source.faults import Faults
from neuralake_kernel.source.kafka import KafkaDriver, kafka_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from neuralake_kernel.source.broker import Broker
    from neuralake_kernel.source.spool import Spool, SpoolChoice

__all__ = ["Drainer"]

TURN_MESSAGES: Final = 10_000
#: Of one transaction, over all partitions: fewer where the broker does not take as much in time.
TURN_BYTES: Final = 8 << 20
LEAST_TURN_BYTES: Final = 64 << 10
LOOK_S: Final = 0.05
AGAIN_S: Final = 0.5
#: How long the markers of a transaction may take before the drainer gives one up itself, and before it looks anew.
SETTLE_S: Final = 5.0
LOOK_ANEW_S: Final = 30.0
#: How long a drainer that is told to stop waits for the markers of its last transaction.
LAST_LOOK_S: Final = 1.0
# Goes on while the machine sleeps, as the broker's clock does.
CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
FENCED: Final = {
    KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own name
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
#: What no other try changes.
REFUSED: Final = {
    KafkaError.INVALID_MSG_SIZE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.POLICY_VIOLATION,
    KafkaError.RECORD_LIST_TOO_LARGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
#: What ends a client, and not the next one.
OF_THE_CLIENT: Final = {
    KafkaError.DUPLICATE_SEQUENCE_NUMBER,
    KafkaError.INVALID_TXN_STATE,
    KafkaError._FATAL,  # noqa: SLF001
    KafkaError._PURGE_INFLIGHT,  # noqa: SLF001
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._STATE,  # noqa: SLF001
}


class Drainer:
    """The drainer of one spool; ``run`` is its life.

    Parameters
    ----------
    spool
        What to send.
    broker
        Kafka.
    on_missing
        What to do when the target cannot tell what of the spool it has, being another topic by now, or having deleted
        the messages in doubt: ``fail``; ``resend`` from the last place known to be in this topic, which may double
        but loses nothing; ``skip`` all that may have been sent, which doubles nothing.
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
        self._waiting_since: dict[int, float] = {}
        self._turn_bytes = TURN_BYTES
        self._begun_at = 0.0
        self.trouble = ""
        self._lock = (spool.folder / "drain.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            msg = f"Cannot drain the spool of {spool.topic}: another process does."
            raise SourceError(msg, code="spool-locked", hint="`neuralake status` names it.") from error
        # Under the lock: nobody else adds to it from here on.
        self._note = Note.read(spool.note_path)

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
            ``spool-place-unknown``; ``broker-refused``: Kafka will not take a message.
        FencedError
            Another drainer of the same spool has begun.
        UnansweredError
            The client hangs: the caller ends its process and starts another.
        """
        while not stopping.is_set():
            try:
                self._begun_at = time.clock_gettime(CLOCK)
                with Session(self._driver, self._topic, self._spool.id) as session:
                    self._drain(session, stopping, tell)
            except KafkaException as caught:
                self.trouble = self._told(caught).message
            except UnansweredError:
                raise
            except SourceError as error:
                if not error.retryable and error.code != "topic-missing":
                    raise
                self.trouble = error.message
                self._turn_bytes = max(self._turn_bytes // 2, LEAST_TURN_BYTES)
            tell()
            stopping.wait(AGAIN_S)

    def _told(self, caught: KafkaException) -> SourceError:
        """What a new session may mend, in words; everything else is raised."""
        error = kafka_error(caught)
        if error.code() in FENCED and time.clock_gettime(CLOCK) - self._begun_at < TRANSACTION_S:
            msg = f"Cannot go on draining the spool of {self._topic}: another drainer has begun."
            raise FencedError(msg, hint="One home drains a spool; stop the other one.") from caught
        told = self._driver.refused(error, f"drain the spool of {self._topic!r}")
        passes_by = told.retryable or told.code == "topic-missing" or error.txn_requires_abort()
        if error.code() in REFUSED or not (passes_by or error.code() in FENCED | OF_THE_CLIENT):
            raise told from caught
        return told

    def _drain(self, session: Session, stopping: threading.Event, tell: Callable[[], None]) -> None:
        """Send until told to stop, or until a session must begin anew to find out what became of a commit."""
        places = self._find_places(session, stopping, tell)
        if not places:
            return
        while not stopping.is_set() and self._look(session):
            if not self._turn(session, places):
                stopping.wait(LOOK_S)
            tell()
        deadline = time.monotonic() + LAST_LOOK_S
        while stopping.is_set() and self._note.tried and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            self._look(session)

    def _find_places(self, session: Session, stopping: threading.Event, tell: Callable[[], None]) -> dict[int, int]:
        """Where to go on, by the target's own word, else by the choice made; nowhere if that cannot be told now."""
        held = self._spool.driver.offsets(self._topic)
        target = self._target(held)
        if not self._settle(session, self._unsent(held), self._driver.offsets(self._topic), stopping, tell):
            return {}
        # Anew: settling takes its time.
        ends = self._driver.offsets(self._topic)
        places = {
            partition: self._place(session, partition, first, target, ends[partition][0])
            for partition, (first, _) in held.items()
        }
        if self._driver.incarnation(self._topic) != target:
            return {}
        self._note.target, self._note.landed = target, dict(places)
        self._note.tried.clear()
        self._waiting_since.clear()
        self._note.write(self._spool.note_path)
        self._spool.move(places, is_start=True)
        self.trouble = ""
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

    def _unsent(self, held: Mapping[int, tuple[int, int]]) -> dict[int, int]:
        """The first place of each partition whose message is not known to have landed."""
        places = {partition: self._note.landed.get(partition, first) for partition, (first, _) in held.items()}
        return {partition: place for partition, place in places.items() if place < held[partition][1]}

    def _settle(
        self,
        session: Session,
        unsent: Mapping[int, int],
        ends: Mapping[int, tuple[int, int]],
        stopping: threading.Event,
        tell: Callable[[], None],
    ) -> bool:
        """Wait until the fate of all that may be of this spool is decided; False if told to stop, or after long.

        A broker that was killed may come back without the marker of a transaction it had answered for. What was sent
        hangs there until a later marker of the same producer: that of an abort, so that nothing lands unseen. What
        hangs after that is another producer's.
        """
        began, has_given_up = time.monotonic(), False
        while not stopping.is_set() and time.monotonic() - began < LOOK_ANEW_S:
            stable = session.stable_ends(unsent)
            hanging = sorted(partition for partition, end in stable.items() if end < ends[partition][1])
            if not hanging:
                return True
            if time.monotonic() - began > SETTLE_S and not has_given_up:
                self.trouble = self._open_transactions(hanging)
                self._give_up(session, {partition: unsent[partition] for partition in hanging})
                has_given_up = True
            tell()
            stopping.wait(LOOK_S)
        return False

    def _open_transactions(self, partitions: Collection[int]) -> str:
        return (
            f"Nothing is sent: transactions stand open in {self._topic}, partitions {sorted(partitions)}, and hold its "
            "readers back. They end by themselves, or by Kafka's own kafka-transactions.sh."
        )

    def _give_up(self, session: Session, places: Mapping[int, int]) -> None:
        """Send a message to each partition and abort: the marker ends all that this spool left open there."""
        self._begun_at = time.clock_gettime(CLOCK)
        session.begin()
        for partition, place in places.items():
            session.send(partition, self._read(partition, place, messages=1))
        session.flush()
        session.abort()

    def _place(self, session: Session, partition: int, first: int, target: str, target_first: int) -> int:
        """Where to go on in one partition: after the last commit that committed readers find."""
        landed = self._note.landed.get(partition)
        if landed is None:
            # Nothing was tried that the note knows of.
            is_new = first == 0 and not self._spool.drained().get(partition, 0)
            return first if is_new else self._chosen(partition, first, target)
        commits = self._note.tried.get(partition, [])
        if self._note.target != target:
            return self._chosen(partition, first, target) if landed > 0 or commits else first
        for commit in reversed(commits):
            if commit.offset < target_first:
                return self._chosen(partition, first, target)
            message = self._read(partition, commit.after - 1, messages=1)
            value, key = (message.column(name)[0].as_py() for name in ("value", "key"))
            if session.holds(partition, commit.offset, value, key):
                return commit.after
        return landed

    def _chosen(self, partition: int, first: int, target: str) -> int:
        confirmed = self._note.landed.get(partition, self._spool.drained().get(partition, first))
        tried = max(self._note.furthest(partition) or first, confirmed)
        if self._on_missing == "skip":
            return max(first, tried)
        if self._on_missing == "resend":
            return max(first, confirmed) if self._note.target == target else first
        msg = (
            f"Cannot tell what of the spool of {self._topic}/{partition} is in Kafka: messages up to {tried} may have "
            f"been sent, those up to {confirmed} are known to have been, and the topic cannot tell."
        )
        raise SourceError(
            msg,
            code="spool-place-unknown",
            hint="The topic is a new one, or has deleted the messages in doubt. on_missing='resend' loses nothing and "
            "may double, on_missing='skip' doubles nothing and may lose.",
            context={"partition": partition, "tried": tried, "confirmed": confirmed},
        )

    def _turn(self, session: Session, places: dict[int, int]) -> bool:
        """Send what there is in one transaction; False when there is nothing."""
        most = max(self._turn_bytes // len(places), LEAST_TURN_BYTES)
        batches = {partition: self._read(partition, place, most_bytes=most) for partition, place in places.items()}
        batches = {partition: batch for partition, batch in batches.items() if len(batch)}
        if not batches:
            return False
        self._begun_at = time.clock_gettime(CLOCK)
        session.begin()
        self._faults.pass_by("before_drain_send")
        for partition, batch in batches.items():
            session.send(partition, batch)
        offsets = session.flush()
        self._faults.pass_by("before_drain_note")
        after = {partition: places[partition] + len(batch) for partition, batch in batches.items()}
        for partition, place in after.items():
            self._note.tried.setdefault(partition, []).append(Tried(place, offsets[partition]))
            self._waiting_since.setdefault(partition, time.monotonic())
        self._note.write(self._spool.note_path)
        self._faults.pass_by("before_drain_commit")
        session.commit()
        self._faults.pass_by("after_drain_commit")
        places.update(after)
        self._turn_bytes = min(self._turn_bytes * 2, TURN_BYTES)
        return True

    def _look(self, session: Session) -> bool:
        """Take for landed what committed readers can reach; False when something should have become so long ago.

        No transaction is open now, and none of this session was aborted.
        """
        if not self._note.tried:
            return True
        moved = self._note.land(session.stable_ends(self._note.tried))
        if moved:
            # In this order: the spool may let go of what lies below its place.
            self._note.write(self._spool.note_path)
            self._spool.move(moved)
        now = time.monotonic()
        since = {partition: self._waiting_since[partition] for partition in self._note.tried}
        self._waiting_since = {partition: now if partition in moved else at for partition, at in since.items()}
        late = [partition for partition, at in self._waiting_since.items() if now - at > SETTLE_S]
        if late:
            self.trouble = self._open_transactions(late)
        return not late

    def _read(
        self, partition: int, place: int, *, messages: int = TURN_MESSAGES, most_bytes: int = TURN_BYTES
    ) -> pa.RecordBatch:
        directory = self._spool.directory
        return pa.record_batch(_bridge.journal_read(directory, self._topic, partition, place, messages, most_bytes))
