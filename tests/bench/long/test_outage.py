"""Five minutes without a store while messages come in: memory stays bounded, and then all is there."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from tests.bench.measurement import Measurement, measured
from tests.bench.running import PARTITIONS, Sampler, declare, produced
from tests.stacks import started

Keep = Callable[[Measurement], None]
RATE_HZ: Final = 20_000
OUTAGE_S: Final = 300.0
BEFORE_S: Final = 10.0
# Within the outage it holds on; past its deadline it would start again with an empty buffer, which is no test.
POLICY: Final = IngestPolicy(flush=FlushPolicy(max_age_s=1.0), deadline_s=600)
BUDGET: Final = POLICY.flush.native()["budget_bytes"]


def test_a_store_that_is_away_for_five_minutes(tmp_path: Path, keep: Keep, wait_until: Callable[..., None]) -> None:
    table = declare("outage")
    with (
        started() as lab,
        lab.ingest(table, policy=POLICY, partitions=PARTITIONS) as job,
        Sampler(job, every_s=1.0) as sampler,
    ):
        with produced(lab, "outage.raw", [(RATE_HZ, BEFORE_S + OUTAGE_S + BEFORE_S)], tmp_path):
            wait_until(lambda: job.report().commits > 3, timeout_s=60, what="the first commits")
            lab.stack.supervisor.stop(lab.stack.policy.store_program)
            away_since = time.monotonic()
            wait_until(lambda: job.report().state == "paused", timeout_s=60, what="the pause")
            wait_until(
                lambda: time.monotonic() - away_since > OUTAGE_S, timeout_s=OUTAGE_S + 30, what="the outage's end"
            )
            lab.stack.start()
            back_at = time.monotonic()
        told = job.wait(300)
        assert told.caught_up
        restarts = job.status().restarts
        caught_up_s = time.monotonic() - back_at
        job.stop()
        assert restarts == 0
        assert lab.verify(table).ok
    most_held = max(sample.report.buffered_bytes for sample in sampler.samples)
    what = f"store away for {OUTAGE_S:g} s at {RATE_HZ:,} messages/s"
    keep(measured(f"{what}: most memory of the worker", [sampler.peak_rss_mb], "MB"))
    keep(measured(f"{what}: from its return until all is committed", [caught_up_s], "s"))
    assert most_held <= BUDGET
