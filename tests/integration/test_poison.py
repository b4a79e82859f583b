"""Poison of every kind, one table for each encoding: quarantined for its reason, or kept under its mark.

One job an encoding reads all of it, with good messages between; what is good lands, and the counts add up.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dataframely as dy
import numpy as np
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.catalog import VerifyReport
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobReport
from neuralake_kernel.source import create_topic, open_producer
from tests import poison
from tests.poison import AHEAD, ARROW, CHANNELS, JSON, MOMENTS, PACKETS, Marked, Rejected

POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.1), max_message_bytes=poison.MAX_MESSAGE_BYTES)
#: Exact as an integer, and no double.
COUNT = 2**53 + 1


class Poisoned(dy.Schema):
    session = dy.String(nullable=False)
    packet = dy.Int16(nullable=False, min=0, max=255)
    event_time = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC", max=datetime(2100, 1, 1, tzinfo=UTC))
    ch1_uv = dy.Float32(nullable=True)
    count = dy.Int64(nullable=True)


@nl.table(topic="poison.json")
class PoisonedJson(Poisoned):
    pass


@nl.table(topic="poison.arrow", encoding="arrow")
class PoisonedArrow(Poisoned):
    pass


@nl.signals(topic="poison.packets")
class PoisonedPackets:
    pass


@dataclass(frozen=True)
class Case:
    """What is sent in one encoding: a good message, then poison and a good message in turn."""

    table: type
    poison: Mapping[str, Rejected | Marked]
    good: Sequence[bytes]
    good_rows: int

    @property
    def topic(self) -> str:
        return "poison." + self.table.__name__.removeprefix("Poisoned").lower()

    def messages(self) -> list[tuple[bytes, int]]:
        """Each message and how many rows it has."""
        bad = [(case.message, case.rows if isinstance(case, Rejected) else 1) for case in self.poison.values()]
        good = [(message, self.good_rows) for message in self.good]
        return [good[0], *chain.from_iterable(zip(bad, good[1:], strict=True))]

    def offset(self, name: str) -> int:
        return 1 + 2 * list(self.poison).index(name)


CASES = {
    "json": Case(PoisonedJson, JSON, [poison.line(count=COUNT)] * (len(JSON) + 1), 1),
    "arrow": Case(PoisonedArrow, ARROW, [poison.stream(poison.table(count=[COUNT, None]))] * (len(ARROW) + 1), 2),
    "packets": Case(
        PoisonedPackets,
        PACKETS,
        [poison.packet(at * MOMENTS) for at in range(len(PACKETS))] + [poison.packet(AHEAD + MOMENTS)],
        1,
    ),
}
EACH = [(encoding, name) for encoding, case in CASES.items() for name in case.poison]


@dataclass(frozen=True)
class Landed:
    """What became of one case."""

    lab: nl.Workbench
    case: Case
    report: JobReport
    verified: VerifyReport
    rows: pl.DataFrame
    rejects: Mapping[int, Mapping[str, Any]]


@pytest.fixture(scope="module")
def landed() -> Iterator[Mapping[str, Landed]]:
    with (
        TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder,
        nl.open(profile="embedded", home=Path(folder) / "home") as lab,
    ):
        jobs = {}
        for encoding, case in CASES.items():
            create_topic(lab.broker, case.topic)
            with open_producer(lab.broker, case.topic) as producer:
                producer.send([message for message, _ in case.messages()])
            jobs[encoding] = lab.ingest(case.table, policy=POLICY)
        found = {encoding: _land(lab, CASES[encoding], job, Path(folder)) for encoding, job in jobs.items()}
        yield found
        lab.stack.stop()


def _land(lab: nl.Workbench, case: Case, job: nl.ingest.JobHandle, folder: Path) -> Landed:
    assert job.wait(60).caught_up
    sent_to = folder / f"{case.topic}.ndjson"
    lines = [{"partition": 0, "offset": at, "rows": rows} for at, (_, rows) in enumerate(case.messages())]
    sent_to.write_text("\n".join(map(json.dumps, lines)))
    quarantined = lab.quarantine(job.table).lazy().collect().iter_rows(named=True)
    return Landed(
        lab=lab,
        case=case,
        report=job.report(),
        verified=lab.verify(case.table, expect=sent_to),
        rows=lab.table(case.table).lazy(identity=True).collect(),
        rejects={row["_offset"]: row for row in quarantined},
    )


@pytest.mark.parametrize(("encoding", "name"), EACH)
def test_poison_is_quarantined_for_its_reason_or_kept_under_its_mark(
    encoding: str, name: str, landed: Mapping[str, Landed]
) -> None:
    found, case = landed[encoding], CASES[encoding]
    offset, bad = case.offset(name), case.poison[name]
    if isinstance(bad, Rejected):
        reject = found.rejects[offset]
        assert (tuple(reject["reasons"]), reject["_row"]) == (bad.reasons, bad.row)
        if bad.row is None:
            assert reject["raw"] == bad.message
        elif encoding == "json":
            assert reject["raw"] == bad.message.splitlines()[bad.row]
        else:
            assert reject["text"] == str(poison.read(bad.message).to_pylist()[bad.row])
        return
    assert offset not in found.rejects
    held = found.rows.filter(pl.lit(offset).is_between("_offset_first", "_offset_last"), pl.col("channel") == 0)
    assert bad.mark in held["mark"].to_list()
    assert found.report.warnings[bad.counted] >= 1


@pytest.mark.parametrize("encoding", ["json", "arrow"])
def test_good_rows_between_poison_land_to_the_last_digit(encoding: str, landed: Mapping[str, Landed]) -> None:
    found = landed[encoding]
    good = set(range(0, len(found.case.messages()), 2))
    rows = found.rows.filter(pl.col("_offset").is_in(good))
    assert rows.height == len(good) * found.case.good_rows
    assert rows["count"].drop_nulls().unique().to_list() == [COUNT]
    # What stands beside a rejected row in its message lands too.
    rejected = [bad for bad in found.case.poison.values() if isinstance(bad, Rejected) and bad.row is not None]
    assert found.rows.height - rows.height == sum(bad.rows - 1 for bad in rejected)
    assert found.rows["event_time"].max() < datetime(2100, 1, 1, tzinfo=UTC)


def test_good_packets_between_poison_give_each_sample_once(landed: Mapping[str, Landed]) -> None:
    samples = landed["packets"].lab.recording(str(poison.STREAM.id)).samples().to_numpy()
    delivered = np.full((AHEAD + 2 * MOMENTS, CHANNELS), np.nan)
    places = np.r_[0 : len(PACKETS) * MOMENTS, AHEAD : AHEAD + 2 * MOMENTS]
    delivered[places] = (places[:, None] + np.arange(CHANNELS)) * poison.STREAM.gain_to_uv
    np.testing.assert_array_equal(samples, delivered)


@pytest.mark.parametrize("encoding", CASES)
def test_the_counts_add_up(encoding: str, landed: Mapping[str, Landed]) -> None:
    found, report = landed[encoding], landed[encoding].report
    rejected = [bad for bad in found.case.poison.values() if isinstance(bad, Rejected)]
    assert report.reasons == Counter(chain.from_iterable(bad.reasons for bad in rejected))
    assert report.dead_letters == sum(bad.row is None for bad in rejected)
    assert report.quarantined_rows == len(found.rejects) == len(rejected)
    assert report.offered == report.committed_messages == len(found.case.messages())
    assert report.state == "running"
    assert found.verified.ok, found.verified
    assert found.verified.expected == len(found.case.messages())


def test_there_are_forty_kinds_and_more() -> None:
    assert len(EACH) >= 40
    assert {encoding for encoding, _ in EACH} == set(CASES)
