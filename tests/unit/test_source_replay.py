"""Pace and failures of a replay, against a producer that only remembers; real ones are tried in tests/integration."""

import json
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source import Recording, ReplayHandle, read
from neuralake_kernel.source.producer import Closing, Ranges
from neuralake_kernel.source.replaying import _Replay, match_columns

LOG = Path(__file__).parents[2] / "notebooks/data/openbci-cyton-8ch/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"


class RememberingProducer(Closing):
    """Acks each send at once, until it is told to fail."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.sends: list[list[bytes]] = []
        self.closed = 0
        self._fails_after = fails_after
        self._acked = Ranges()

    def send(self, values: pa.BinaryArray, partition: int = 0, *, key: bytes | None = None) -> None:
        if self._fails_after is not None and self._acked.count >= self._fails_after:
            raise SourceError("Cannot deliver: the broker does not answer.", code="broker-away", retryable=True)
        self.sends.append(values.to_pylist())
        self._acked.add(partition, self._acked.count, self._acked.count + len(values))

    def flush(self) -> int:
        return self._acked.count

    def close(self) -> None:
        self.closed += 1

    @property
    def ranges(self) -> dict[int, list[tuple[int, int]]]:
        return self._acked.by_partition


@pytest.fixture
def second(tmp_path: Path) -> Recording:
    path = tmp_path / "second.txt"
    path.write_text("\n".join(LOG.read_text().splitlines()[:256]) + "\n")
    return read(path)


def _start(recording: Recording, producer: RememberingProducer, **changes: object) -> ReplayHandle:
    frame = recording.rows()
    wishes: dict[str, object] = {
        "chosen": ("packet", "event_time"),
        "encoding": "json",
        "partition": 0,
        "key": None,
        "speed": 1.0,
        "event_time": "original",
        "sent_to": None,
        "progress": None,
        "outside_stop": None,
    }
    return ReplayHandle(_Replay(frame=frame, topic="t", producer=producer, **(wishes | changes)))


def test_a_burst_is_never_split_nor_reordered(second: Recording) -> None:
    producer = RememberingProducer()
    report = _start(second, producer).wait(30)
    sends = [[json.loads(message)["event_time"] for message in send] for send in producer.sends]
    assert report.state == "finished"
    assert list(chain.from_iterable(sends)) == second.rows().get_column("event_time").dt.epoch("us").to_list()
    assert all(earlier[-1] < later[0] for earlier, later in pairwise(sends))
    assert len(sends) > 20, "a second of packets goes out bit by bit"


def test_a_clock_set_back_delays_nothing(second: Recording) -> None:
    replay = _start(second, RememberingProducer(), speed=None)
    replay.wait(30)
    frame = second.rows()
    work = replay._work
    work._frame = frame.with_columns(frame["event_time"].scatter([100], frame["event_time"][0]))
    _, due_s = work._timed()
    assert np.all(np.diff(due_s) >= 0)


def test_a_failed_delivery_ends_the_replay_and_keeps_the_list(second: Recording, tmp_path: Path) -> None:
    producer = RememberingProducer(fails_after=20)
    told: list[object] = []
    handle = _start(second, producer, sent_to=tmp_path / "sent.ndjson", progress=told.append)
    with pytest.raises(SourceError) as caught:
        handle.wait(30)
    assert caught.value.code == "broker-away"
    report = handle.status()
    assert report.state == "failed"
    assert report.acked == len((tmp_path / "sent.ndjson").read_text().splitlines()) >= 20
    assert producer.closed == 1


def test_a_failing_progress_callback_is_not_swallowed(second: Recording) -> None:
    def fail(_report: object) -> None:
        raise RuntimeError("the reader's own mistake")

    with pytest.raises(RuntimeError, match="own mistake"):
        _start(second, RememberingProducer(), speed=None, progress=fail).wait(30)


def test_an_interrupt_in_the_thread_reaches_whoever_waits(second: Recording) -> None:
    def interrupt(_report: object) -> None:
        raise KeyboardInterrupt

    handle = _start(second, RememberingProducer(), speed=None, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        handle.wait(30)
    assert handle.status().state == "failed"


def test_status_is_one_line(second: Recording, wait_until: Callable[..., None]) -> None:
    handle = _start(second, RememberingProducer(), speed=None)
    wait_until(lambda: handle.status().state == "finished")
    assert repr(handle).startswith("Replay of second into t: finished, 251 of 251 messages sent, 251 acked")


def test_columns_are_sent_in_the_order_of_the_table() -> None:
    found = ["session", "packet", "ch1_uv"]
    assert match_columns(found, None, (), name="x") == ("session", "packet", "ch1_uv")
    assert match_columns(found, ["ch1_uv", "note", "session"], ["session"], name="x") == ("ch1_uv", "session")
