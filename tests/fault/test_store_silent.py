"""A store that accepts and never answers, or resets: whichever operation it is, the job says so within seconds."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle, JobReport
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.proxy import Kind, Proxy
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare

Wait = Callable[..., None]
# Checkpoints come often, for they alone list while a job runs.
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=150, max_age_s=0.1), checkpoint_every=3)
TOLD_WITHIN_S = 10


@pytest.fixture
def lab(behind_proxy: Workbench) -> Workbench:
    return behind_proxy


@contextmanager
def working(
    lab: Workbench, table: str, seed: int, policy: IngestPolicy = POLICY
) -> Iterator[tuple[Traffic, JobHandle]]:
    """Traffic and the job that reads it."""
    with (
        Traffic(lab.broker, f"{table}.raw", seed=seed) as traffic,
        lab.ingest(declare(table), policy=policy, partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        yield traffic, job


def commits_on(job: JobHandle, commits: int, wait_until: Wait) -> None:
    wait_until(lambda: job.report().commits > commits + 3, timeout_s=60, what="more commits")


def opened(report: JobReport) -> int:
    return sum(operation.circuit_opened for operation in report.store.values())


def asked(report: JobReport) -> int:
    return sum(operation.requests for operation in report.store.values())


def test_silence_of_any_operation_is_a_pause_that_ends_by_itself(
    local: Workbench, lab: Workbench, proxy: Proxy, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_silent"
    with working(lab, table, 13) as (traffic, job):
        wait_until(lambda: job.report().commits > 5, what="the first commits")
        for kind in get_args(Kind):
            with proxy.silent(kind):
                wait_until(lambda: proxy.held > 0, what=f"a {kind} that is kept")
                kept_at, spent_s = time.monotonic(), job.report().cpu.read_s
                wait_until(lambda: job.report().state == "paused", timeout_s=TOLD_WITHIN_S, what=f"the pause of {kind}")
                assert time.monotonic() - kept_at > 2, "a moment is no silence"
                told = job.report()
                assert told.error is not None
                assert told.error["code"] == "store-unreachable"
                assert f"cannot {kind}" in told.error["message"]
                assert "no answer for" in told.error["message"]
                assert told.store[kind].under_way > 0
                waited_s = time.monotonic() - kept_at
                assert told.cpu.read_s - spent_s < waited_s / 4, "who waits for the store does not work"
            commits_on(job, told.commits, wait_until)
            assert (job.report().state, job.report().error) == ("running", None)
        assert job.status().restarts == 0
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(local, table, sent, tmp_path)


def test_a_store_that_resets_opens_the_circuit_until_it_answers(
    local: Workbench, lab: Workbench, proxy: Proxy, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_resets"
    with working(lab, table, 14) as (traffic, job):
        wait_until(lambda: job.report().commits > 2, what="the first commits")

        def open_circuits() -> list[str]:
            return [kind for kind, told in job.report().store.items() if told.circuit != "closed"]

        with proxy.resetting():
            wait_until(lambda: open_circuits() and job.report().state == "paused", what="an open circuit")
            told = job.report()
            operation = told.store[open_circuits()[0]]
            assert operation.circuit_since is not None
            assert abs(operation.circuit_since - time.time()) < TOLD_WITHIN_S
            # The circuit may open before anybody asks again.
            wait_until(lambda: any(one.retries for one in job.report().store.values()), what="a request made again")
            # An open circuit spares the store: it is asked a few times, however many callers would.
            wait_until(lambda: opened(job.report()) >= opened(told) + 3, what="more tries")
            assert asked(job.report()) - asked(told) < 20
        wait_until(lambda: not open_circuits(), timeout_s=60, what="closed circuits")
        wait_until(lambda: job.report().commits > told.commits + 2, timeout_s=60, what="more commits")
        assert job.report().state == "running"
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == 0
        assert_law(local, table, sent, tmp_path)


def test_silence_past_the_deadline_ends_the_worker_with_a_named_error(
    local: Workbench, lab: Workbench, proxy: Proxy, tmp_path: Path, wait_until: Wait
) -> None:
    table = "store_mute"
    policy = dataclasses.replace(POLICY, deadline_s=1)
    with working(lab, table, 15, policy) as (traffic, job):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        with proxy.silent("commit"):
            wait_until(lambda: job.status().restarts > 0, timeout_s=60, what="another start")
            assert "commit-in-doubt" in lab.stack.logs(table, 200)
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(local, table, sent, tmp_path)
