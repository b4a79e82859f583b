"""The checker of the law finds each kind of corruption, and blames nothing else."""

import json
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from neuralake_kernel.catalog import VerifyReport, verify_table
from neuralake_kernel.errors import CatalogError, UsageError
from tests.law_tables import LawTable, Place, main_frame


@pytest.fixture
def lake(tmp_path: Path) -> LawTable:
    """Give two partitions, a rejected row, a dead letter and an offset nobody used.

    Partition 0 holds offsets 0 to 3 with two rows each but 3, a dead letter; row 1 of offset 2 is
    rejected. Partition 1 holds 5 and 7 with one row.
    """
    lake = LawTable(tmp_path / "a lake")
    lake.positions = {0: 0, 1: 5}
    lake.commit([], epoch=1)
    lake.commit([(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)], positions={0: 2})
    version = lake.commit(
        [(0, 2, 0), (1, 5, 0), (1, 7, 0)],
        positions={0: 4, 1: 8},
        rejected_files=["part-1.parquet"],
    )
    lake.reject([(0, 2, 1), (0, 3, None)], recorded=version)
    return lake


SENT = [
    {"partition": 0, "offset": 0, "rows": 2},
    {"partition": 0, "offset": 1, "rows": 2},
    {"partition": 0, "offset": 2, "rows": 2},
    {"partition": 0, "offset": 3, "rows": 1},
    {"partition": 1, "offset": 5, "rows": 1},
    {"partition": 1, "offset": 7, "rows": 1},
]


def places(report: VerifyReport, kind: str) -> list[tuple[int | None, int | None, int | None]]:
    return [(found.partition, found.offset, found.row) for found in report.problems if found.kind == kind]


def write_sent(folder: Path, sent: list[dict[str, int]]) -> Path:
    path = folder / "sent.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in sent))
    return path


def test_a_table_that_holds_the_law_passes(lake: LawTable) -> None:
    report = verify_table(lake, "packets", expect=write_sent(lake.folder, SENT))
    assert report.ok, str(report)
    assert report.version == 2
    assert report.quarantine_version == 2
    assert report.positions == {"0": 4, "1": 8}
    assert report.first_positions == {"0": 0, "1": 5}
    assert report.epoch == 1
    assert (report.messages, report.rows, report.quarantined_rows, report.dead_letters) == (6, 7, 1, 1)
    assert (report.expected, report.pending, report.absent_offsets) == (6, 0, 1)
    assert (report.missing, report.doubled, report.problems) == (0, 0, ())


def test_text_and_json_are_stable(lake: LawTable) -> None:
    report = verify_table(lake, "packets", expect=pl.DataFrame(SENT))
    assert str(report) == (
        "packets at version 2 (quarantine rolled forward to 2) holds each message exactly once.\n"
        "  messages 6 = rows 7 in the table, 1 in quarantine, 1 dead letters\n"
        "  sent 6, not yet read 0\n"
        "  offsets without a message 1\n"
        "  partition 0: from 0 to 4\n"
        "  partition 1: from 5 to 8\n"
        "  epoch 1"
    )
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def test_a_lost_message_is_found_by_what_was_sent(lake: LawTable) -> None:
    lake.commit([], positions={0: 5})
    sent = [*SENT, {"partition": 0, "offset": 4, "rows": 1}]
    report = verify_table(lake, "packets", expect=write_sent(lake.folder, sent))
    assert not report.ok
    assert report.missing == 1
    assert places(report, "missing-message") == [(0, 4, None)]
    assert set(report.counts) == {"missing-message"}


def test_a_lost_message_is_found_on_a_source_without_gaps(lake: LawTable) -> None:
    assert verify_table(lake, "packets").ok
    report = verify_table(lake, "packets", dense=True)
    assert places(report, "missing-message") == [(1, 6, None)]


def test_what_was_sent_but_not_read_is_pending_not_lost(lake: LawTable) -> None:
    sent = [*SENT, {"partition": 1, "offset": 8, "rows": 3}]
    report = verify_table(lake, "packets", expect=write_sent(lake.folder, sent))
    assert report.ok
    assert report.pending == 1


