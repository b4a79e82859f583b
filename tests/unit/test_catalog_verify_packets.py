"""The checker on tables of sample blocks: it finds each kind of corruption, and blames nothing else."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from neuralake_kernel.catalog import VerifyReport, verify_table
from tests.law_tables import QUARANTINE_SCHEMA, quarantine_frame

TABLE, TOPIC = "implant", "implant.raw"
CHANNELS = 2
SCHEMA = {
    "stream_id": pl.String,
    "channel": pl.Int32,
    "sample_start": pl.Int64,
    "sample_stop": pl.Int64,
    "samples": pl.List(pl.Int16),
    "samples_i32": pl.List(pl.Int32),
    "mark": pl.String,
    "_source": pl.String,
    "_partition": pl.Int32,
    "_offset_first": pl.Int64,
    "_offset_last": pl.Int64,
}
#: Offset, stream, first sample, and the one after the last; offset 4 is a dead letter.
SENT = [(0, "a", 0, 10), (1, "b", 5, 15), (2, "a", 10, 20), (3, "a", 5, 15), (5, "a", 30, 40), (6, "b", 15, 25)]


def block(stream: str, span: tuple[int, int], offsets: tuple[int, int], mark: str | None = None) -> pl.DataFrame:
    """A block of each channel."""
    rows = [
        {
            "stream_id": stream,
            "channel": channel,
            "sample_start": span[0],
            "sample_stop": span[1],
            # Every other stream holds wider integers.
            ("samples" if stream == "a" else "samples_i32"): list(range(*span)),
            "mark": mark,
            "_source": f"{TOPIC}@1",
            "_partition": 0,
            "_offset_first": offsets[0],
            "_offset_last": offsets[1],
        }
        for channel in range(CHANNELS)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


@dataclass
class Lake:
    """A folder of tables as the ingestor leaves them, written by deltalake alone."""

    folder: Path
    blocks: pl.DataFrame = field(default_factory=lambda: pl.concat([
        block("a", (0, 20), (0, 2)),
        block("b", (5, 15), (1, 1)),
        block("a", (5, 15), (3, 3), "behind"),
        block("a", (30, 40), (5, 5)),
        block("b", (15, 25), (6, 6)),
    ]))  # fmt: skip
    gaps: tuple[tuple[str, int, int], ...] = (("a", 20, 30),)
    ends: tuple[tuple[str, int], ...] = (("a", 40), ("b", 25))

    def table_uri(self, name: str) -> str:
        return (self.folder / name).absolute().as_uri()

    def delta_options(self) -> dict[str, str]:
        return {}

    def write(self) -> None:
        marks = [Transaction(f"{TABLE}/stream/{name}", end) for name, end in self.ends]
        homes = [Transaction(f"{TABLE}/stream/{name}/partition", 0) for name, _ in self.ends]
        begin = [Transaction(f"{TABLE}/epoch", 1), Transaction(f"{TABLE}/{TOPIC}/0", 0)]
        self._append(TABLE, self.blocks.clear(), begin)
        self._append(TABLE, self.blocks, [Transaction(f"{TABLE}/{TOPIC}/0", 7), *marks, *homes])
        main = DeltaTable(self.table_uri(TABLE))
        letters = quarantine_frame([(0, 4, None)], TOPIC).cast(QUARANTINE_SCHEMA)
        self._append(f"{TABLE}__quarantine", letters, [Transaction(main.metadata().id, main.version())])
        gaps = pl.DataFrame(self.gaps, schema=["stream_id", "sample_start", "sample_stop"], orient="row")
        self._append("intervals", gaps.with_columns(kind=pl.lit("gap")), [])

    def verify(self, sent: list[tuple[int, str, int, int]] | None = None) -> VerifyReport:
        if sent is None:
            return verify_table(self, TABLE)
        lines = [
            {"partition": 0, "offset": at, "stream": stream, "sample_start": start, "sample_stop": stop}
            for at, stream, start, stop in sent
        ]
        path = self.folder / "sent.ndjson"
        path.write_text("\n".join(map(json.dumps, [*lines, {"partition": 0, "offset": 4}])))
        return verify_table(self, TABLE, expect=path)

    def _append(self, name: str, frame: pl.DataFrame, transactions: list[Transaction]) -> None:
        properties = CommitProperties(app_transactions=transactions)
        write_deltalake(self.table_uri(name), frame.to_arrow(), mode="append", commit_properties=properties)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_blocks_that_hold_what_was_sent_pass(lake: Lake) -> None:
    lake.write()
    report = lake.verify(SENT)
    assert report.ok, str(report)
    assert (report.messages, report.rows, report.dead_letters, report.expected) == (7, 10, 1, 7)
    assert report.samples is not None
    assert report.samples.to_json() == {"streams": 2, "held": 20 + 10 + 10 + 10, "behind": 10}
    assert "50 samples of 2 streams, 10 late or repeated under a mark" in str(report)
    assert lake.verify().ok


def without(lake: Lake, *found: pl.Expr) -> None:
    lake.blocks = lake.blocks.filter(~pl.all_horizontal(*found))


IS_LAST = (pl.col("stream_id") == "b", pl.col("sample_start") == 15)
IS_BEHIND = (pl.col("mark").is_not_null(),)
IS_FIRST = (pl.col("stream_id") == "a", pl.col("sample_start") == 0)


def lose_a_channel(lake: Lake) -> None:
    without(lake, *IS_LAST, pl.col("channel") == 1)


def lose_a_run(lake: Lake) -> None:
    without(lake, *IS_FIRST)
    lake.blocks = pl.concat([block("a", (0, 8), (0, 2)), lake.blocks])


def lose_the_late(lake: Lake) -> None:
    without(lake, *IS_BEHIND)


def double_a_run(lake: Lake) -> None:
    lake.blocks = pl.concat([lake.blocks, lake.blocks.filter(IS_LAST)])


def double_a_run_by_another(lake: Lake) -> None:
    lake.blocks = pl.concat([lake.blocks, block("b", (15, 25), (5, 6))])


def unmark_the_late(lake: Lake) -> None:
    lake.blocks = lake.blocks.with_columns(mark=pl.lit(None, dtype=pl.String))


def hide_the_gap(lake: Lake) -> None:
    lake.gaps = (("a", 20, 29),)


def shorten_a_block(lake: Lake) -> None:
    shorter = pl.when(*IS_LAST).then(pl.col("samples_i32").list.head(9)).otherwise("samples_i32")
    lake.blocks = lake.blocks.with_columns(samples_i32=shorter)


def forget_the_end(lake: Lake) -> None:
    lake.ends = (("a", 40), ("b", 24))


def run_past_the_position(lake: Lake) -> None:
    lake.blocks = lake.blocks.with_columns(_offset_last=pl.when(*IS_LAST).then(7).otherwise("_offset_last"))


@pytest.mark.parametrize(
    ("corrupt", "kinds", "needs_sent"),
    [
        (lose_a_channel, {"missing-sample"}, False),
        (lose_a_run, {"missing-sample"}, False),
        (lose_the_late, {"missing-sample", "missing-message"}, True),
        (double_a_run, {"doubled-sample"}, False),
        (double_a_run_by_another, {"doubled-sample"}, False),
        (unmark_the_late, {"doubled-sample"}, False),
        (hide_the_gap, {"missing-sample"}, False),
        (shorten_a_block, {"lying-block"}, False),
        (forget_the_end, {"stream-end"}, False),
        (run_past_the_position, {"beyond-position"}, False),
    ],
)
def test_each_corruption_of_blocks_is_found(
    lake: Lake, corrupt: Callable[[Lake], None], kinds: set[str], *, needs_sent: bool
) -> None:
    corrupt(lake)
    lake.write()
    report = lake.verify(SENT)
    assert {kind for kind, count in report.counts.items() if count} == kinds, str(report)
    assert not report.ok
    assert lake.verify().ok == needs_sent


def test_what_was_sent_and_is_not_held_is_told(lake: Lake) -> None:
    lake.write()
    more = [*SENT[:-1], (6, "b", 15, 27)]
    report = lake.verify(more)
    assert report.counts["missing-sample"] == 1
    assert "stream b samples 25 to 27: held 1 times less than sent" in str(report)
    fewer = [*SENT[:-1], (6, "b", 15, 22)]
    assert "stream b samples 22 to 25: held 1 times more than sent" in str(lake.verify(fewer))
    # What lies after the position is not yet due.
    later = lake.verify([*SENT, (9, "b", 25, 30)])
    assert later.ok, str(later)
    assert later.pending == 1


def test_samples_before_the_first_of_a_stream_are_no_loss(lake: Lake) -> None:
    lake.blocks = pl.concat([lake.blocks, block("b", (0, 3), (6, 6), "behind")])
    lake.write()
    assert lake.verify().ok, str(lake.verify())
