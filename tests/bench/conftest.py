"""Keep each figure in ``build/bench.json``; ``make bench`` draws ``docs/benchmarks.md`` from it."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.bench.measurement import Measurement

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT / "build" / "bench.json"


#: A figure takes as long as it takes; a test that hangs ends all the same.
LONGEST_S = 1800


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST_S))


@pytest.fixture(scope="session")
def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


@pytest.fixture(scope="session", autouse=True)
def load() -> float:
    """Load average before the first figure: what else ran on the machine."""
    return round(os.getloadavg()[0], 1)


@pytest.fixture
def keep(commit: str, load: float) -> Callable[[Measurement], None]:
    """Give the function that stores a figure, in place of an older one of the same case."""

    def keep_one(measurement: Measurement) -> None:
        kept = json.loads(FACTS.read_text()) if FACTS.exists() else []
        others = [fact for fact in kept if fact["case"] != measurement.case]
        FACTS.parent.mkdir(exist_ok=True)
        facts = [*others, {**asdict(measurement), "commit": commit, "load": load}]
        FACTS.write_text(json.dumps(facts, indent=1) + "\n")

    return keep_one