@pytest.mark.parametrize(
    ("extra", "kind", "place"),
    [
        ((0, 1, 1), "doubled-row", (0, 1, 1)),
        ((0, 2, 1), "doubled-row", (0, 2, 1)),
        ((0, 3, 0), "doubled-message", (0, 3, 0)),
        ((1, 6, 2), "row-gap", (1, 6, 2)),
        ((0, 1, 3), "row-gap", (0, 1, 3)),
        ((1, 9, 0), "beyond-position", (1, 9, 0)),
        ((1, 4, 0), "unexpected-message", (1, 4, 0)),
        ((2, 0, 0), "no-position", (2, 0, 0)),
        ((1, 6, None), "unreadable-identity", (1, 6, None)),
    ],
)
def test_one_row_too_many_in_the_table_is_found(lake: LawTable, extra: Place, kind: str, place: Place) -> None:
    write_deltalake(lake.table_uri("packets"), main_frame([extra]).to_arrow(), mode="append")
    report = verify_table(lake, "packets")
    assert not report.ok
    assert places(report, kind) == [place]
    assert set(report.counts) == {kind}


def test_a_doubled_dead_letter_is_found(lake: LawTable) -> None:
    lake.reject([(0, 3, None)], recorded=2)
    report = verify_table(lake, "packets")
    assert places(report, "doubled-message") == [(0, 3, None)]
    assert set(report.counts) == {"doubled-message"}


def test_a_moved_row_is_held_once_by_the_table(lake: LawTable) -> None:
    version = lake.commit([(0, 2, 1), (0, 3, 0)], rejected_files=["part-2.parquet"])
    # Row 1 of the dead letter became a reject of its own.
    lake.reject([(0, 3, 1)], recorded=version, moved=[(0, 2, 1), (0, 3, None)])
    sent = [line if line["offset"] != 3 else {**line, "rows": 2} for line in SENT]
    report = verify_table(lake, "packets", expect=pl.DataFrame(sent))
    assert report.ok, str(report)
    assert (report.rows, report.quarantined_rows, report.dead_letters) == (9, 1, 0)
    # At the version before, the quarantine is ahead: what moves later is still held by it.
    report = verify_table(lake, "packets", version=version - 1)
    assert report.ok, str(report)
    assert (report.rows, report.quarantined_rows, report.dead_letters) == (7, 1, 1)


def test_a_row_moved_without_an_attempt_is_doubled(lake: LawTable) -> None:
    version = lake.commit([(0, 2, 1)], rejected_files=["part-2.parquet"])
    lake.reject([], recorded=version)
    assert places(verify_table(lake, "packets"), "doubled-row") == [(0, 2, 1)]


@pytest.mark.parametrize("place", [(0, 2, 1), (0, 3, None)])
def test_an_attempt_whose_rows_are_nowhere_is_found(lake: LawTable, place: Place) -> None:
    lake.reject([], recorded=2, moved=[place])
    report = verify_table(lake, "packets")
    assert places(report, "moved-missing") == [place]


def test_a_lost_first_row_is_a_gap(lake: LawTable) -> None:
    DeltaTable(lake.table_uri("packets")).delete("_offset = 1 AND _row = 0")
    report = verify_table(lake, "packets")
    assert places(report, "row-gap") == [(0, 1, 1)]


def test_a_lost_last_row_is_found_by_what_was_sent(lake: LawTable) -> None:
    DeltaTable(lake.table_uri("packets")).delete("_offset = 1 AND _row = 1")
    assert verify_table(lake, "packets").ok
    report = verify_table(lake, "packets", expect=pl.DataFrame(SENT))
    assert places(report, "missing-row") == [(0, 1, None)]


def test_rejects_named_but_not_rolled_forward_are_found(lake: LawTable) -> None:
    lake.commit([], positions={0: 5}, rejected_files=["part-2.parquet"])
    report = verify_table(lake, "packets", dense=True)
    assert report.counts["quarantine-behind"] == 1
    assert places(report, "missing-message") == [(0, 4, None), (1, 6, None)]


def test_rejects_are_named_as_the_ingestor_names_them(lake: LawTable) -> None:
    version = lake.commit([], positions={0: 5})
    path = lake.folder / "packets" / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    (info,) = [action["commitInfo"] for action in actions if "commitInfo" in action]
    named = {"path": "f.parquet", "size": 9, "rows": 2, "modified_ms": 5}
    info["neuralake"] = {"commit_id": "c", "job": "packets", "epoch": 1, "quarantine": []}
    path.write_text("\n".join(map(json.dumps, actions)))
    assert verify_table(lake, "packets").ok
    info["neuralake"]["quarantine"] = [named]
    path.write_text("\n".join(map(json.dumps, actions)))
    assert set(verify_table(lake, "packets").counts) == {"quarantine-behind"}


