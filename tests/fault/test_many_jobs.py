"""Several jobs on one machine: each goes on while the others do, and each ends in the law."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare

POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.1))
JOBS = 4
COMMITS = 10


def test_four_jobs_at_once_share_the_machine(lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]) -> None:
    tables = [f"many_{number}_{lab.settings.profile}" for number in range(JOBS)]
    with ExitStack() as stack:
        traffic = [stack.enter_context(Traffic(lab.broker, f"{table}.raw", seed=32)) for table in tables]
        jobs = [
            stack.enter_context(lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE))
            for table in tables
        ]
        wait_until(lambda: all(job.report().commits > 0 for job in jobs), timeout_s=60, what="a commit of each")
        begun = [job.report().commits for job in jobs]

        def gained() -> list[int]:
            return [job.report().commits - first for job, first in zip(jobs, begun, strict=True)]

        wait_until(lambda: max(gained()) >= COMMITS, timeout_s=60, what=f"{COMMITS} commits of one job")
        # All have the same to do: none is far behind the one that is ahead.
        assert min(gained()) >= COMMITS // 4, gained()
        sent = [one.stop() for one in traffic]
        for job, messages in zip(jobs, sent, strict=True):
            assert job.wait(60).caught_up
            assert job.status().restarts == 0
            assert_law(lab, job.table, messages, tmp_path)
