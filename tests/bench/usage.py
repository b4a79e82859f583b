"""What a program used up between its start and now."""

import os
import time
from pathlib import Path


class Meter:
    """Counts from when it is made, so that imports are nobody's cost."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._cpu_s = cpu_seconds()

    def read(self) -> dict[str, float]:
        """Return wall and CPU seconds of all threads since the start, and the most memory the process ever held."""
        return {
            "seconds": time.perf_counter() - self._started,
            "cpu_seconds": cpu_seconds() - self._cpu_s,
            "peak_mb": peak_bytes() / 1e6,
        }


def cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system


def peak_bytes() -> int:
    # Not getrusage: its figure outlives exec, and so tells of the process that started this one.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
