"""Kafka behind the source's protocols, by confluent-kafka.

Clients stay quiet while the broker is away: what matters reaches the caller as an error of the
call.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.source.kafka_producer import KafkaProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from neuralake_kernel.source.acks import Acks

__all__ = ["KafkaDriver"]

T = TypeVar("T")
ANSWER_TIMEOUT_S = 15.0
ASK_AGAIN_S = 0.05
MISSING = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - librdkafka's own name, as those below
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
}
AWAY = {
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
}
# Kafka's promise of each mode: without every replica's word it cannot tell a retry from a new message.
PROMISES: dict[Acks, dict[str, Any]] = {
    "none": {"enable.idempotence": False, "acks": "0"},
    "buffered": {"enable.idempotence": False, "acks": "1"},
    "durable": {"enable.idempotence": True, "acks": "all"},
}
# What a broker says of a partition while leadership settles: after its start, and just after the topic was made, the
# client's view may also be the newer one.
MOVING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
}
END = KafkaError._PARTITION_EOF  # noqa: SLF001


class KafkaDriver:
    """Topics of one Kafka.

    Parameters
    ----------
    options
        Client options by their librdkafka names.
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = client_options(options)
        self._where = str(options.get("bootstrap.servers", "no address"))

    def create_topic(self, topic: str, partitions: int) -> str:
        """Make a topic or find it made; returns its topic id."""
        admin, tried = self._admin(), f"make topic {topic!r}"
        wanted = NewTopic(topic, num_partitions=partitions, replication_factor=-1)
        futures = admin.create_topics([wanted], request_timeout=ANSWER_TIMEOUT_S, operation_timeout=ANSWER_TIMEOUT_S)
        try:
            futures[topic].result()
        except KafkaException as error:
            if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self.refused(kafka_error(error), tried) from error
        # The answer may come before the broker's own view of the topic, and before it leads the partitions.
        found = len(_patiently(partial(self.offsets, topic), {"topic-missing", "broker-moving"}))
        if found != partitions:
            msg = f"Cannot {tried} with {partitions} partitions: it exists with {found}."
            hint = f"Ask for {found} partitions, or choose another name."
            raise SourceError(msg, code="topic-exists", hint=hint)
        return self.incarnation(topic)

    @property
    def options(self) -> dict[str, Any]:
        """Options of every client of this Kafka; they hold its secrets."""
        return dict(self._options)

    def incarnation(self, topic: str) -> str:
        """Give the topic id as Kafka prints it."""
        return str(self._describe(self._admin(), topic).topic_id)

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """Give first offset and high watermark of each partition."""
        admin = self._admin()
        places = [TopicPartition(topic, info.id) for info in self._describe(admin, topic).partitions]
        first, end = (
            _patiently(partial(self._listed, admin, places, spec), {"broker-moving"})
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        return {partition: (first[partition], end[partition]) for partition in sorted(end)}

    def is_read(self, topic: str, places: Mapping[int, int]) -> bool:
        """Tell whether a read-committed consumer at the places meets the end before a message."""
        consumer = _opened(
            Consumer,
            self._options
            | {
                # librdkafka wants a group even where partitions are assigned by hand; nothing is
                # ever committed to it.
                "group.id": "neuralake-caught-up",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
            },
        )
        try:
            consumer.assign([TopicPartition(topic, number, place) for number, place in places.items()])
            return self._reach_end(consumer, topic, set(places))
        finally:
            consumer.close()

    def delete_before(self, topic: str, places: Mapping[int, int]) -> dict[int, int]:
        """Delete what lies below the places; gives the first offset held by each partition."""
        # Held until the answer is in: a client that goes away ends its requests.
        admin = self._admin()
        futures = admin.delete_records(
            [TopicPartition(topic, partition, place) for partition, place in places.items()],
            request_timeout=ANSWER_TIMEOUT_S,
            operation_timeout=ANSWER_TIMEOUT_S,
        )
        tried = f"delete messages of topic {topic!r}"
        return {place.partition: int(self._answer(future, tried).low_watermark) for place, future in futures.items()}

    def open_producer(self, topic: str, *, acks: Acks = "durable") -> KafkaProducer:
        """Open a producer on a topic."""
        return KafkaProducer(self, topic, acks=acks)

    def client(self, options: Mapping[str, Any], *, acks: Acks = "durable") -> Any:  # noqa: ANN401 - the stubs are incomplete
        """Open a producing client; ``options`` are defaults, the driver's own win."""
        return _opened(Client, dict(options) | self._options | PROMISES[acks])

    def refused(self, error: KafkaError, tried: str) -> SourceError:
        """Build the error of a broker that answered no, or did not answer."""
        if error.code() in MISSING:
            return SourceError(
                f"Cannot {tried}: the broker at {self._where} has no such topic or partition.",
                code="topic-missing",
                hint="Make it with create_topic(broker, topic), or start a job on its table.",
            )
        if error.code() in AWAY:
            return self._away(tried, error.str())
        if error.code() in MOVING:
            return SourceError(
                f"Cannot {tried}: the broker at {self._where} does not lead the partition yet ({error.name()}).",
                code="broker-moving",
                hint="It has just started or made the topic; call again in a moment.",
                retryable=True,
            )
        return SourceError(
            f"Cannot {tried}: the broker answered {error.name()}, {error.str()}.",
            code="broker-refused",
            hint="Look at `neuralake logs kafka`.",
            retryable=error.retriable(),
        )

    def _admin(self) -> AdminClient:
        return _opened(AdminClient, self._options)

    def _away(self, tried: str, found: str) -> SourceError:
        return SourceError(
            f"Cannot {tried}: the broker at {self._where} does not answer ({found}).",
            code="broker-away",
            hint="`neuralake status` tells whether Kafka runs, lab.stack.start() starts it; "
            "wrong credentials look the same.",
            context={"broker": self._where},
            retryable=True,
        )

    def _reach_end(self, consumer: Consumer, topic: str, left: set[int]) -> bool:
        tried = f"read topic {topic!r}"
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while left:
            message = consumer.poll(0.1)
            if message is None:
                if time.monotonic() > deadline:
                    raise self._away(tried, f"waited {ANSWER_TIMEOUT_S:g} s")
                continue
            error = message.error()
            if error is None:
                return False
            if error.code() == END:
                left.discard(message.partition() or 0)
            elif error.code() not in MOVING or time.monotonic() > deadline:
                raise self.refused(error, tried)
        return True

    def _listed(self, admin: AdminClient, places: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
        futures = admin.list_offsets(
            dict.fromkeys(places, spec),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ANSWER_TIMEOUT_S,
        )
        tried = "measure topics"
        return {place.partition: int(self._answer(future, tried).offset) for place, future in futures.items()}

    def _describe(self, admin: AdminClient, topic: str) -> Any:  # noqa: ANN401 - the stubs are incomplete
        futures = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_TIMEOUT_S)
        return self._answer(futures[topic], f"describe topic {topic!r}")

    def _answer(self, future: Future[T], tried: str) -> Any:  # noqa: ANN401 - the stubs are incomplete
        try:
            return future.result()
        except KafkaException as error:
            raise self.refused(kafka_error(error), tried) from error


def _opened(kind: Callable[[dict[str, Any]], T], options: dict[str, Any]) -> T:
    """Make a client; an option it does not know, or does not take, is told by name, never by value."""
    try:
        return kind(options)
    except KafkaException as error:
        said = kafka_error(error)
        msg = f"Cannot reach Kafka with these client options: {_option_fault(said, options)}."
        raise UsageError(
            msg,
            code="broker-option",
            hint="Options are librdkafka's, by their own names; mend NEURALAKE_BROKER__OPTIONS or its settings file.",
        ) from None


def _option_fault(error: KafkaError, options: Mapping[str, Any]) -> str:
    """Name the option; librdkafka's own words hold its value, which may be a secret."""
    said = error.str()
    named = next((name for name in sorted(options, key=len, reverse=True) if f'"{name}"' in said), None)
    if named is None:
        for value in sorted(map(str, options.values()), key=len, reverse=True):
            said = said.replace(value, "***") if value else said
        return said.strip()
    if said.startswith("No such configuration property"):
        return f"librdkafka has no option {named}"
    return f"it does not take the value given for {named}: wrong kind, or out of range"


def _patiently(ask: Callable[[], T], codes: set[str]) -> T:
    """Ask again while the answer is an error that passes by itself."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        try:
            return ask()
        except SourceError as error:
            if error.code not in codes or time.monotonic() > deadline:
                raise
        time.sleep(ASK_AGAIN_S)


def kafka_error(error: KafkaException) -> KafkaError:
    """Take the code and its text out of an exception, which carries them as its one argument."""
    found = error.args[0]
    return found if isinstance(found, KafkaError) else KafkaError(KafkaError.UNKNOWN, str(found))


def client_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Options of a client that stays quiet while the broker is away, and is back soon after it."""
    quiet: dict[str, Any] = {
        "log_level": 0,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1000,
        # Without a callback librdkafka prints each broken connection.
        "error_cb": lambda _error: None,
    }
    return quiet | dict(options)
