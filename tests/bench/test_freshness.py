"""How old the newest row is that a reader sees, live and committed, at a steady rate and in a burst.

A live read counts until its answer is in hand: asking the writer, the table's log and Polars included. Producer,
broker, store, worker and reader share the machine.
"""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from tests.bench.measurement import Measurement, measured
from tests.bench.running import PARTITIONS, Sampler, declare, produced
from tests.stacks import started

Keep = Callable[[Measurement], None]
STEADY_HZ: Final = 20_000
BURST_HZ: Final = 200_000
STEADY_S: Final = 50.0
# A broker that has just started stalls for half a second at its first messages, for every consumer of it.
WARM_UP_S: Final = 10.0
BURST_S: Final = 15.0
LOOK_EVERY_S: Final = 0.02
POLICY: Final = IngestPolicy(flush=FlushPolicy(max_age_s=1.0))
# Floors that hold on a busy machine too; the figures are what to look at.
MOST_LIVE_S: Final = 0.5
MOST_COMMITTED_S: Final = 3.0
MOST_BURST_S: Final = 10.0


@pytest.fixture(scope="module")
def lab() -> Iterator[nl.Workbench]:
    with started() as lab:
        yield lab


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def test_live_and_committed_rows_are_fresh(
    lab: nl.Workbench, tmp_path: Path, keep: Keep, wait_until: Callable[..., None]
) -> None:
    table = declare("steady")
    looks: list[tuple[float, float]] = []
    with lab.ingest(table, policy=POLICY, partitions=PARTITIONS) as job:
        wait_until(lambda: job.report().state == "running", timeout_s=60, what="the table")
        reader = lab.table(table)
        with produced(lab, "steady.raw", [(STEADY_HZ, STEADY_S)], tmp_path) as producer:
            while producer.poll() is None:
                now_us = time.time_ns() // 1000
                recent = reader.lazy(freshness="live").filter(pl.col("sent_us") > now_us - 2_000_000)
                newest = recent.select(pl.col("sent_us").max()).collect().item()
                if newest is not None:
                    looks.append((time.monotonic(), (time.time_ns() / 1000 - newest) / 1e6))
                time.sleep(LOOK_EVERY_S)
        committed = job.report().freshness.arrival_p99_s
        assert job.wait(60).caught_up
    assert lab.verify(table).ok
    assert committed is not None
    began = looks[0][0]
    # After the last of these nothing may be sent any more.
    ages = [age for at, age in looks if WARM_UP_S < at - began < STEADY_S - 1]
    sys.stdout.write(f"live: {len(ages)} reads, p50 {median(ages):.3f} s, p99 {p99(ages):.3f} s\n")
    what = f"at {STEADY_HZ:,} messages/s, flush of 1 s"
    keep(measured(f"age of the newest row in a live read {what}: p50", [median(ages)], "s"))
    keep(measured(f"age of the newest row in a live read {what}: p99", [p99(ages)], "s", aim="≤ 0.1 s"))
    keep(measured(f"arrival to commit {what}: p99", [committed], "s", aim="≤ 1.5 s"))
    assert p99(ages) < MOST_LIVE_S
    assert committed < MOST_COMMITTED_S


def test_a_burst_is_committed_soon_and_within_the_budget(lab: nl.Workbench, tmp_path: Path, keep: Keep) -> None:
    table = declare("burst")
    stretches = [(STEADY_HZ, 5.0), (BURST_HZ, BURST_S), (STEADY_HZ, 5.0)]
    with lab.ingest(table, policy=POLICY, partitions=PARTITIONS) as job, Sampler(job) as sampler:
        with produced(lab, "burst.raw", stretches, tmp_path):
            pass
        assert job.wait(60).caught_up
    assert lab.verify(table).ok
    worst = max(sample.report.freshness.arrival_p99_s or 0.0 for sample in sampler.samples)
    held = max(sample.report.buffered_bytes for sample in sampler.samples)
    budget = POLICY.flush.native()["budget_bytes"]
    what = f"burst from {STEADY_HZ:,} to {BURST_HZ:,} messages/s for {BURST_S:g} s"
    keep(measured(f"{what}: arrival to commit, p99", [worst], "s", aim="≤ 5 s"))
    keep(measured(f"{what}: most memory of the worker", [sampler.peak_rss_mb], "MB"))
    assert held <= budget
    assert worst < MOST_BURST_S
