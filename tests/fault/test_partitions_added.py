"""A topic that grows while its job runs: each new partition is read from its first message, once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle
from neuralake_kernel.source import create_topic
from neuralake_kernel.stack import BrokerSpec
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, Death, DeathPlan
from tests.fault.traffic import Mixture, Sent, assert_law, declare, send

POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.05), start="latest")


def grow(broker: BrokerSpec, topic: str, partitions: int) -> None:
    admin = AdminClient({**broker.options, "log_level": 0})
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(30)
    create_topic(broker, topic, partitions)


def is_running(job: JobHandle, epoch: int) -> bool:
    report = job.report()
    return (report.state, report.epoch) == ("running", epoch)


def grow_and_die(
    lab: Workbench, table: str, kills: int, folder: Path, wait_until: Callable[..., None]
) -> dict[tuple[int, int], Sent]:
    """A topic grows so often, and its job dies each time right after it took the partition; gives what was sent."""
    topic, messages = f"{table}.raw", Mixture(32)
    create_topic(lab.broker, topic)
    plan = DeathPlan(folder / "plan", [Death("after_partition_added", 1)] * kills)
    policy = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.05))
    with lab.ingest(declare(table), policy=policy, restart=AT_ONCE, faults=plan.path) as job:
        sent = send(lab.broker, topic, messages.take(50))
        for partition in range(1, kills + 1):
            wait_until(lambda life=partition: is_running(job, life), timeout_s=60, what="the next worker")
            grow(lab.broker, topic, partition + 1)
            sent |= send(lab.broker, topic, messages.take(50), partition=partition)
            wait_until(lambda lives=partition: job.status().restarts == lives, timeout_s=60, what="its death")
        assert job.wait(60).caught_up
    return sent


@pytest.mark.parametrize("dies", [False, True])
def test_new_partitions_are_read_from_their_first_message(
    local: Workbench, tmp_path: Path, dies: bool, wait_until: Callable[..., None]
) -> None:
    table = f"grown_{dies}".lower()
    topic, messages = f"{table}.raw", Mixture(31)
    create_topic(local.broker, topic)
    deaths = [Death("after_partition_added", 1)] if dies else []
    plan = DeathPlan(tmp_path / "plan", deaths)
    with local.ingest(declare(table), policy=POLICY, restart=AT_ONCE, faults=plan.path) as job:
        wait_until(lambda: job.report().positions == {0: 0}, what="the first position")
        sent: dict[tuple[int, int], Sent] = send(local.broker, topic, messages.take(200))
        grow(local.broker, topic, 3)
        # There before the job knows of the partitions: it began with the latest, they begin with their first.
        for partition in range(3):
            sent |= send(local.broker, topic, messages.take(100), partition=partition)
        wait_until(lambda: job.report().positions == {0: 300, 1: 100, 2: 100}, timeout_s=60, what="all partitions")
        for partition in range(3):
            sent |= send(local.broker, topic, messages.take(50), partition=partition)
        assert job.wait(60).caught_up
        report = assert_law(local, table, sent, tmp_path)
        assert report.first_positions == {"0": 0, "1": 0, "2": 0}
        # Growing takes no new epoch: nobody was fenced. A death does.
        assert report.epoch == (2 if dies else 1)
        assert plan.untaken == 0
        # A start takes the topic as it is, however many partitions it was once made with.
        assert local.ingest(declare(table), policy=POLICY, restart=AT_ONCE, faults=plan.path).wait(60).caught_up
