"""A producer of the journal is killed inside a sync, in every ack mode, and a consumer follows it all the time."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from neuralake_kernel import _bridge
from neuralake_kernel.source import create_topic, open_producer
from neuralake_kernel.stack import BrokerSpec
from tests.fault.deaths import ROOT
from tests.fault.journal_producer import TOPIC

LIVES = 4


def read(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    while True:
        # Without acks a producer is far ahead of a slow disk: there may be any number.
        batch = pa.record_batch(_bridge.journal_read(folder, TOPIC, 0, len(found), 1_000_000))
        assert batch.column("offset").to_pylist() == list(range(len(found), len(found) + len(batch)))
        if len(batch) == 0:
            return found
        found += batch.column("value").to_pylist()


def produce_and_die(folder: Path, acks: str, lives: int, plan: Path) -> list[bytes]:
    """Lives of a producer, each killed inside a sync while a consumer reads along; gives what is left."""
    create_topic(BrokerSpec.journal(folder), TOPIC)
    seen: list[bytes] = []
    for life in range(lives):
        plan.write_text(f"inside_journal_sync {3 + 5 * life}\n")
        command = [sys.executable, "-m", "tests.fault.journal_producer", str(folder), acks, str(plan)]
        # Numbers begin anew with each life; what is there before is compared as it stands.
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            acked = int(child.stdout.readline())
            while_alive = read(folder)
            acked = max([acked, *map(int, child.stdout.read().split())])
        assert child.returncode == -9, "killed at the point"
        left = read(folder)
        assert left[: len(while_alive)] == while_alive, "what a consumer has seen stays"
        assert left[: len(seen)] == seen, "and so does all of the lives before"
        new = left[len(seen) :]
        assert new == [b"%d" % number for number in range(len(new))], "in order, without a gap"
        if acks != "none":
            assert len(left) >= acked, "an end of the process loses nothing that was acked"
        seen = left
    return seen


@pytest.mark.parametrize("acks", ["none", "buffered", "durable"])
def test_what_was_seen_stays_and_what_the_mode_promised_is_there(tmp_path: Path, acks: str) -> None:
    folder = tmp_path / "journal"
    seen = produce_and_die(folder, acks, LIVES, tmp_path / "plan")
    with open_producer(BrokerSpec.journal(folder), TOPIC) as producer:
        producer.send([b"after"])
    assert read(folder) == [*seen, b"after"]
