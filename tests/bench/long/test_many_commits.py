"""Ten thousand commits, one after the other: what a commit takes does not grow, and neither does the worker."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression
from typing import Final

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from tests.bench.measurement import Measurement, measured
from tests.bench.running import PARTITIONS, Sample, Sampler, declare, produced
from tests.stacks import started

Keep = Callable[[Measurement], None]
COMMITS: Final = 10_000
# Percentiles of a report are over its last 512 commits.
WINDOW: Final = 512
WARM_UP: Final = 100
MEMORY_FROM: Final = 5_000
# A commit of a few rows, as soon as they come.
POLICY: Final = IngestPolicy(flush=FlushPolicy(max_rows=100_000, max_age_s=0.001))
RATE_HZ: Final = 400


def at_commit(samples: list[Sample], commits: int) -> Sample:
    return next(sample for sample in samples if sample.report.commits >= commits)


def test_ten_thousand_commits(tmp_path: Path, keep: Keep, wait_until: Callable[..., None]) -> None:
    table = declare("commits")
    with (
        started() as lab,
        lab.ingest(table, policy=POLICY, partitions=PARTITIONS) as job,
        Sampler(job) as sampler,
    ):
        while job.report().commits < COMMITS:
            with produced(lab, "commits.raw", [(RATE_HZ, 30.0)], tmp_path):
                pass
        last = job.report()
        job.stop()
        assert lab.verify(table).ok
    early = at_commit(sampler.samples, WARM_UP + WINDOW).report
    assert early.commit_p50_ms is not None
    assert early.commit_p99_ms is not None
    assert last.commit_p50_ms is not None
    assert last.commit_p99_ms is not None
    steady = [sample for sample in sampler.samples if sample.report.commits >= COMMITS - MEMORY_FROM]
    slope = linear_regression([one.report.commits for one in steady], [one.rss_bytes for one in steady]).slope
    sys.stdout.write(
        f"p50 {early.commit_p50_ms:.2f} -> {last.commit_p50_ms:.2f} ms, {slope * 1000 / 1e6:.2f} MB/1000\n"
    )
    keep(
        measured(
            f"commit of a few rows beyond version {COMMITS:,}: p50",
            [last.commit_p50_ms],
            "ms",
            peer=f"up to version {WARM_UP + WINDOW:,}",
            peer_runs=[early.commit_p50_ms],
            aim="≤ 1.3 x",
        )
    )
    keep(
        measured(
            f"commit of a few rows beyond version {COMMITS:,}: p99",
            [last.commit_p99_ms],
            "ms",
            peer="its p50",
            peer_runs=[last.commit_p50_ms],
            aim="≤ 3 x",
        )
    )
    keep(
        measured(
            f"memory of a worker, growth over its last {MEMORY_FROM:,} commits, per 1,000",
            [slope * 1000 / 1e6],
            "MB",
            aim="≤ 2 MB",
        )
    )
