"""The store is away, killed or hung: the job says so and waits, or gives up and starts again; then it goes on.

Asked of every store that may serve the local profile.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.stack import Supervisor
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare
from tests.fault.workers import kill

Wait = Callable[..., None]
FLUSH = FlushPolicy(max_rows=150, max_age_s=0.1)


@pytest.fixture
def lab(every_store: Workbench) -> Iterator[Workbench]:
    yield every_store
    every_store.stack.start()


@pytest.fixture
def supervisor(lab: Workbench) -> Supervisor:
    return lab.stack.supervisor


@pytest.fixture
def store(lab: Workbench) -> str:
    return lab.stack.policy.store_program


@contextmanager
def halted(supervisor: Supervisor, name: str) -> Iterator[None]:
    """A process that neither answers nor refuses."""
    status = supervisor.find(name)
    assert status is not None
    assert status.pid is not None
    os.kill(status.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(status.pid, signal.SIGCONT)


def test_the_job_pauses_and_goes_on(
    lab: Workbench, supervisor: Supervisor, store: str, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_away"
    with (
        Traffic(lab.broker, f"{table}.raw", seed=9) as traffic,
        lab.ingest(declare(table), policy=IngestPolicy(flush=FLUSH), partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        supervisor.stop(store)
        wait_until(lambda: job.report().state == "paused", what="the pause")
        told = job.report()
        assert told.error is not None
        assert told.error["code"] == "store-unreachable"
        assert told.error["hint"]
        lab.stack.start()
        wait_until(lambda: job.report().commits > told.commits + 2, timeout_s=60, what="more commits")
        assert (job.report().state, job.report().error) == ("running", None)
        assert (job.report().epoch, job.status().restarts) == (told.epoch, 0), "it was not started again"
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)


def test_past_its_deadline_it_starts_again_until_the_store_is_back(
    lab: Workbench, supervisor: Supervisor, store: str, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_long_away"
    policy = IngestPolicy(flush=FLUSH, deadline_s=1)
    with (
        Traffic(lab.broker, f"{table}.raw", seed=10) as traffic,
        lab.ingest(declare(table), policy=policy, partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        supervisor.stop(store)
        wait_until(lambda: job.status().restarts >= 2, timeout_s=60, what="a second start")
        assert "exit code 1" in lab.stack.logs("supervisor", 200)
        lab.stack.start()
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)


def test_a_store_that_hangs_holds_the_job_up_and_no_longer(
    lab: Workbench, supervisor: Supervisor, store: str, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_halted"
    with (
        Traffic(lab.broker, f"{table}.raw", seed=11) as traffic,
        lab.ingest(declare(table), policy=IngestPolicy(flush=FLUSH), partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        with halted(supervisor, store):
            # A full buffer that cannot be handed over: the job waits for the store, with bounded memory.
            wait_until(lambda: job.report().buffered_rows >= FLUSH.max_rows, what="a buffer that waits")
            commits = job.report().commits
        wait_until(lambda: job.report().commits > commits + 2, timeout_s=60, what="more commits")
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == 0
        assert_law(lab, table, sent, tmp_path)


def test_a_killed_store_comes_back_and_the_job_goes_on(
    lab: Workbench, supervisor: Supervisor, store: str, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_killed"
    with (
        Traffic(lab.broker, f"{table}.raw", seed=12) as traffic,
        lab.ingest(declare(table), policy=IngestPolicy(flush=FLUSH), partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        before = supervisor.find(store)
        assert before is not None
        kill(before.pid)
        wait_until(lambda: supervisor.find(store).restarts == before.restarts + 1, what=f"a new {store}")
        assert supervisor.wait(store, timeout_s=60, states=["ready"]).pid != before.pid
        commits = job.report().commits
        wait_until(lambda: job.report().commits > commits + 2, timeout_s=60, what="more commits")
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)
