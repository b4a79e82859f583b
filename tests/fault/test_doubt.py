"""Commits in doubt: answers that are lost, refusals of what never landed, rivals in the log; and deaths in between."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import Death
from tests.fault.killing import killed
from tests.fault.proxy import Proxy
from tests.fault.rival import Rival
from tests.fault.traffic import PARTITIONS, assert_law, declare

Wait = Callable[..., None]
SEED = 51


def deaths_in_doubt(chance: random.Random, kills: int) -> list[Death]:
    """Deaths after answers that leave doubt, and before and after puts that come to be in doubt."""
    points = ("in_doubt", "in_doubt", "before_log_put", "after_log_put")
    return [Death(points[number % len(points)], chance.randint(1, 4)) for number in range(kills)]


@pytest.fixture
def proxied(every_store: Workbench) -> Workbench:
    return every_store


def test_a_store_that_loses_answers_and_refuses_what_never_landed(
    proxied: Workbench, behind_proxy: Workbench, proxy: Proxy, tmp_path: Path, wait_until: Wait
) -> None:
    table, chance = "doubt_lies", random.Random(SEED)
    with proxy.lying(chance):
        deaths = deaths_in_doubt(chance, 8)
        sent = killed(behind_proxy, table, deaths, seed=SEED, folder=tmp_path, wait_until=wait_until)
    assert min(proxy.lost, proxy.refused) > len(deaths)
    # Not through the proxy: deltalake holds the lock that the proxy's thread needs.
    assert_law(proxied, table, sent, tmp_path)


def test_another_program_in_the_log_costs_races_and_no_row(
    embedded: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table = "doubt_rival"
    with embedded.ingest(declare(table), partitions=PARTITIONS) as job:
        wait_until(lambda: job.report().state == "running", timeout_s=60, what="the table")
    deaths = deaths_in_doubt(random.Random(SEED), 8)
    with Rival(embedded, table) as rival:
        sent = killed(embedded, table, deaths, seed=SEED, folder=tmp_path, wait_until=wait_until)
    assert rival.commits > len(deaths)
    assert_law(embedded, table, sent, tmp_path)
