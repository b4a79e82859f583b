"""The worker is killed again and again while messages keep coming; each of them is held exactly once."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import mixed_deaths
from tests.fault.killing import killed
from tests.fault.traffic import assert_law


@pytest.mark.parametrize(
    ("profile", "per_point", "at_random", "seed"),
    [("embedded", 2, 10, 20_261), ("local", 1, 4, 20_262), ("versitygw", 1, 4, 20_265)],
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
    sent = killed(lab, table, deaths, seed=seed, folder=tmp_path, wait_until=wait_until)
    log = lab.stack.logs("supervisor", 10_000).splitlines()
    assert sum(f"{table}: ready -> backoff killed by SIGKILL" in line for line in log) == len(deaths)
    report = assert_law(lab, table, sent, tmp_path)
    assert report.epoch is not None
    assert report.epoch > len(deaths) / 2
    assert report.rows > 0
    assert report.quarantined_rows > 0
    assert report.dead_letters > 0
