"""Workers, readers and producers killed hundreds of times; each case ends in the law, and what it found is kept."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import NOT_ALWAYS, RANDOM_MOMENT, Death, mixed_deaths, named_points
from tests.fault.killing import killed
from tests.fault.proxy import Proxy
from tests.fault.rival import Rival
from tests.fault.test_doubt import deaths_in_doubt
from tests.fault.test_evolution import DEATHS, evolve_and_die
from tests.fault.test_journal_killed import LIVES, produce_and_die
from tests.fault.test_live_reads import bits, looked_at, prefix
from tests.fault.test_naive_loop import run_naive
from tests.fault.test_partitions_added import grow_and_die
from tests.fault.traffic import PARTITIONS, Sent, assert_law, declare, write_expectation
from tests.soak.conftest import KILLS, Soaked

Wait = Callable[..., None]
Keep = Callable[[Soaked], None]
PROFILES = pytest.mark.parametrize("profile", ["embedded", "local"])
pytestmark = pytest.mark.timeout(3600)
#: Longest that one death and the next start take on a machine that does other things as well.
DEATH_S = 15


def judge(
    lab: Workbench,
    table: str,
    sent: Mapping[tuple[int, int], Sent],
    folder: Path,
    keep: Keep,
    soaked: tuple[str, str, int],
) -> None:
    """Keep what the checker finds, whatever it is; then ask for the law."""
    case, profile, kills = soaked
    found = lab.verify(table, expect=write_expectation(sent, folder / "expected.ndjson"))
    rows = found.rows + found.quarantined_rows
    keep(Soaked(case=case, profile=profile, kills=kills, rows=rows, lost=found.missing, doubled=found.doubled))
    assert_law(lab, table, sent, folder)


@PROFILES
def test_a_worker(request: pytest.FixtureRequest, profile: str, tmp_path: Path, wait_until: Wait, keep: Keep) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    points, chance = len(set(named_points()) - NOT_ALWAYS), random.Random(70_001)
    per_point = KILLS * 7 // 10 // points
    deaths = mixed_deaths(chance, per_point=per_point, at_random=KILLS - per_point * points)
    table = f"soak_worker_{profile}"
    sent = killed(lab, table, deaths, seed=1, folder=tmp_path, wait_until=wait_until, timeout_s=DEATH_S * KILLS)
    judge(lab, table, sent, tmp_path, keep, ("worker, every point and at random", profile, len(deaths)))


def test_a_worker_whose_store_lies(
    local: Workbench, behind_proxy: Workbench, proxy: Proxy, tmp_path: Path, wait_until: Wait, keep: Keep
) -> None:
    table, chance = "soak_lies", random.Random(70_002)
    deaths = deaths_in_doubt(chance, KILLS // 4)
    with proxy.lying(chance):
        sent = killed(
            behind_proxy, table, deaths, seed=2, folder=tmp_path, wait_until=wait_until, timeout_s=DEATH_S * KILLS
        )
    case = "worker, answers of commits lost and refused"
    judge(local, table, sent, tmp_path, keep, (case, "local", len(deaths)))


def test_a_worker_beside_another_program(embedded: Workbench, tmp_path: Path, wait_until: Wait, keep: Keep) -> None:
    table, chance = "soak_rival", random.Random(70_003)
    with embedded.ingest(declare(table), partitions=PARTITIONS) as job:
        wait_until(lambda: job.report().state == "running", timeout_s=60, what="the table")
    deaths = deaths_in_doubt(chance, KILLS // 4)
    with Rival(embedded, table):
        sent = killed(
            embedded, table, deaths, seed=3, folder=tmp_path, wait_until=wait_until, timeout_s=DEATH_S * KILLS
        )
    case = "worker, another program commits to its table"
    judge(embedded, table, sent, tmp_path, keep, (case, "embedded", len(deaths)))


def test_a_worker_whose_topic_grows(local: Workbench, tmp_path: Path, wait_until: Wait, keep: Keep) -> None:
    kills = max(KILLS // 20, 2)
    sent = grow_and_die(local, "soak_grown", kills, tmp_path, wait_until)
    judge(local, "soak_grown", sent, tmp_path, keep, ("worker, while partitions are added", "local", kills))


@PROFILES
def test_a_worker_that_adds_columns(
    request: pytest.FixtureRequest, profile: str, tmp_path: Path, wait_until: Wait, keep: Keep
) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table, ways = f"soak_evolved_{profile}", list(DEATHS.values())
    deaths = {f"column_{number}": ways[number % len(ways)] for number in range(max(KILLS // 20, 3))}
    sent = evolve_and_die(lab, table, deaths, tmp_path, wait_until)
    judge(lab, table, sent, tmp_path, keep, ("worker, while it adds a column", profile, len(deaths)))


@PROFILES
def test_live_reads(request: pytest.FixtureRequest, profile: str, tmp_path: Path, wait_until: Wait, keep: Keep) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table, kills = f"soak_live_{profile}", KILLS // 2
    looks, sent = looked_at(lab, table, kills, tmp_path, wait_until)
    lost = sum((bits(prefix(sent, look.positions)) & ~look.numbers).bit_count() for look in looks)
    doubled = sum(look.doubled + (look.numbers & ~bits(prefix(sent, look.positions))).bit_count() for look in looks)
    rows = sum(look.numbers.bit_count() for look in looks)
    on_their_way = sum(look.waiting > 0 for look in looks)
    keep(
        Soaked(
            case="live reads while their writer is killed",
            profile=profile,
            kills=kills,
            rows=rows,
            lost=lost,
            doubled=doubled,
            remark=f"{len(looks):,} reads, {on_their_way:,} with rows on their way",
        )
    )
    assert (lost, doubled) == (0, 0)
    assert_law(lab, table, sent, tmp_path)


@pytest.mark.parametrize("acks", ["none", "buffered", "durable"])
def test_a_producer_of_the_journal(acks: str, tmp_path: Path, keep: Keep) -> None:
    journals = max(KILLS // 4 // LIVES, 1)
    folders = [tmp_path / str(number) for number in range(journals)]
    messages = sum(len(produce_and_die(folder, acks, LIVES, tmp_path / "plan")) for folder in folders)
    case = f"producer of the journal inside a sync, acks {acks}"
    # What it asserts in each life is that nothing promised is missing and nothing is there twice.
    keep(Soaked(case=case, profile="embedded", kills=journals * LIVES, rows=messages, lost=0, doubled=0))


@pytest.mark.parametrize("commit", ["before", "after"])
def test_the_naive_loop_fails(local: Workbench, commit: str, tmp_path: Path, wait_until: Wait, keep: Keep) -> None:
    kills, chance = KILLS // 4, random.Random(70_004)
    deaths = [Death("between", chance.randint(1, 3)) for _ in range(kills * 7 // 10)]
    deaths += [Death(RANDOM_MOMENT, chance.randint(0, 700)) for _ in range(kills - len(deaths))]
    chance.shuffle(deaths)
    run = run_naive(local, commit, deaths, messages=500 * kills, folder=tmp_path, wait_until=wait_until)
    found = run.found
    keep(
        Soaked(
            case=f"naive Python loop, offset committed {commit} the write",
            profile="local",
            kills=run.killed,
            rows=500 * kills,
            lost=found.missing,
            doubled=found.doubled,
            expects_loss=True,
        )
    )
    assert not found.ok
    assert (found.missing if commit == "before" else found.doubled) >= kills // 4
