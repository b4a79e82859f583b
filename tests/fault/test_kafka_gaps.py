"""Offsets with gaps: transaction markers, aborted messages, compaction, a deleted prefix. Gaps are no messages."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import create_topic, end_offsets
from neuralake_kernel.stack import BrokerSpec
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import Mixture, Sent, assert_law, declare, send

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.05))
TOMBSTONE = Sent(b"", None, rejects=((b"", ("message|empty",)),))


def transactional(broker: BrokerSpec, name: str) -> Producer:
    producer = Producer({**broker.options, "transactional.id": name, "log_level": 0})
    producer.init_transactions(30)
    return producer


def transact(producer: Producer, topic: str, messages: list[Sent], *, commit: bool) -> dict[tuple[int, int], Sent]:
    """Send messages in one transaction; gives those that count."""
    offsets: list[int] = []
    producer.begin_transaction()
    for message in messages:
        producer.produce(topic, message.value, partition=0, on_delivery=lambda _, sent: offsets.append(sent.offset()))
    producer.flush(30)
    assert len(offsets) == len(messages)
    if not commit:
        producer.abort_transaction(30)
        return {}
    producer.commit_transaction(30)
    return {(0, offset): message for offset, message in zip(offsets, messages, strict=True)}


def test_markers_and_aborted_messages_are_passed_by(local: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    table, topic = "transacted", "transacted.raw"
    create_topic(local.broker, topic)
    producer, messages = transactional(local.broker, table), Mixture(12)
    sent = transact(producer, topic, messages.take(50), commit=True)
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        # The coordinator answers before its marker stands in the partition.
        wait_until(lambda: end_offsets(local.broker, topic) == {0: 51}, what="the marker")
        assert job.wait(60).caught_up, "a marker is the last entry"
        assert job.report().positions == {0: 50}

        assert transact(producer, topic, Mixture(13).take(20), commit=False) == {}
        wait_until(lambda: end_offsets(local.broker, topic) == {0: 72}, what="the marker of the abort")
        assert job.wait(60).caught_up, "aborted messages and their marker are last"
        assert job.report().positions == {0: 50}

        sent |= transact(producer, topic, messages.take(50), commit=True)
        wait_until(lambda: job.report().positions == {0: 122}, what="the position after the last message")
        # A new worker resumes where no message is.
        local.stack.supervisor.restart(table)
        wait_until(lambda: job.report().epoch == 2 and job.report().state == "running", what="the next worker")
        assert job.wait(60).caught_up
        sent |= transact(producer, topic, messages.take(10), commit=True)
        wait_until(lambda: job.report().positions == {0: 133}, what="the position after a gap")
        assert job.wait(60).caught_up
        report = assert_law(local, table, sent, tmp_path)
    assert report.absent_offsets == 133 - len(sent)


def compacted(broker: BrokerSpec, topic: str) -> None:
    """Make a topic that the cleaner compacts as soon as a segment is closed."""
    admin = AdminClient({**broker.options, "log_level": 0})
    config = {"cleanup.policy": "compact", "segment.ms": "50", "min.cleanable.dirty.ratio": "0.01"}
    admin.create_topics([NewTopic(topic, 1, config=config)])[topic].result(30)
    create_topic(broker, topic)
    # Every 15 s unless told otherwise.
    alter(admin, ConfigResource(ResourceType.BROKER, "1"), "log.cleaner.backoff.ms", "50")


def alter(admin: AdminClient, resource: ConfigResource, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource.add_incremental_config(entry)
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(30)


def held_offsets(broker: BrokerSpec, topic: str) -> list[int]:
    """Offsets that a consumer still meets, from the first to the last."""
    options = {"group.id": topic, "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0}
    consumer = Consumer({**broker.options, **options})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[int] = []
    while (message := consumer.poll(30)) is not None:
        if message.error() is None:
            found.append(message.offset())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            break
    consumer.close()
    return found


def produce_keyed(broker: BrokerSpec, topic: str, messages: list[Sent], *, keys: int) -> dict[tuple[int, int], Sent]:
    """Send messages under few keys, so that all but the last of each key may go; every tenth keeps its own."""
    offsets: list[int] = []
    producer = Producer({**broker.options, "log_level": 0})
    for number, message in enumerate(messages):
        key = f"own {message.numbers or number}" if number % 10 == 9 else f"{number % keys}"
        value = message.value or None
        producer.produce(topic, value, key.encode(), 0, on_delivery=lambda _, sent: offsets.append(sent.offset()))
    assert producer.flush(30) == 0
    return {(0, offset): message for offset, message in zip(offsets, messages, strict=True)}


def test_a_compacted_topic_has_gaps_and_tombstones(local: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    table, topic = "compacted", "compacted.raw"
    compacted(local.broker, topic)
    messages = Mixture(14)
    # A job that has read the beginning stands, after the compaction, at a place that is gone.
    sent = produce_keyed(local.broker, topic, messages.take(20), keys=5)
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).caught_up
    written = produce_keyed(local.broker, topic, [*messages.take(299), TOMBSTONE], keys=7)

    def has_gaps() -> bool:
        # A segment is closed by what comes after it.
        written.update(produce_keyed(local.broker, topic, messages.take(1), keys=1))
        return len(held_offsets(local.broker, topic)) < len(sent) + len(written) - 200

    wait_until(has_gaps, timeout_s=60, what="the cleaner")
    admin = AdminClient({**local.broker.options, "log_level": 0})
    alter(admin, ConfigResource(ResourceType.TOPIC, topic), "cleanup.policy", "delete")
    held = held_offsets(local.broker, topic)
    assert max(held) - min(held) > len(held) + 100, "no gaps between messages"
    sent |= {(0, offset): written[0, offset] for offset in held if (0, offset) in written}
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).caught_up
        # Right behind the gap a tombstone is a whole message like any other.
        sent |= produce_keyed(local.broker, topic, [TOMBSTONE, *messages.take(20)], keys=3)
        assert job.wait(60).caught_up
        report = assert_law(local, table, sent, tmp_path)
    assert report.absent_offsets > 100


def test_a_deleted_prefix_is_where_the_earliest_start_begins(
    local: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table, topic = "prefix_deleted", "prefix_deleted.raw"
    create_topic(local.broker, topic)
    sent = send(local.broker, topic, Mixture(15).take(100))
    admin = AdminClient({**local.broker.options, "log_level": 0})
    place = TopicPartition(topic, 0, 40)
    assert admin.delete_records([place])[place].result(30).low_watermark == 40
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).caught_up
        report = assert_law(local, table, {key: sent[key] for key in sent if key[1] >= 40}, tmp_path)
    assert report.first_positions == {"0": 40}


@pytest.mark.parametrize("gone", [30, 100])
def test_messages_deleted_before_they_were_read_stop_the_job(
    local: Workbench, gone: int, tmp_path: Path, wait_until: Wait
) -> None:
    table = f"unread_deleted_{gone}"
    topic = f"{table}.raw"
    create_topic(local.broker, topic)
    sent = send(local.broker, topic, Mixture(16).take(20))
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).caught_up
        job.stop()
        send(local.broker, topic, Mixture(17).take(80))
        admin = AdminClient({**local.broker.options, "log_level": 0})
        place = TopicPartition(topic, 0, gone)
        admin.delete_records([place])[place].result(30)
        local.ingest(declare(table), policy=POLICY, restart=AT_ONCE)
        wait_until(lambda: job.status().state == "fatal", what="the end")
        error = job.report().error
        assert error is not None
        assert error["code"] == "position-deleted"
        assert f"{gone - 20} messages are gone" in error["message"]
        # What was read stays as it is.
        assert_law(local, table, sent, tmp_path)
