"""A job under a paced producer, and what is seen of it meanwhile: for figures of a job that runs and does not drain."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dataframely as dy

import neuralake_kernel as nl
from neuralake_kernel.ingest import JobHandle, JobReport
from neuralake_kernel.source import create_topic

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
#: Rate in messages a second, and for how many seconds.
Stretch = tuple[int, float]


def declare(name: str) -> type[dy.Schema]:
    """Declare the table of what `paced_producer` sends."""

    @nl.table(topic=f"{name}.raw", name=name, description="Numbered rows that say when they were sent.")
    class Paced(dy.Schema):
        number = dy.Int64(nullable=False)
        sent_us = dy.Int64(nullable=False)
        ch1_uv = dy.Float32(nullable=True)
        ch2_uv = dy.Float32(nullable=True)

    return Paced


@contextmanager
def produced(
    lab: nl.Workbench, topic: str, stretches: Sequence[Stretch], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run the producer beside the body; it has ended, and sent all, when the body is left."""
    create_topic(lab.broker, topic, PARTITIONS)
    path = folder / f"{topic}.json"
    path.touch(mode=0o600)
    spec = {"options": dict(lab.broker.options), "topic": topic, "partitions": PARTITIONS, "stretches": stretches}
    path.write_text(json.dumps(spec))
    command = [sys.executable, "-m", "tests.bench.paced_producer", str(path)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as child:
        try:
            yield child
            said, _ = child.communicate(timeout=120)
        finally:
            child.kill()
    assert child.returncode == 0
    told: dict[str, Any] = json.loads(said)
    wanted = sum(rate * seconds for rate, seconds in stretches)
    # The last step may end before its messages are due.
    assert told["messages"] >= 0.98 * wanted, "the producer did not keep its rate"
    for took, (_, seconds) in zip(told["seconds"], stretches, strict=True):
        assert took < 1.1 * seconds, "the producer did not keep its rate"


@dataclass(frozen=True)
class Sample:
    """A job at one moment."""

    at_s: float
    rss_bytes: int
    report: JobReport


@dataclass
class Sampler:
    """Looks at a job now and then from a thread of its own."""

    job: JobHandle
    every_s: float = 0.25
    samples: list[Sample] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    @property
    def peak_rss_mb(self) -> float:
        return max(sample.rss_bytes for sample in self.samples) / 1e6

    def _run(self) -> None:
        while not self._stopping.wait(self.every_s):
            rss_bytes = self.job.status().rss_bytes
            if rss_bytes is not None:
                self.samples.append(Sample(time.monotonic(), rss_bytes, self.job.report()))
