"""``lab.produce`` and ``neuralake produce``, the same suite on the journal and on a real Kafka."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import get_args

import dataframely as dy
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.cli import main
from neuralake_kernel.errors import CatalogError, SourceError, UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import ProduceReport, create_topic, end_offsets, produce
from neuralake_kernel.source.acks import Acks
from neuralake_kernel.source.blocks import FRAME_ROWS, blocks
from neuralake_kernel.source.encode_arrow import MESSAGE_BYTES, encode_streams
from neuralake_kernel.stack import BrokerSpec
from neuralake_kernel.workbench import Workbench
from tests.stacks import started

DATA = Path(__file__).resolve().parents[2] / "notebooks" / "data"
OPENBCI = DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.05))
TIME = datetime(2024, 5, 1, 12, tzinfo=UTC)


@nl.table(topic="produced.raw", name="produced", description="Rows that a person sends.")
class Produced(dy.Schema):
    session = dy.String(nullable=False)
    number = dy.Int64(nullable=False)
    event_time = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    value = dy.Float64(nullable=True)


@nl.table(topic="produced.arrow", name="produced_arrow", encoding="arrow", description="The same rows, many a message.")
class ProducedArrow(dy.Schema):
    session = dy.String(nullable=False)
    number = dy.Int32(nullable=False)
    event_time = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    value = dy.Float64(nullable=True)


@nl.table(topic="replayed.arrow", name="replayed_arrow", encoding="arrow")
class ReplayedArrow(dy.Schema):
    session = dy.String(nullable=False)
    event_time = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC")


def rows(number: int) -> list[dict[str, object]]:
    return [
        {"session": f"s{n % 3}", "number": n, "event_time": TIME, "value": None if n % 5 else n / 2}
        for n in range(number)
    ]


FRAME = pl.DataFrame(rows(20_000), schema_overrides={"event_time": pl.Datetime("us", "UTC")})


@pytest.fixture(scope="module", params=["embedded", "local"])
def lab(request: pytest.FixtureRequest) -> Iterator[Workbench]:
    with started(request.param) as lab:
        yield lab


def landed(lab: Workbench) -> pl.DataFrame:
    assert lab.ingest(Produced, policy=POLICY).wait(60).caught_up
    return lab.table(Produced).lazy().collect().sort("number", "value", nulls_last=True)


def test_every_kind_of_rows_lands_alike(lab: Workbench) -> None:
    kinds = {
        "polars": FRAME,
        "lazy": FRAME.lazy(),
        "arrow": FRAME.to_arrow(),
        "pandas": FRAME.to_pandas(),
        "dicts": rows(len(FRAME)),
        "bytes": (json.dumps({**row, "event_time": 1714564800000000}).encode() for row in rows(len(FRAME))),
    }
    for number, (kind, given) in enumerate(kinds.items(), 1):
        report = lab.produce(Produced, given)
        assert (report.state, report.messages, report.acked) == ("finished", len(FRAME), len(FRAME)), kind
        assert report.bytes > 50 * len(FRAME)
        assert 0 < report.ack_p50_ms <= report.ack_p99_ms
        assert report.partitions[0].next_offset == number * len(FRAME)
    table = landed(lab)
    assert len(table) == len(kinds) * len(FRAME)
    for column in FRAME.columns:
        each = table.select(pl.col(column).gather_every(len(kinds))).to_series()
        assert each.to_list() == FRAME.get_column(column).to_list()
    assert table.unique().height == len(FRAME), "each kind gave the same rows"
    assert lab.verify(Produced).ok


def test_every_kind_of_rows_lands_alike_as_arrow(lab: Workbench) -> None:
    kinds = {
        "polars": FRAME,
        "lazy": FRAME.lazy(),
        "arrow": FRAME.to_arrow(),
        "pandas": FRAME.to_pandas(),
        "categories": FRAME.with_columns(
            pl.col("session").cast(pl.Categorical), pl.col("event_time").cast(pl.Datetime)
        ),
        "dicts": rows(len(FRAME)),
        "bytes": list(encode_streams(FRAME, 700).to_pylist()),
    }
    for kind, given in kinds.items():
        report = lab.produce(ProducedArrow, given)
        assert (report.state, report.acked) == ("finished", report.messages), kind
        assert report.messages < 50, kind
        assert report.bytes < 60 * len(FRAME), kind
    assert lab.ingest(ProducedArrow, policy=POLICY).wait(60).caught_up
    table = lab.table(ProducedArrow).lazy().collect()
    assert table.group_by(table.columns).len().get_column("len").unique().to_list() == [len(kinds)]
    assert table.unique().sort("number").equals(FRAME.with_columns(pl.col("number").cast(pl.Int32)))
    assert lab.verify(ProducedArrow).ok


def test_rows_of_one_key_share_their_arrow_messages(lab: Workbench) -> None:
    create_topic(lab.broker, "keyed.arrow", 4)
    report = produce(FRAME, "keyed.arrow", lab.broker, key="session", encoding="arrow")
    parts = -(-len(FRAME) // FRAME_ROWS)
    assert report.acked == FRAME["session"].n_unique() * parts
    assert 1 < len(report.partitions) <= 3


def test_a_frame_becomes_messages_that_a_broker_takes() -> None:
    wide = pl.DataFrame({"text": ["x" * n for n in range(0, 9000, 3)]})
    values = encode_streams(wide).to_pylist()
    assert len(values) > 10
    assert max(map(len, values)) <= MESSAGE_BYTES
    assert pl.concat([pl.read_ipc_stream(value) for value in values]).equals(wide)
    # A row larger than that is a message of its own.
    assert len(encode_streams(pl.DataFrame({"text": ["x" * MESSAGE_BYTES * 2, "y"]}))) == 2
    assert len(encode_streams(wide, 1)) == len(wide)
    with pytest.raises(UsageError) as refused:
        list(blocks([{"a": 1}, {"a": "1"}], None, (), None, "arrow"))
    assert refused.value.code == "rows-unknown"
    with pytest.raises(UsageError) as refused:
        list(blocks(wide, None, (), None, "packets"))
    assert refused.value.code == "rows-unknown"


def test_a_recording_is_replayed_as_arrow_a_row_a_message(lab: Workbench) -> None:
    sent = lab.replay(OPENBCI, into=ReplayedArrow, speed=None).wait(60)
    assert sent.acked == sent.messages_total > 1000
    assert lab.ingest(ReplayedArrow, policy=POLICY).wait(60).caught_up
    assert lab.table(ReplayedArrow).lazy().select(pl.len()).collect().item() == sent.acked
    assert lab.verify(ReplayedArrow).ok


@pytest.mark.parametrize("acks", get_args(Acks))
def test_every_ack_mode_is_reported(lab: Workbench, acks: Acks, wait_until: Callable[..., None]) -> None:
    lab.produce(Produced, [])
    before = sum(end_offsets(lab.broker, "produced.raw").values())
    report = lab.produce(Produced, rows(2500), acks=acks)
    assert (report.acks, report.acked, report.state) == (acks, 2500, "finished")
    # Without acks the broker takes them in after the client has let them go.
    wait_until(lambda: sum(end_offsets(lab.broker, "produced.raw").values()) == before + 2500, what="all of them")


def test_a_key_picks_the_partition_and_keeps_its_order(lab: Workbench) -> None:
    create_topic(lab.broker, "keyed", 4)
    report = produce(FRAME, "keyed", lab.broker, key="session")
    assert report.acked == len(FRAME)
    assert 1 < len(report.partitions) <= 3
    assert produce(rows(9), "keyed", lab.broker, key="session").acked == 9
    assert len(end_offsets(lab.broker, "keyed")) == 4


def test_progress_and_stop(lab: Workbench) -> None:
    stop, seen = threading.Event(), list[ProduceReport]()

    def endless() -> Iterator[bytes]:
        for number in count():
            if number == 5000:
                stop.set()
            yield b'{"session":"s","number":%d}' % number

    report = lab.produce(Produced, endless(), progress=seen.append, stop=stop)
    assert report.state == "stopped"
    assert report.acked == report.messages >= 4000
    assert seen[-1] == report


def test_bad_rows_are_told_before_anything_is_sent(lab: Workbench) -> None:
    lab.produce(Produced, [])
    before = end_offsets(lab.broker, "produced.raw")
    for given, code in (
        (FRAME.drop("number"), "columns-missing"),
        ([{"session": "s"}], "columns-missing"),
        (17, "rows-unknown"),
        ("text", "rows-unknown"),
        ({"session": "s", "number": 1}, "rows-unknown"),
        ([1, 2], "rows-unknown"),
        ([{"session": "s", "number": object()}], "rows-unknown"),
    ):
        with pytest.raises(UsageError) as caught:
            lab.produce(Produced, given)
        assert caught.value.code == code, given
    with pytest.raises(UsageError) as keyed:
        lab.produce(Produced, [b"{}"], key="session")
    assert keyed.value.code == "rows-unknown"
    with pytest.raises(UsageError) as mode:
        lab.produce(Produced, [b"{}"], acks="fast")
    assert mode.value.code == "acks-unknown"
    assert end_offsets(lab.broker, "produced.raw") == before


def test_a_missing_topic_and_a_table_that_nobody_knows(lab: Workbench) -> None:
    with pytest.raises(SourceError) as missing:
        produce(FRAME, "never.made", lab.broker)
    assert missing.value.code in {"topic-missing", "journal-topic-missing"}
    with pytest.raises(CatalogError) as unknown:
        lab.produce("nobody_knows", FRAME)
    assert unknown.value.code == "table-unknown"


def test_a_broker_that_is_away_is_named() -> None:
    nowhere = BrokerSpec(kind="kafka", options={"bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(SourceError) as caught:
        produce(FRAME, "topic", nowhere)
    assert caught.value.code == "broker-away"


def test_the_command_sends_files_and_standard_input(
    lab: Workbench, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(lab)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["produce", "produced", *words, "--home", str(lab.home), "--profile", lab.settings.profile])
        said = capsys.readouterr()
        return code, said.out, said.err

    FRAME.head(50).write_parquet(tmp_path / "rows.parquet")
    FRAME.head(50).write_csv(tmp_path / "rows.csv")
    (tmp_path / "rows.ndjson").write_text('{"session":"s","number":1}\n\n{"session":"s","number":2}\n')
    for name, messages in (("rows.parquet", 50), ("rows.csv", 50), ("rows.ndjson", 2)):
        code, out, _ = run(str(tmp_path / name), "--json")
        assert code == 0
        assert (json.loads(out)["acked"], json.loads(out)["state"]) == (messages, "finished")
    code, out, err = run(str(tmp_path / "rows.ndjson"), "--acks", "buffered")
    assert (code, "2 acked (buffered)" in out) == (0, True)
    assert "produced.raw: finished" in err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"session":"s","number":3}\n' * 7)))
    assert json.loads(run("-", "--json")[1])["acked"] == 7
    for name, wanted in (("absent.csv", "file-missing"), ("rows.xyz", "file-unknown")):
        code, _, err = run(str(tmp_path / name))
        assert (code, f"error[{wanted}]" in err) == (2, True)
    FRAME.drop("session").write_parquet(tmp_path / "bad.parquet")
    code, _, err = run(str(tmp_path / "bad.parquet"))
    assert (code, "error[columns-missing]" in err) == (2, True)


def test_blocks_cut_frames_and_iterators() -> None:
    frames = list(blocks(FRAME, None, (), "session"))
    assert [len(block.values) for block in frames] == [8192, 8192, 3616]
    assert frames[0].keys is not None
    assert frames[0].keys[:4] == [b"s0", b"s1", b"s2", b"s0"]
    # Cut by number, or sooner by age.
    items = list(blocks(rows(2500), None, (), None))
    assert sum(len(block.values) for block in items) == 2500
    assert max(len(block.values) for block in items) <= 1000
    assert list(blocks(FRAME.clear(), None, (), None)) == []
    odd = [{"a": float("nan"), "b": [float("inf"), 1.5], "c": TIME, "d": {"e": TIME.date()}}]
    value = next(blocks(odd, None, (), None)).values[0].as_py()
    assert json.loads(value) == {"a": None, "b": [None, 1.5], "c": 1714564800000000, "d": {"e": "2024-05-01"}}
