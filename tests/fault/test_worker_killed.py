"""The worker is killed again and again while messages keep coming; each of them is held exactly once."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE, DeathPlan, mixed_deaths
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare

# Small buffers and frequent checkpoints: every point is passed within a second of each life.
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=150, max_age_s=0.05), checkpoint_every=3)


@pytest.mark.parametrize(
    ("profile", "per_point", "at_random", "seed"), [("embedded", 2, 10, 20_261), ("local", 1, 4, 20_262)]
)
def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(
    request: pytest.FixtureRequest,
    profile: str,
    per_point: int,
    at_random: int,
    seed: int,
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table = f"killed_{profile}"
    deaths = mixed_deaths(random.Random(seed), per_point=per_point, at_random=at_random)
    plan = DeathPlan(tmp_path / "deaths", deaths)
    print(f"{profile}, seed {seed}, {len(deaths)} kills -9:\n{plan.per_point()}")
    with (
        Traffic(lab.broker, f"{table}.raw", seed=seed) as traffic,
        lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE, faults=plan.path) as job,
    ):
        plan.carry_out(job, wait_until)
        assert plan.untaken == 0
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == len(deaths)
        log = lab.stack.logs("supervisor", 10_000).splitlines()
        assert sum(f"{table}: ready -> backoff killed by SIGKILL" in line for line in log) == len(deaths)
        report = assert_law(lab, table, sent, tmp_path)
    assert report.epoch is not None
    assert report.epoch > len(deaths) / 2
    assert report.rows > 0
    assert report.quarantined_rows > 0
    assert report.dead_letters > 0
