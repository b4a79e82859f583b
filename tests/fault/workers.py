"""Workers started by hand, beside the supervisor's: a second workbench on the same table."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuralake_kernel.ingest import JobReport


class Worker:
    """One worker process with a state folder of its own."""

    def __init__(self, folder: Path, spec: str) -> None:
        folder.mkdir(parents=True)
        path = folder / "spec.json"
        path.write_text(spec)
        self._folder = folder
        self._words = json.loads(spec)
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "neuralake_kernel.ingest.worker", str(path)], stdout=log, stderr=log
            )

    @property
    def report(self) -> JobReport:
        """What it last said."""
        return JobReport.read(self._folder / "report.json", job=self._words["job"], topics=self._words["topics"])

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._folder / "log").read_text()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.process.poll()

    def stop(self) -> int:
        """Ask for a last flush; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def worker(folder: Path, spec: str) -> Iterator[Worker]:
    """Run a worker by a job's spec; killed at the end if it still lives."""
    started = Worker(folder, spec)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def spec_of(home: Path, table: str, **changed: object) -> str:
    """Copy the spec of a job, as a second workbench on the same lake would write it."""
    spec = json.loads((home / "jobs" / table / "spec.json").read_text())
    return json.dumps(spec | {"kill_plan": None} | changed)


def kill(pid: int | None) -> None:
    """kill -9."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
