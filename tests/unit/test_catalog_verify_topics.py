"""The checker on a table of two topics whose messages have the same partitions and offsets: neither hides the other."""

from pathlib import Path

import polars as pl
import pytest

from neuralake_kernel.catalog import VerifyReport, verify_table
from neuralake_kernel.errors import UsageError
from tests.law_tables import LawTable

TOPICS = ("left", "right")


@pytest.fixture
def lakes(tmp_path: Path) -> dict[str, LawTable]:
    """Give one table of two topics, by topic: offsets 0 to 5 of partition 0 each, the last a dead letter."""
    lakes = {topic: LawTable(tmp_path / "lake", topic=topic) for topic in TOPICS}
    for topic, lake in lakes.items():
        lake.start(0, epoch=1 + TOPICS.index(topic))
    for lake in lakes.values():
        version = lake.commit([(0, offset, 0) for offset in range(5)], positions={0: 6}, rejected_files=["a.parquet"])
        lake.reject([(0, 5, None)], recorded=version)
    return lakes


def sent(*offsets: int, **changed: range) -> pl.DataFrame:
    """What was sent to both topics; to one of them another range."""
    return pl.DataFrame(
        [
            {"topic": topic, "partition": 0, "offset": offset, "rows": 1}
            for topic in TOPICS
            for offset in changed.get(topic, range(*offsets))
        ]
    )


def found(report: VerifyReport) -> list[tuple[str, str]]:
    return [(found.kind, found.text) for found in report.problems]


def test_both_topics_are_counted(lakes: dict[str, LawTable]) -> None:
    report = verify_table(lakes["left"], "packets", expect=sent(6), dense=True)
    assert report.ok, report
    assert (report.messages, report.rows, report.dead_letters) == (12, 10, 2)
    assert (report.expected, report.pending, report.absent_offsets) == (12, 0, 0)
    assert report.positions == {"left/0": 6, "right/0": 6}
    assert "  partition right/0: from 0 to 6\n" in str(report)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_message_lost_in_one_topic_is_not_made_up_for_by_the_other(lakes: dict[str, LawTable], topic: str) -> None:
    lakes[topic].commit([(0, 7, 0)], positions={0: 8})
    lakes[TOPICS[1 - TOPICS.index(topic)]].commit([(0, 6, 0), (0, 7, 0)], positions={0: 8})
    report = verify_table(lakes["left"], "packets", expect=sent(8))
    assert found(report) == [("missing-message", f"partition 0 offset 6 of {topic}")]
    assert (report.missing, report.doubled) == (1, 0)
    assert found(verify_table(lakes["left"], "packets", dense=True)) == found(report)


def test_each_topic_ends_at_its_own_position(lakes: dict[str, LawTable]) -> None:
    lakes["left"].commit([(0, offset, 0) for offset in range(6, 9)], positions={0: 9})
    lakes["right"].commit([(0, 6, 0)])
    report = verify_table(lakes["left"], "packets", expect=sent(6, left=range(12)))
    assert found(report) == [("beyond-position", "partition 0 offset 6: position 6 of right@1")]
    assert (report.expected, report.pending) == (18, 3)


def test_a_row_doubled_in_one_topic_is_named_with_it(lakes: dict[str, LawTable]) -> None:
    lakes["right"].commit([(0, 2, 0)])
    report = verify_table(lakes["left"], "packets")
    assert found(report) == [("doubled-row", "partition 0 offset 2 row 0 of right@1")]


def test_what_was_sent_must_name_its_topic(lakes: dict[str, LawTable]) -> None:
    with pytest.raises(UsageError, match="no line names its `topic`"):
        verify_table(lakes["left"], "packets", expect=sent(6).drop("topic"))
    # A topic that the table does not read is not its to hold.
    elsewhere = sent(6).filter(topic="left").with_columns(topic=pl.lit("elsewhere"))
    report = verify_table(lakes["left"], "packets", expect=pl.concat([sent(6), elsewhere]))
    assert (report.ok, report.pending) == (True, 6)
