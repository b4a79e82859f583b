"""Workers that fall asleep at a point of a flush, and wake when newer ones have committed on."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from neuralake_kernel.workbench import Workbench
from tests.fault.traffic import Mixture, Sent, send
from tests.fault.workers import Worker, spec_of, worker

# Where a worker sleeps, and at which pass: a life on a table that is there puts its epoch and the quarantine's start
# first, so that its third put is that of its first flush.
ASLEEP = {"before_upload": 1, "after_upload": 1, "before_log_put": 3, "after_log_put": 3}


def is_asleep(one: Worker) -> bool:
    """Whether the system has stopped it."""
    return Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wake(one: Worker) -> None:
    """Let it go on."""
    os.kill(one.process.pid, signal.SIGCONT)


@contextmanager
def sleepers(
    lab: Workbench, table: str, points: Sequence[str], messages: Mixture, wait_until: Callable[..., None], folder: Path
) -> Iterator[tuple[list[Worker], dict[tuple[int, int], Sent]]]:
    """Workers of growing epochs on the table of a stopped job, each asleep in its first flush; and what was sent."""
    found: list[Worker] = []
    sent: dict[tuple[int, int], Sent] = {}
    with ExitStack() as stack:
        for number, point in enumerate(points):
            sent |= send(lab.broker, f"{table}.raw", messages.take(20))
            plan = folder / f"plan {number}"
            plan.write_text(f"{point} {ASLEEP[point]} stop\n")
            spec = spec_of(lab.home, table, kill_plan=str(plan))
            found.append(stack.enter_context(worker(folder / f"sleeper {number}", spec)))
            wait_until(lambda: is_asleep(found[-1]), timeout_s=60, what=f"the sleep at {point}")
        yield found, sent
