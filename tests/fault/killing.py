"""A job under traffic that is killed as often as a plan says, and then reads to the end."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, Death, DeathPlan
from tests.fault.traffic import PARTITIONS, Sent, Traffic, declare

# Small buffers and frequent checkpoints: every point is passed within a second of each life.
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=150, max_age_s=0.05), checkpoint_every=3)


def killed(
    lab: Workbench,
    table: str,
    deaths: Sequence[Death],
    *,
    seed: int,
    folder: Path,
    wait_until: Callable[..., None],
    timeout_s: float = 120,
) -> Mapping[tuple[int, int], Sent]:
    """Let a job die these deaths while messages keep coming; gives every message that was acked."""
    plan = DeathPlan(folder / f"{table} deaths", deaths)
    print(f"{table}, seed {seed}, {len(deaths)} kills -9:\n{plan.per_point()}")
    with (
        Traffic(lab.broker, f"{table}.raw", seed=seed) as traffic,
        lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE, faults=plan.path) as job,
    ):
        plan.carry_out(job, wait_until, timeout_s=timeout_s)
        assert plan.untaken == 0
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == len(deaths)
    return sent
