"""The checker itself is judged: over a loop that is known to lose or to double, it must say so."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from neuralake_kernel.catalog import VerifyReport, verify_table
from neuralake_kernel.source import create_topic
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import RANDOM_MOMENT, Death, DeathPlan
from tests.fault.traffic import PARTITIONS, Sent, send, write_expectation

LOOP = Path(__file__).with_name("naive_loop.py")
MESSAGES = 3000
BATCH = 200
SEED = 7
CERTAIN = 3


def send_packets(lab: Workbench, topic: str, messages: int) -> dict[tuple[int, int], Sent]:
    create_topic(lab.broker, topic, PARTITIONS)
    packets = [Sent(json.dumps({"number": number, "packet": number % 256}).encode(), 1) for number in range(messages)]
    sent: dict[tuple[int, int], Sent] = {}
    for partition in range(PARTITIONS):
        sent |= send(lab.broker, topic, packets[partition::PARTITIONS], partition=partition)
    return sent


def run_to_the_end(spec: Path, plan: DeathPlan, wait_until: Callable[..., None]) -> int:
    """Start the loop again after every death; gives how often it was killed."""
    for killed in range(len(plan.deaths) + 1):
        loop = subprocess.Popen([sys.executable, str(LOOP), str(spec)])
        death = plan.deaths[killed] if killed < len(plan.deaths) else None
        if death is not None and death.point == RANDOM_MOMENT:
            left = len(plan.deaths) - killed - 1
            wait_until(lambda left=left: plan.untaken == left, what="its start")
            moment = time.monotonic() + death.nth / 1e3
            wait_until(lambda at=moment: time.monotonic() >= at, what="a random moment")
            loop.kill()
        code = loop.wait(60)
        if code == 0:
            return killed
        assert code == -9
    raise AssertionError("the loop never came to the end of the topic")


@dataclass(frozen=True)
class Run:
    """How a loop fared."""

    killed: int
    found: VerifyReport


def run_naive(
    lab: Workbench,
    commit: str,
    deaths: Sequence[Death],
    *,
    messages: int,
    folder: Path,
    wait_until: Callable[..., None],
) -> Run:
    """Let the naive loop die these deaths on its way through a topic, and judge what it has written."""
    table = f"naive_{commit}_{messages}"
    sent = send_packets(lab, f"{table}.raw", messages)
    plan = DeathPlan(folder / "deaths", deaths)
    spec = folder / "spec.json"
    spec.touch(0o600)
    words = {
        "options": dict(lab.broker.options),
        "topic": f"{table}.raw",
        "uri": lab.store.table_uri(table),
        "storage_options": lab.store.delta_options(),
        "commit": commit,
        "batch": BATCH,
        "plan": str(plan.path),
    }
    spec.write_text(json.dumps(words))
    killed = run_to_the_end(spec, plan, wait_until)
    print(f"naive loop, offset committed {commit} the write, {killed} kills -9:\n{plan.per_point()}")
    found = verify_table(lab.store, table, expect=write_expectation(sent, folder / "sent.ndjson"), foreign=True)
    print("\n".join(str(found).splitlines()[:8]))
    return Run(killed, found)


@pytest.mark.parametrize("commit", ["before", "after"])
def test_the_checker_finds_what_the_naive_loop_loses_or_doubles(
    local: Workbench, commit: str, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    chance = random.Random(SEED)
    # A death between write and commit is certain to show; those at random moments may.
    deaths = [Death("between", chance.randint(1, 2)) for _ in range(CERTAIN)]
    deaths += [Death(RANDOM_MOMENT, chance.randint(0, 300)) for _ in range(2)]
    chance.shuffle(deaths)
    run = run_naive(local, commit, deaths, messages=MESSAGES, folder=tmp_path, wait_until=wait_until)
    assert run.killed >= CERTAIN
    assert not run.found.ok
    if commit == "before":
        assert run.found.missing >= CERTAIN
        assert run.found.doubled == 0
    else:
        assert run.found.doubled >= CERTAIN
        assert run.found.missing == 0
