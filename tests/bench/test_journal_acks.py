"""How long an append to the journal takes until it is acked, at 200,000 messages a second, beside a bare fdatasync.

Modes and peer take turns of a few seconds, so that a disk that is slow for a while is slow for all of them.
"""

import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import pyarrow as pa
import pytest

from neuralake_kernel.source import create_topic, open_producer
from neuralake_kernel.stack import BrokerSpec
from tests.bench.measurement import Measurement, measured

Keep = Callable[[Measurement], None]
RATE_HZ: Final = 200_000
BATCH: Final = 1000
MESSAGE_BYTES: Final = 100
# 44 bytes of a frame's header, 8 of each message's lengths.
FRAME_BYTES: Final = 44 + BATCH * (8 + MESSAGE_BYTES)
TURN_S: Final = 2
TURNS: Final = 5
MODES: Final = ("none", "buffered", "durable")
# A disk that takes longer for one sync than the appends are apart holds a durable producer up.
LEAST_RATE: Final = 0.9
MOST_MS: Final = {"none": 1.0, "buffered": 5.0}
MOST_RATIO: Final = 3.0
BARE: Final = "pwrite and fdatasync of the same bytes"


@dataclass(frozen=True)
class Turn:
    """Milliseconds of each append, and the rate that was reached."""

    took_ms: list[float]
    rate_hz: float

    @property
    def p99_ms(self) -> float:
        return quantiles(self.took_ms, n=100)[98]

    def __str__(self) -> str:
        return f"{median(self.took_ms):.2f}/{self.p99_ms:.2f} ms at {self.rate_hz:,.0f}/s"


def paced(append: Callable[[], object]) -> Turn:
    """Append at the rate for one turn, or as fast as it goes; tells how long each append took."""
    took: list[float] = []
    began = time.perf_counter()
    for number in range(TURN_S * RATE_HZ // BATCH):
        ahead_s = began + number * BATCH / RATE_HZ - time.perf_counter()
        if ahead_s > 0:
            time.sleep(ahead_s)
        started = time.perf_counter()
        append()
        took.append((time.perf_counter() - started) * 1e3)
    return Turn(took, len(took) * BATCH / (time.perf_counter() - began))


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Turn]]:
    folder = tmp_path_factory.mktemp("journal")
    broker = BrokerSpec.journal(folder)
    dice = random.Random(1)
    values = pa.array([dice.randbytes(MESSAGE_BYTES) for _ in range(BATCH)], pa.binary())
    done = defaultdict(list)
    for number in range(TURNS):
        done[BARE].append(bare(folder / f"bare-{number}", dice.randbytes(FRAME_BYTES)))
        for acks in MODES:
            topic = f"{acks}-{number}"
            create_topic(broker, topic)
            with open_producer(broker, topic, acks=acks) as producer:
                done[acks].append(paced(lambda: producer.send(values)))
    for name, runs in done.items():
        sys.stdout.write(f"{name}: p50/p99 {', '.join(map(str, runs))}\n")
    return done


def bare(path: Path, frame: bytes) -> Turn:
    """Write what an append writes, as a plain file."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    places = positions()
    try:

        def append() -> None:
            os.pwrite(file, frame, next(places))
            os.fdatasync(file)

        return paced(append)
    finally:
        os.close(file)


def positions() -> Iterator[int]:
    position = 0
    while True:
        yield position
        position += FRAME_BYTES


@pytest.mark.parametrize("acks", MODES)
def test_produce_p99(turns: dict[str, list[Turn]], acks: str, keep: Keep) -> None:
    figure = measured(
        f"append of {BATCH} messages of {MESSAGE_BYTES} B to the journal at {RATE_HZ:,}/s, acks {acks}: p99",
        [run.p99_ms for run in turns[acks]],
        "ms",
        peer=f"{BARE}: p99",
        peer_runs=[run.p99_ms for run in turns[BARE]],
        aim=f"≤ {MOST_MS[acks]:g} ms" if acks in MOST_MS else f"≤ {MOST_RATIO:g} x",
    )
    assert median(run.rate_hz for run in turns[acks]) >= LEAST_RATE * RATE_HZ
    keep(figure)
    assert figure.ratio is not None
    assert figure.value <= MOST_MS.get(acks, float("inf"))
    assert acks != "durable" or figure.ratio <= MOST_RATIO
