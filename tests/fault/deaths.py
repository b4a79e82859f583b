"""Plans of deaths, and the hand that carries out those at a random moment."""

import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralake_kernel.ingest import JobHandle
from neuralake_kernel.stack import RestartPolicy

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "native" / "crates" / "neuralake-lake" / "src" / "faults.rs"
# Known to no code, so a worker that takes it lives until the test kills it.
RANDOM_MOMENT = "random_moment"
# How often a point may be passed in one life before it kills; those a start passes once have 1.
PASSES = {
    "after_evolution": 1,
    "after_epoch_commit": 1,
    "after_first_positions": 1,
    "after_partition_added": 1,
    "before_upload": 4,
    "after_reject_upload": 3,
    "after_upload": 4,
    "before_log_put": 6,
    "after_log_put": 6,
    "in_doubt": 2,
    "before_roll_forward": 3,
    "after_roll_forward": 3,
    "before_checkpoint": 2,
}
# Passed only when a table or a topic grows, or when a store's answer leaves doubt, so no part of a mixture.
NOT_ALWAYS = {"after_evolution", "after_partition_added", "in_doubt"}
AT_ONCE = RestartPolicy(initial_s=0.05, max_s=0.2)


def named_points(of: str = "POINTS") -> list[str]:
    """Points as the code names them, in the order a flush passes them; ``JOURNAL_POINTS`` are
    the journal's, ``ADD_POINTS`` those of ``lab.add``.
    """
    listed = re.search(rf"const {of}: \[&str; \d+\] = \[(.*?)\]", FAULTS.read_text(), re.DOTALL)
    assert listed is not None
    return re.findall(r'"(\w+)"', listed[1])


@dataclass(frozen=True)
class Death:
    """A point and at which pass it kills; at a random moment: how many ms after the worker's start."""

    point: str
    nth: int


def mixed_deaths(chance: random.Random, *, per_point: int, at_random: int) -> list[Death]:
    """Every named point so many times, random moments between, in a random order."""
    points = [point for point in named_points() if point not in NOT_ALWAYS]
    deaths = [Death(point, chance.randint(1, PASSES[point])) for point in points for _ in range(per_point)]
    deaths += [Death(RANDOM_MOMENT, chance.randint(0, 700)) for _ in range(at_random)]
    chance.shuffle(deaths)
    return deaths


class DeathPlan:
    """The file that successive lives of a worker take their deaths from, one line each."""

    def __init__(self, path: Path, deaths: Sequence[Death]) -> None:
        self.path = path
        self.deaths = tuple(deaths)
        path.write_text("".join(f"{death.point} {death.nth}\n" for death in deaths))

    @property
    def untaken(self) -> int:
        """Lines that no life has taken yet."""
        return len(self.path.read_text().splitlines())

    def carry_out(self, job: JobHandle, wait_until: Callable[..., None], *, timeout_s: float = 120) -> None:
        """Wait until a job has died every planned death and lives again."""
        began: dict[int, float] = {}
        killed: set[int] = set()

        def has_died() -> bool:
            status = job.status()
            life = status.restarts
            if life >= len(self.deaths):
                return status.is_ready
            death = self.deaths[life]
            has_taken = self.untaken == len(self.deaths) - life - 1
            if death.point == RANDOM_MOMENT and status.pid is not None and has_taken and life not in killed:
                since = began.setdefault(life, time.monotonic())
                if (time.monotonic() - since) * 1e3 >= death.nth:
                    killed.add(life)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(status.pid, signal.SIGKILL)
            return False

        wait_until(has_died, timeout_s=timeout_s, what=f"{len(self.deaths)} deaths of {job}")

    def per_point(self) -> str:
        """One line per point, for the record of a run."""
        counts = Counter(death.point for death in self.deaths)
        return "\n".join(f"  {point:<22}{count:>3}" for point, count in sorted(counts.items()))
