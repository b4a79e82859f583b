"""The store is away for a while: the job says so and waits, or gives up and starts again; then it goes on."""

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

Wait = Callable[..., None]
FLUSH = FlushPolicy(max_rows=150, max_age_s=0.1)


@pytest.fixture
def supervisor(local: Workbench) -> Iterator[Supervisor]:
    yield local.stack.supervisor
    local.stack.start()


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


def test_the_job_pauses_and_goes_on(local: Workbench, supervisor: Supervisor, tmp_path: Path, wait_until: Wait) -> None:
    table = "store_away"
    with (
        Traffic(local.broker, f"{table}.raw", seed=9) as traffic,
        local.ingest(declare(table), policy=IngestPolicy(flush=FLUSH), partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        supervisor.stop("minio")
        wait_until(lambda: job.report().state == "paused", what="the pause")
        told = job.report()
        assert told.error is not None
        assert told.error["code"] == "store-unreachable"
        assert told.error["hint"]
        local.stack.start()
        wait_until(lambda: job.report().commits > told.commits + 2, timeout_s=60, what="more commits")
        assert (job.report().state, job.report().error) == ("running", None)
        assert (job.report().epoch, job.status().restarts) == (told.epoch, 0), "it was not started again"
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(local, table, sent, tmp_path)


def test_past_its_deadline_it_starts_again_until_the_store_is_back(
    local: Workbench, supervisor: Supervisor, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_long_away"
    policy = IngestPolicy(flush=FLUSH, deadline_s=1)
    with (
        Traffic(local.broker, f"{table}.raw", seed=10) as traffic,
        local.ingest(declare(table), policy=policy, partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        supervisor.stop("minio")
        wait_until(lambda: job.status().restarts >= 2, timeout_s=60, what="a second start")
        assert "exit code 1" in local.stack.logs("supervisor", 200)
        local.stack.start()
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(local, table, sent, tmp_path)


def test_a_store_that_hangs_holds_the_job_up_and_no_longer(
    local: Workbench, supervisor: Supervisor, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_halted"
    with (
        Traffic(local.broker, f"{table}.raw", seed=11) as traffic,
        local.ingest(declare(table), policy=IngestPolicy(flush=FLUSH), partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        with halted(supervisor, "minio"):
            # A full buffer that cannot be handed over: the job waits for the store, with bounded memory.
            wait_until(lambda: job.report().buffered_rows >= FLUSH.max_rows, what="a buffer that waits")
            commits = job.report().commits
        wait_until(lambda: job.report().commits > commits + 2, what="more commits")
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == 0
        assert_law(local, table, sent, tmp_path)
