"""Several topics into one table: each message of each exactly once, whatever partitions and offsets they share."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, TopicLeftWarning
from neuralake_kernel.source import create_topic, end_offsets, first_offsets
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, Death, DeathPlan, mixed_deaths
from tests.fault.test_live_reads import Watcher, bits, prefix
from tests.fault.traffic import PARTITIONS, Mixture, Sent, Traffic, assert_law, declare, send

Wait = Callable[..., None]
# Rows wait long enough to be read on their way, and no flush is far.
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=200, max_age_s=0.3), checkpoint_every=3, readers=2)
DEATHS = (Death("after_log_put", 3), Death("before_roll_forward", 2), Death("after_upload", 4))


def numbered(at: int) -> Callable[[int], Mixture]:
    """Messages whose rows have every other number: those of two topics never meet."""
    return lambda seed: Mixture(seed, numbers=count(at, 2))


def of_topic(topic: str, sent: Mapping[tuple[int, int], Sent]) -> dict[tuple[str, int], Sent]:
    """Messages by the names that partitions of several topics have."""
    return {(f"{topic}/{partition}", offset): message for (partition, offset), message in sent.items()}


def test_topics_of_the_same_numbers_through_kills_and_under_live_reads(
    embedded: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table, lab = "two_topics", embedded
    topics = [f"{table}.left", f"{table}.right"]
    deaths = [*DEATHS, *mixed_deaths(random.Random(67), per_point=0, at_random=4)]
    plan = DeathPlan(tmp_path / "deaths", deaths)
    with ExitStack() as stack:
        traffics = [
            stack.enter_context(Traffic(lab.broker, topic, seed=at, mixture=numbered(at)))
            for at, topic in enumerate(topics)
        ]
        declared = declare(table, topics=topics)
        job = stack.enter_context(
            lab.ingest(declared, policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE, faults=plan.path)
        )
        wait_until(lambda: lab.catalog.snapshots.is_created(table), timeout_s=60, what="the table")
        with Watcher(lab, table) as watcher:
            plan.carry_out(job, wait_until, timeout_s=120)
            wait_until(
                lambda: sum(look.waiting > 0 for look in tuple(watcher.looks)) > 3,
                timeout_s=60,
                what="rows on their way",
            )
            looks = watcher.stop()
        sent = {}
        for topic, traffic in zip(topics, traffics, strict=True):
            sent |= of_topic(topic, traffic.stop())
        assert job.wait(60).caught_up
        assert job.report().positions == ends(sent)
    assert set(offsets_of(sent, topics[0])) & set(offsets_of(sent, topics[1])), "both have messages at one place"
    assert_law(lab, table, sent, tmp_path)
    for look in looks:
        said = f"epoch {look.epoch}, version {look.version}, {look.positions}"
        assert (look.numbers, look.doubled) == (bits(prefix(sent, look.positions)), 0), said
    # Each topic of the journal keeps what this job has yet to read of it, and of no other.
    for topic in topics:
        (consumer,) = lab.journal.consumers(topic)
        assert consumer.positions == end_offsets(lab.broker, topic)


def ends(sent: Mapping[tuple[str, int], Sent]) -> dict[str, int]:
    found: dict[str, int] = {}
    for partition, offset in sent:
        found[partition] = max(found.get(partition, 0), offset + 1)
    return found


def offsets_of(sent: Mapping[tuple[str, int], Sent], topic: str) -> Iterator[tuple[str, int]]:
    return ((name.removeprefix(topic), offset) for name, offset in sent if name.startswith(f"{topic}/"))


def test_a_topic_is_added_to_a_table_and_taken_away(embedded: Workbench, tmp_path: Path) -> None:
    table, lab = "topics_change", embedded
    left, right = f"{table}.left", f"{table}.right"
    mixtures = {topic: numbered(at)(at) for at, topic in enumerate((left, right))}
    sent: dict[tuple[str, int], Sent] = {}

    def more(topic: str) -> None:
        sent.update(of_topic(topic, send(lab.broker, topic, mixtures[topic].take(40))))

    for topic in (left, right):
        create_topic(lab.broker, topic, 1)
        more(topic)
    with lab.ingest(declare(table, topics=[left]), policy=POLICY) as job:
        assert job.wait(60).positions == {0: 40}
    both = declare(table, topics=[left, right])
    more(left)
    with lab.ingest(both, policy=POLICY) as job:
        assert job.wait(60).positions == {f"{left}/0": 80, f"{right}/0": 40}
        assert lab.table(both).live().positions == {f"{left}/0": 80, f"{right}/0": 40}
    assert_law(lab, table, sent, tmp_path)

    with pytest.warns(TopicLeftWarning, match=f"no longer reads topic {left}"):
        job = lab.ingest(declare(table, topics=[right]), policy=POLICY)
    more(right)
    more(left)
    assert job.wait(60).positions == {0: 80}
    job.stop()
    assert f"topic {left} is no longer read" in lab.verify(table).notes
    both = declare(table, topics=[left, right])
    with lab.ingest(both, policy=POLICY) as job:
        assert job.wait(60).positions == {f"{left}/0": 120, f"{right}/0": 80}
    assert lab.verify(table).notes == assert_law(lab, table, sent, tmp_path).notes
    report = lab.produce(both, [{"number": 1_000_001, "packet": 1}], topic=right)
    assert (report.topic, report.acked) == (right, 1)
    with pytest.raises(UsageError) as refused:
        lab.produce(both, [{"number": 1, "packet": 1}], topic="another.raw")
    assert refused.value.code == "topic-not-read"


def test_topics_of_kafka_grow_and_are_trimmed_each_by_itself(
    local: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table = "kafka_topics"
    left, right = f"{table}.left", f"{table}.right"
    mixtures = {topic: numbered(at)(at) for at, topic in enumerate((left, right))}
    sent: dict[tuple[str, int], Sent] = {}

    def more(topic: str, *partitions: int) -> None:
        for partition in partitions:
            messages = mixtures[topic].take(60)
            sent.update(of_topic(topic, send(local.broker, topic, messages, partition=partition)))

    create_topic(local.broker, left, 1)
    create_topic(local.broker, right, 3)
    more(left, 0)
    more(right, 0, 1, 2)
    declared = declare(table, topics=[left, right])
    with local.ingest(declared, policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).positions == {f"{left}/0": 60} | {f"{right}/{part}": 60 for part in range(3)}
        grow(local, left, 2)
        more(left, 0, 1)
        more(right, 1)
        wait_until(lambda: job.report().positions == ends(sent), timeout_s=60, what="all partitions")
        assert job.wait(60).caught_up
        with pytest.raises(UsageError) as refused:
            local.trim(declared, retention="committed")
        assert refused.value.code == "topic-unnamed"
        job.stop()
        more(right, 0, 2)
        # Declared on it behind another topic, and never started: it is waited for.
        declare("kafka_waits", topics=[left, right])
        assert local.trim(declared, topic=right, retention="committed").held_by == dict.fromkeys(
            range(3), "kafka_waits"
        )
        declare("kafka_waits", topics=[left])
        trimmed = local.trim(declared, topic=right, retention="committed")
        assert (trimmed.topic, trimmed.first) == (right, {0: 60, 1: 120, 2: 60})
        assert first_offsets(local.broker, left) == {0: 0, 1: 0}, "of the other topic nothing went"
        again = local.ingest(declared, policy=POLICY, restart=AT_ONCE)
        assert again.wait(60).caught_up
    report = assert_law(local, table, sent, tmp_path)
    assert report.positions == dict(sorted(ends(sent).items()))


def grow(lab: Workbench, topic: str, partitions: int) -> None:
    """Give a topic more partitions."""
    from confluent_kafka.admin import AdminClient, NewPartitions

    admin = AdminClient(dict(lab.broker.options))
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)
