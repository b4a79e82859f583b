"""The signal tables are read alike by engines that know nothing of us: every block, its samples and its place."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable, QueryBuilder

import neuralake_kernel as nl

DATA = Path(__file__).parents[2] / "notebooks" / "data"
KEY = ["stream_id", "channel", "sample_start"]
SHOWN = [*KEY, "sample_stop", "samples", "samples_f64", "min", "max", "rms", "envelope_min"]


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a table with int16 and float64 blocks."""
    with nl.open(home=tmp_path_factory.mktemp("lake") / "home") as lab:
        lab.add(DATA / "eeg-motor-imagery-64ch" / "S001R04.edf")
        lab.add(DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt")
        yield lab.store.table_uri("signals")


def by_polars(uri: str) -> pl.DataFrame:
    return pl.read_delta(uri)


def by_pyarrow(uri: str) -> pl.DataFrame:
    table = DeltaTable(uri)
    frame = pl.from_arrow(table.to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def by_datafusion(uri: str) -> pl.DataFrame:
    builder = QueryBuilder().register("signals", DeltaTable(uri))
    frame = pl.DataFrame(builder.execute("SELECT * FROM signals"))
    assert isinstance(frame, pl.DataFrame)
    return frame


@pytest.mark.parametrize("read", [by_polars, by_pyarrow, by_datafusion])
def test_every_engine_reads_the_same_blocks(signals: str, read: object) -> None:
    found = read(signals).select(SHOWN).sort(KEY)  # type: ignore[operator]
    told = by_polars(signals).select(SHOWN).sort(KEY)
    assert found.height == 64 * 125 + 11 * 90
    for name in SHOWN:
        if isinstance(told.schema[name], pl.List):
            ours, theirs = told[name].explode(), found[name].explode()
            np.testing.assert_array_equal(ours.drop_nulls().to_numpy(), theirs.drop_nulls().to_numpy())
            assert ours.null_count() == theirs.null_count()
        else:
            assert found[name].cast(told.schema[name]).equals(told[name]), name
