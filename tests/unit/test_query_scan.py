"""Lazy frames are pruned by the log, pinned to their version, and hide identity columns."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from neuralake_kernel.catalog import Snapshots
from neuralake_kernel.errors import CatalogError
from neuralake_kernel.query import scan
from tests.law_tables import T0, LawTable


@pytest.fixture
def lake(tmp_path: Path) -> LawTable:
    """Give five files of ten rows; values and times rise from file to file."""
    lake = LawTable(tmp_path / "a lake")
    lake.start(0)
    for file in range(5):
        offsets = range(file * 10, file * 10 + 10)
        lake.commit([(0, offset, 0) for offset in offsets], positions={0: offsets.stop})
    return lake


def data_files(lake: LawTable) -> list[str]:
    """The files with rows, oldest first."""
    actions = pl.DataFrame(lake.main().get_add_actions(flatten=True))
    return actions.filter(pl.col("num_records") > 0).sort("min.value")["path"].to_list()


def test_a_filter_reads_only_the_files_the_log_names_for_it(lake: LawTable) -> None:
    frame = scan(Snapshots(lake), "packets")
    # Downwards: above a float's largest there could be a NaN, which statistics do not count.
    wanted = frame.filter(pl.col("value") < 8)
    # The proof that the others are not even opened: they are gone.
    for name in data_files(lake)[1:]:
        (lake.folder / "packets" / name).unlink()
    assert wanted.select(pl.len()).collect().item() == 8
    with pytest.raises(FileNotFoundError):
        frame.collect()


def test_a_filter_on_time_is_pruned_too(lake: LawTable) -> None:
    wanted = scan(Snapshots(lake), "packets").filter(pl.col("event_time") >= T0 + dt.timedelta(seconds=40))
    for name in data_files(lake)[:4]:
        (lake.folder / "packets" / name).unlink()
    assert wanted.collect().height == 10


def test_identity_columns_are_there_when_asked_for(lake: LawTable) -> None:
    snapshots = Snapshots(lake)
    assert scan(snapshots, "packets").collect_schema().names() == ["session", "value", "event_time"]
    asked = scan(snapshots, "packets", identity=True)
    assert asked.select(pl.col("_offset").max()).collect().item() == 49


def test_a_frame_keeps_its_version(lake: LawTable) -> None:
    snapshots = Snapshots(lake)
    before = scan(snapshots, "packets")
    lake.commit([(0, 50, 0)], positions={0: 51})
    assert before.collect().height == 50
    assert scan(snapshots, "packets").collect().height == 51
    assert scan(snapshots, "packets", version=2).collect().height == 20


def test_a_table_without_rows_is_an_empty_frame(tmp_path: Path) -> None:
    lake = LawTable(tmp_path)
    lake.start(0)
    assert scan(Snapshots(lake), "packets").filter(pl.col("value") > 1).collect().shape == (0, 3)


def test_a_table_that_was_never_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        scan(Snapshots(LawTable(tmp_path)), "packets")
    assert caught.value.code == "table-not-created"
