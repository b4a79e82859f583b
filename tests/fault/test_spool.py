"""A spool's drainer dies at every named point, the broker goes away: each message is in Kafka exactly once."""

import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

import dataframely as dy
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

import neuralake_kernel as nl
from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.ingest import SpoolHandle
from neuralake_kernel.source import SpoolChoice, create_topic, end_offsets
from neuralake_kernel.source.drain_note import Note, Tried
from neuralake_kernel.source.faults import DRAIN_POINTS
from neuralake_kernel.workbench import Workbench
from tests.fault.broken_logs import make_anew
from tests.fault.deaths import AT_ONCE, Death, DeathPlan
from tests.fault.workers import kill

Wait = Callable[..., None]
PARTITIONS = 2
DEATHS_PER_POINT = 3


def declare(name: str) -> type[dy.Schema]:
    @nl.table(topic=f"{name}.raw", name=name, description="Numbers that go by way of a spool.")
    class Numbers(dy.Schema):
        device = dy.String(nullable=False)
        number = dy.Int64(nullable=False)

    return Numbers


def read_committed(lab: Workbench, topic: str) -> list[tuple[str, bytes]]:
    """All messages of a topic, aborted ones left out, by key and in the order of each partition.

    A commit is a promise when its markers are not written yet: until they are, such a reader comes to an end before the
    last messages, and goes on later.
    """
    consumer = Consumer(
        {
            **lab.broker.options,
            "group.id": "test-spool",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    found: list[tuple[str, bytes]] = []
    ends = end_offsets(lab.broker, topic)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
    left = set(ends)
    while left:
        message = consumer.poll(60)
        assert message is not None, f"partitions {left} do not come to their end, {ends}"
        error = message.error()
        if error is None:
            found.append(((message.key() or b"").decode(), message.value()))
        elif error.code() == KafkaError._PARTITION_EOF and message.offset() >= ends[message.partition()]:
            left.discard(message.partition())
    consumer.close()
    return found


def assert_each_once(lab: Workbench, topic: str, sent: list[dict[str, object]]) -> None:
    found = read_committed(lab, topic)
    for device in {str(row["device"]) for row in sent}:
        wanted = [
            b'{"device":"%s","number":%d}' % (device.encode(), row["number"]) for row in sent if row["device"] == device
        ]
        got = [value for key, value in found if key == device]
        assert len(got) == len(wanted), f"{device}: {len(got)} of {len(wanted)}"
        assert got == wanted, "in order"
    assert len(found) == len(sent)


class Sending:
    """A producer into the spool that goes on until it is told to stop; a context manager."""

    def __init__(self, lab: Workbench, table: type) -> None:
        self._lab, self._table = lab, table
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self.sent: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _rows(self) -> Iterator[dict[str, object]]:
        for number in count():
            row: dict[str, object] = {"device": f"d{number % 5}", "number": number}
            self.sent.append(row)
            yield row
            if number % 40 == 0 and self._stop.wait(0.02):
                return

    def _run(self) -> None:
        try:
            self._lab.produce(self._table, self._rows(), key="device", acks="buffered", spool=True)
        except BaseException as error:  # noqa: BLE001 - carried to whoever stops it; a thread has no caller
            self._error = error


def test_a_drainer_that_dies_at_every_point_sends_each_message_once(
    local: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table = declare("spooled_deaths")
    create_topic(local.broker, "spooled_deaths.raw", PARTITIONS)
    chance = random.Random(5)
    deaths = [Death(point, chance.randint(1, 4)) for point in DRAIN_POINTS for _ in range(DEATHS_PER_POINT)]
    chance.shuffle(deaths)
    plan = DeathPlan(tmp_path / "plan", deaths)
    spool = local.spool(table, restart=AT_ONCE, faults=plan.path)
    with Sending(local, table) as sending:

        def has_died() -> bool:
            status = spool.process()
            return status is not None and status.restarts >= len(deaths) and plan.untaken == 0

        wait_until(has_died, timeout_s=180, what=f"{len(deaths)} deaths of the drainer")
    assert spool.wait(60).waiting == 0
    spool.stop()
    assert_each_once(local, "spooled_deaths.raw", sending.sent)


def has_made(sending: Sending, messages: int) -> bool:
    return len(sending.sent) > messages


def has_sent(spool: SpoolHandle, messages: int) -> bool:
    return spool.status().sent > messages


def test_a_broker_that_is_killed_holds_the_spool_and_loses_nothing(local: Workbench, wait_until: Wait) -> None:
    """Killed while transactions flow: it may come back without what it answered for (docs/adr/0053-spool.md)."""
    table = declare("spooled_away")
    create_topic(local.broker, "spooled_away.raw", PARTITIONS)
    spool = local.spool(table, restart=AT_ONCE)
    with Sending(local, table) as sending:
        wait_until(partial(has_sent, spool, 200), timeout_s=90, what="the first messages in Kafka")
        for _ in range(2):
            sent, made = spool.status().sent, len(sending.sent)
            broker = local.stack.supervisor.find("kafka")
            assert broker is not None
            kill(broker.pid)
            wait_until(partial(has_made, sending, made + 2000), what="the producer to go on without a broker")
            local.stack.supervisor.wait("kafka", timeout_s=60, states=["ready"])
            wait_until(partial(has_sent, spool, sent + 500), timeout_s=90, what="the drainer to go on")
    assert spool.wait(60).waiting == 0
    spool.stop()
    assert_each_once(local, "spooled_away.raw", sending.sent)


def rows(first: int, end: int) -> list[dict[str, object]]:
    return [{"device": "d", "number": number} for number in range(first, end)]


def test_what_the_target_does_not_hold_is_sent_again(local: Workbench) -> None:
    """The target lost a commit that was answered, the next one it has; the spool was told neither."""
    table, topic = declare("spooled_lost"), "spooled_lost.raw"
    create_topic(local.broker, topic)
    spool = local.spool(table)
    for first in (0, 100):
        local.produce(table, rows(first, first + 100), key="device", spool=True)
        assert spool.wait(60).waiting == 0
    spool.stop()
    note = Note.read(spool.spool.note_path)
    (end,) = end_offsets(local.broker, topic).values()
    # The marker of the last transaction stands at the end, its last message before it.
    found, lost = Tried(200, end - 2), Tried(200, end + 100)
    Note(note.target, {0: 100}, {0: [found]}).write(spool.spool.note_path)
    spool.spool.move({0: 100}, is_start=True)
    spool = local.spool(table)
    assert spool.wait(60).waiting == 0
    spool.stop()
    assert_each_once(local, topic, rows(0, 200))
    Note(note.target, {0: 100}, {0: [lost]}).write(spool.spool.note_path)
    spool.spool.move({0: 100}, is_start=True)
    spool = local.spool(table)
    assert spool.wait(60).waiting == 0
    spool.stop()
    assert_each_once(local, topic, [*rows(0, 200), *rows(100, 200)])


def test_what_a_reader_cannot_reach_yet_is_not_called_sent(local: Workbench, wait_until: Wait) -> None:
    """Another producer's open transaction stands before ours: committed readers wait, and so does the spool."""
    table, topic = declare("spooled_held"), "spooled_held.raw"
    create_topic(local.broker, topic)
    other = Producer({**local.broker.options, "transactional.id": "another", "transaction.timeout.ms": 120_000})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(topic, value=b'{"device":"other","number":0}', key=b"other", partition=0)
    assert other.flush(30) == 0
    spool = local.spool(table)
    local.produce(table, rows(0, 50), key="device", spool=True)
    wait_until(lambda: "stand open" in spool.trouble, what="the drainer to tell what it waits for")
    assert spool.status().waiting == 50
    other.commit_transaction(30)
    assert spool.wait(60).waiting == 0
    spool.stop()
    assert_each_once(local, topic, [{"device": "other", "number": 0}, *rows(0, 50)])


@pytest.mark.parametrize("choice", ["resend", "skip"])
def test_a_spool_whose_topic_is_made_anew_stops_with_a_choice(
    local: Workbench, wait_until: Wait, choice: SpoolChoice
) -> None:
    name = f"spooled_{choice}"
    table, topic = declare(name), f"{name}.raw"
    create_topic(local.broker, topic)
    local.produce(table, rows(0, 100), key="device", spool=True)
    spool = local.spool(table)
    assert spool.wait(60).waiting == 0
    spool.stop()
    make_anew(local.broker, topic, wait_until)
    local.produce(table, rows(100, 200), key="device", spool=True)
    spool = local.spool(table)
    with pytest.raises(SourceError) as caught:
        spool.wait(60)
    assert caught.value.code == "spool-place-unknown"
    assert spool.status().waiting == 100, "nothing was sent meanwhile"
    again = local.spool(table, on_missing=choice)
    assert again.wait(60).waiting == 0
    local.produce(table, rows(200, 300), key="device", spool=True)
    assert again.wait(60).waiting == 0
    again.stop()
    assert_each_once(local, topic, rows(0 if choice == "resend" else 100, 300))


def test_a_spool_on_the_embedded_profile_is_a_usage_error(embedded: Workbench) -> None:
    with pytest.raises(UsageError) as caught:
        embedded.produce(declare("spooled_embedded"), [], spool=True)
    assert caught.value.code == "spool-needs-kafka"