def test_a_version_without_rejects_needs_no_roll_forward(lake: LawTable) -> None:
    lake.commit([(0, 4, 0)], positions={0: 5})
    report = verify_table(lake, "packets")
    assert report.ok, str(report)
    assert (report.version, report.quarantine_version) == (3, 2)


def test_an_older_version_is_judged_with_a_quarantine_that_ran_ahead(lake: LawTable) -> None:
    version = lake.commit([], positions={0: 5}, rejected_files=["part-2.parquet"])
    lake.reject([(0, 4, None)], recorded=version)
    report = verify_table(lake, "packets", version=2)
    assert report.ok, str(report)
    assert report.dead_letters == 1
    assert verify_table(lake, "packets").dead_letters == 2


def test_a_position_that_moves_back_and_an_epoch_taken_twice_are_found(lake: LawTable) -> None:
    lake.commit([], positions={0: 3, 1: 8}, epoch=1)
    report = verify_table(lake, "packets")
    assert report.counts["position-moved-back"] == 1
    assert report.counts["epoch-not-risen"] == 1


def test_facts_survive_a_checkpoint_and_a_cleaned_log(lake: LawTable) -> None:
    lake.commit([(0, 4, 0)], positions={0: 5})
    lake.main().create_checkpoint()
    for version in (0, 1):
        (lake.folder / "packets" / "_delta_log" / f"{version:020}.json").unlink()
    report = verify_table(lake, "packets", expect=pl.DataFrame([*SENT, {"partition": 0, "offset": 4, "rows": 1}]))
    assert report.ok, str(report)
    assert report.positions == {"0": 5, "1": 8}
    assert report.first_positions == {"0": 0, "1": 5}
    assert report.epoch == 1
    assert report.notes[0].startswith("the oldest commits are cleaned")


def test_a_naive_table_is_judged_by_what_was_sent(tmp_path: Path) -> None:
    lake = LawTable(tmp_path)
    rows = main_frame([(0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 3, 0)])
    naive = rows.select("value", "_partition", "_offset")
    write_deltalake(lake.table_uri("naive"), naive.to_arrow())
    sent = pl.DataFrame({"partition": [0] * 4})
    report = verify_table(lake, "naive", expect=sent, foreign=True)
    assert places(report, "missing-message") == [(0, 2, None)]
    assert places(report, "doubled-row") == [(0, 1, None)]
    assert (report.missing, report.doubled) == (1, 1)
    with pytest.raises(UsageError, match="nothing says what was sent"):
        verify_table(lake, "naive", foreign=True)


def test_findings_are_counted_beyond_those_that_are_kept(lake: LawTable) -> None:
    sent = pl.DataFrame({"partition": [0] * 60, "offset": range(60)})
    lake.commit([], positions={0: 60})
    report = verify_table(lake, "packets", expect=sent)
    assert report.missing == 56
    assert len(places(report, "missing-message")) == 20


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"partition": "x", "offset": 0}', "no json", '{"partition":0,"offset":1}\n' * 2],
)
def test_an_unreadable_expectation_is_named(lake: LawTable, text: str) -> None:
    path = lake.folder / "sent.jsonl"
    path.write_text(text)
    if not text:
        assert verify_table(lake, "packets", expect=path).counts["unexpected-message"] == 6
        return
    with pytest.raises(UsageError) as caught:
        verify_table(lake, "packets", expect=path)
    assert caught.value.code == "expect-unreadable"


def test_a_table_without_identity_or_without_files_is_named(tmp_path: Path) -> None:
    lake = LawTable(tmp_path)
    with pytest.raises(CatalogError) as caught:
        verify_table(lake, "packets")
    assert caught.value.code == "table-not-created"
    write_deltalake(lake.table_uri("plain"), pl.DataFrame({"x": [1]}).to_arrow())
    with pytest.raises(CatalogError, match="_offset, _partition, _row") as caught:
        verify_table(lake, "plain")
    assert caught.value.code == "identity-missing"
