"""What a reader makes of a writer's answer: rows of one epoch, beyond one snapshot, each once."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import polars as pl
import pyarrow as pa
import pytest

from neuralake_kernel.catalog import Snapshots
from neuralake_kernel.errors import QueryError
from neuralake_kernel.ingest import JobReport
from neuralake_kernel.query.live import LiveRead, read_live
from tests.law_tables import LawTable, Place, main_frame

SPANNED = {"device.raw": 12, "second.raw": 7}
REJECTED = {"_source": pl.String, "_partition": pl.Int32, "_offset": pl.Int64, "_row": pl.Int32}


@pytest.fixture
def lake(tmp_path: Path) -> LawTable:
    """Give a table of one partition with ten messages, in versions 0 and 1."""
    lake = LawTable(tmp_path / "lake")
    lake.start(0)
    lake.commit([(0, offset, 0) for offset in range(10)], positions={0: 10})
    return lake


def ipc(frame: pl.DataFrame) -> bytes:
    sink, table = pa.BufferOutputStream(), frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@contextmanager
def writer(
    home: Path,
    *,
    epoch: int,
    version: int,
    span: tuple[int, int],
    newest: int | None = None,
    rejected: Sequence[Place] = (),
    asked: list[object] | None = None,
    beside: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> Iterator[Path]:
    """A worker that answers every live read alike; gives the place of its report, and notes what it was asked.

    Topics ``beside`` have spans too.
    """
    home.mkdir(exist_ok=True)
    bad = {offset for _, offset, _ in rejected}
    spans = {"device.raw": span, **beside}
    rows = pl.concat(
        main_frame([(0, offset, 0) for offset in range(*span) if topic != "device.raw" or offset not in bad], topic)
        for topic, span in spans.items()
    )
    newest = version if newest is None else newest
    told = [[topic, 0, *span] for topic, span in spans.items()]
    header = json.dumps({"epoch": epoch, "version": version, "newest": newest, "spans": told}) + "\n"
    places = pl.DataFrame([("device.raw@1", *place) for place in rejected], schema=REJECTED, orient="row")
    said = header.encode() + ipc(rows) + ipc(places)
    report = home / "report.json"
    path = str(home / "live")
    report.write_text(json.dumps(JobReport("packets", tuple(spans), live_socket=path).to_json()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            while True:
                channel, _ = listener.accept()
                with channel:
                    if (Path(path).parent / "over").exists():
                        return
                    with channel.makefile("rb") as question:
                        (asked if asked is not None else []).append(json.loads(question.readline()))
                    channel.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield report
        finally:
            (home / "over").touch()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
                last.connect(path)
            thread.join(30)


def offsets(read: LiveRead) -> list[int]:
    return read.lazy().select("_offset").collect()["_offset"].sort().to_list()


def test_rows_that_are_in_the_table_by_now_are_taken_once(lake: LawTable, home: Path) -> None:
    # Its answer stands on version 0; the snapshot has gone on to 1 and holds what is under way still.
    with writer(home, epoch=1, version=0, span=(0, 15)) as report:
        read = read_live(Snapshots(lake), "packets", report)
    assert offsets(read) == list(range(15))
    assert dict(read.positions) == {0: 15}


def test_topics_are_joined_each_at_its_own_positions(lake: LawTable, home: Path) -> None:
    # The same partition and offsets in both; the table has come to 10 in one topic and to 3 in the other.
    other = LawTable(lake.folder, topic="second.raw")
    other.commit([(0, offset, 0) for offset in range(3)], positions={0: 3})
    with writer(home, epoch=1, version=0, span=(0, 12), beside={"second.raw": (0, 7)}) as report:
        read = read_live(Snapshots(lake), "packets", report)
    places = read.lazy().select("_source", "_offset").collect().sort("_source", "_offset").rows()
    first, second = ([(f"{topic}@1", offset) for offset in range(end)] for topic, end in SPANNED.items())
    assert places == first + second
    assert dict(read.positions) == {"device.raw/0": 12, "second.raw/0": 7}


def test_a_held_snapshot_below_the_writers_edge_is_not_enough(lake: LawTable, home: Path) -> None:
    snapshots = Snapshots(lake)
    held = snapshots.at("packets").version()
    lake.commit([(0, offset, 0) for offset in range(10, 20)], positions={0: 20})
    with writer(home, epoch=1, version=held + 1, span=(20, 25)) as report:
        read = read_live(snapshots, "packets", report)
    assert offsets(read) == list(range(25)), "10 to 20 are in the version that the reader did not hold"
    assert read.version == held + 1


def test_a_snapshot_one_version_behind_will_do_and_the_next_is_opened_beside_the_read(
    lake: LawTable, home: Path, wait_until: Callable[..., None]
) -> None:
    snapshots = Snapshots(lake)
    held = snapshots.at("packets")
    lake.commit([(0, offset, 0) for offset in range(10, 20)], positions={0: 20})
    asked: list[object] = []
    with writer(home, epoch=1, version=1, newest=2, span=(10, 25), asked=asked) as report:
        read = read_live(snapshots, "packets", report)
        assert (read.version, offsets(read)) == (held.version(), list(range(25)))
        wait_until(lambda: snapshots.held("packets") is not held, what="the newer snapshot")
        read = read_live(snapshots, "packets", report)
        assert (read.version, offsets(read)) == (2, list(range(25))), "10 to 20 are in both, and are taken once"
    assert asked == [1, 2]


def test_a_writer_of_another_epoch_is_never_believed(lake: LawTable, home: Path) -> None:
    lake.commit([], epoch=2)
    with writer(home, epoch=1, version=1, span=(10, 15)) as report, pytest.raises(QueryError) as caught:
        read_live(Snapshots(lake), "packets", report)
    assert (caught.value.code, caught.value.retryable) == ("live-unsettled", True)


def test_rows_that_are_rejected_on_the_way_are_told_as_such(lake: LawTable, home: Path) -> None:
    with writer(home, epoch=1, version=1, span=(10, 15), rejected=[(0, 9, 0), (0, 12, 0), (0, 13, None)]) as report:
        read = read_live(Snapshots(lake), "packets", report)
    assert offsets(read) == [*range(12), 14]
    assert read.rejected is not None
    assert read.rejected.drop("_source").rows() == [(0, 12, 0), (0, 13, None)], (
        "what the snapshot covers is the quarantine's to tell"
    )
    assert dict(read.positions) == {0: 15}


def test_without_a_writer_it_is_what_is_committed(lake: LawTable, home: Path) -> None:
    home.mkdir()
    report = home / "report.json"
    report.write_text(json.dumps(JobReport("packets", ("device.raw",), live_socket=str(home / "gone")).to_json()))
    read = read_live(Snapshots(lake), "packets", report)
    assert (offsets(read), read.tail, dict(read.positions)) == (list(range(10)), None, {0: 10})
