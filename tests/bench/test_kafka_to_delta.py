"""Kafka to Delta on MinIO: our worker beside the Python loop and librdkafka alone, on one topic, turn by turn; and
beside itself on the same messages in a journal.

Seconds count inside each program, from the first line after its imports to the answer to its last commit, making the
table included. ``BENCH_MESSAGES`` makes it smaller for a try; figures of a try are not kept.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel.contract import compile_contract
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobSpec
from neuralake_kernel.source import create_topic, end_offsets, open_producer
from neuralake_kernel.stack import BrokerSpec
from scripts.native import PROFILE
from scripts.places import NATIVE, environment
from tests.bench.measurement import Measurement, measured
from tests.stacks import started

Keep = Callable[[Measurement], None]
# Enough that a start of some tenths of a second, and the last flush that nothing hides, do not make the figure.
FULL_MESSAGES = 4_000_000
MESSAGES = int(os.environ.get("BENCH_MESSAGES", str(FULL_MESSAGES)))
COMMIT_ROWS = MESSAGES // 16
PARTITIONS = 4
RUNS = 3
# Floors that hold on a busy machine too; the figures are what to look at.
LEAST_RATE_RATIO = 1.2
MOST_CPU_RATIO = 0.7
TOPIC = "bench.readings"
# For every consumer, ours and the peers': a client that never waits for want of a fetched message.
TUNED = {"queued.min.messages": 500_000, "queued.max.messages.kbytes": 131_072, "fetch.message.max.bytes": 8_388_608}


class Reading(dy.Schema):
    session = dy.String(nullable=False)
    packet = dy.Int16(nullable=False, min=0, max=255)
    event_time = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")
    ch1_uv = dy.Float32(nullable=True)
    ch2_uv = dy.Float32(nullable=True)


@dataclass(frozen=True)
class Turn:
    """One run of one program over the whole topic."""

    seconds: float
    messages: int
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    commits: int = 0
    commit_p50_ms: float = 0.0

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


@dataclass(frozen=True)
class Turns:
    """All runs of the programs."""

    ours: list[Turn]
    peer: list[Turn]
    raw: list[Turn]
    journal: list[Turn]
    message_bytes: float


def values(partition: int, count: int) -> list[bytes]:
    """Make messages of a device, the same for every run."""
    dice = random.Random(partition)
    session = f"s-{partition:04}"
    return [
        b'{"session":"%s","packet":%d,"event_time":%d,"ch1_uv":%.2f,"ch2_uv":%.2f}'
        % (session.encode(), number % 256, 1_700_000_000_000_000 + number * 4000, dice.gauss(0, 40), dice.gauss(0, 40))
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def lab() -> Iterator[nl.Workbench]:
    with started() as lab:
        yield lab


@pytest.fixture(scope="module")
def turns(lab: nl.Workbench, tmp_path_factory: pytest.TempPathFactory) -> Turns:
    """Fill the topics once, then let the programs take turns on them."""
    folder = tmp_path_factory.mktemp("turns")
    journal = BrokerSpec.journal(folder / "journal")
    message_bytes = fill(lab.broker)
    fill(journal)
    raw_consume = build_raw_consume()
    done = Turns([], [], [], [], message_bytes)
    for number in range(RUNS):
        native_loop: list[str | Path] = [sys.executable, "-m", "tests.bench.native_loop"]
        done.ours.append(turn(native_loop, ours(lab, f"ours_{number}", lab.broker), folder))
        done.journal.append(turn(native_loop, ours(lab, f"journal_{number}", journal), folder))
        done.peer.append(turn([sys.executable, "-m", "tests.bench.reference_loop"], peer(lab, number), folder))
        done.raw.append(turn([raw_consume], raw(lab), folder))
    return done


def build_raw_consume() -> Path:
    """Compile the program that consumes and looks at nothing; its library is compiled already."""
    env = environment()
    command = ["cargo", "build", PROFILE, "--locked", "--quiet", "-p", "neuralake-stream", "--example", "raw_consume"]
    subprocess.run(command, cwd=NATIVE, env=env, check=True)
    return Path(env["CARGO_TARGET_DIR"]) / "release" / "examples" / "raw_consume"


def fill(broker: BrokerSpec) -> float:
    create_topic(broker, TOPIC, PARTITIONS)
    size = 0
    with open_producer(broker, TOPIC) as producer:
        for partition in range(PARTITIONS):
            made = values(partition, MESSAGES // PARTITIONS)
            size += sum(map(len, made))
            producer.send(made, partition)
        assert producer.flush() == MESSAGES
    assert sum(end_offsets(broker, TOPIC).values()) == MESSAGES
    return size / MESSAGES


def ours(lab: nl.Workbench, table: str, broker: BrokerSpec) -> dict[str, Any]:
    spec = JobSpec(
        table=table,
        topics=(TOPIC,),
        contract=compile_contract(Reading),
        store=lab.store,
        broker=broker,
        policy=IngestPolicy(flush=FlushPolicy(max_rows=COMMIT_ROWS, max_bytes=2**30, max_age_s=3600)),
    ).to_json()
    return {"job": spec, "messages": MESSAGES}


def peer(lab: nl.Workbench, number: int) -> dict[str, Any]:
    return {
        "consumer": {
            **lab.broker.options,
            **TUNED,
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
        },
        "topic": TOPIC,
        "partitions": PARTITIONS,
        "messages": MESSAGES,
        "commit_rows": COMMIT_ROWS,
        "table_uri": lab.store.table_uri(f"peer_{number}"),
        "delta_options": lab.store.delta_options(),
    }


def raw(lab: nl.Workbench) -> dict[str, Any]:
    readers = IngestPolicy().reader_threads
    return {"options": dict(lab.broker.options), "topic": TOPIC, "messages": MESSAGES, "readers": readers}


def turn(program: list[str | Path], spec: dict[str, Any], folder: Path) -> Turn:
    path = folder / "spec.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(spec))
    done = subprocess.run(
        [*program, path],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    took = Turn(**json.loads(done.stdout))
    assert took.messages == MESSAGES
    sys.stdout.write(f"{program[-1]}: {took.rate:,.0f} messages/s, {took}\n")
    return took


def test_each_message_is_there_once(lab: nl.Workbench, turns: Turns) -> None:
    for number in range(len(turns.ours)):
        for table in (f"ours_{number}", f"journal_{number}"):
            verified = lab.verify(table)
            assert verified.ok, verified
            assert verified.rows == MESSAGES
        assert len(lab.table(f"peer_{number}").lazy().collect()) == MESSAGES


def test_ingest_beside_the_python_loop(turns: Turns, keep: Keep) -> None:
    what = f"Kafka → Delta on MinIO, {MESSAGES:,} JSON messages of {turns.message_bytes:.0f} B"
    loop = f"Python loop, commits of {COMMIT_ROWS:,} rows both"
    rate = measured(
        what,
        [one.rate for one in turns.ours],
        "messages/s",
        peer=loop,
        peer_runs=[one.rate for one in turns.peer],
        aim="≥ 4 x",
    )
    cpu = measured(
        f"{what}: CPU seconds of the process per million",
        [one.cpu_seconds / one.messages * 1e6 for one in turns.ours],
        "s",
        peer=loop,
        peer_runs=[one.cpu_seconds / one.messages * 1e6 for one in turns.peer],
    )
    memory = measured(
        f"{what}: peak resident memory",
        [one.peak_mb for one in turns.ours],
        "MB",
        peer=loop,
        peer_runs=[one.peak_mb for one in turns.peer],
    )
    against_raw = measured(
        f"{what}, beside consuming alone",
        [one.rate for one in turns.ours],
        "messages/s",
        peer="librdkafka with as many threads, nothing decoded",
        peer_runs=[one.rate for one in turns.raw],
        aim="≥ 0.55 x",
    )
    from_journal = measured(
        f"Journal → Delta on MinIO, {MESSAGES:,} JSON messages of {turns.message_bytes:.0f} B",
        [one.rate for one in turns.journal],
        "messages/s",
        peer="the same from Kafka",
        peer_runs=[one.rate for one in turns.ours],
        aim="≥ 1 x",
    )
    if MESSAGES == FULL_MESSAGES:
        for figure in (rate, cpu, memory, against_raw, from_journal):
            keep(figure)
    assert rate.ratio is not None
    assert rate.ratio >= LEAST_RATE_RATIO
    assert cpu.ratio is not None
    assert cpu.ratio <= MOST_CPU_RATIO
    assert median(one.commits for one in turns.ours) <= median(one.commits for one in turns.peer) + 1
