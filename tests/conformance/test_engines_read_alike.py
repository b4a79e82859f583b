"""deltalake, Polars, DuckDB and Spark read alike what the ingestor wrote: every type, nulls, extremes.

The table is read after a checkpoint and beyond it. DuckDB's Delta extension comes from the network, so DuckDB reads the
Parquet files that the log names, one by one. Spark reads the Delta table itself.
"""

import datetime as dt
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataframely as dy
import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

import neuralake_kernel as nl
from neuralake_kernel.catalog import Catalog
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.query import ColdSql
from neuralake_kernel.source import open_producer
from neuralake_kernel.workbench import Workbench

# Spark compiles its first question for many seconds on two cores.
pytestmark = pytest.mark.timeout(300)

TABLE = "every_type"
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=2, max_age_s=0.1), checkpoint_every=5)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class EveryType(dy.Schema):
    number = dy.Int64(nullable=False)
    flag = dy.Bool(nullable=True)
    tiny = dy.Int8(nullable=True)
    small = dy.Int16(nullable=True)
    medium = dy.Int32(nullable=True)
    large = dy.Int64(nullable=True)
    single = dy.Float32(nullable=True)
    double = dy.Float64(nullable=True)
    text = dy.String(nullable=True)
    raw = dy.Binary(nullable=True)
    day = dy.Date(nullable=True)
    event_time = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")


Row = dict[str, Any]


def written() -> list[Row]:
    """Rows as they are sent, one of each kind that readers are known to disagree about."""
    lowest: Row = {
        "flag": False,
        "tiny": -(2**7),
        "small": -(2**15),
        "medium": -(2**31),
        "large": -(2**63),
        "single": -3.4028234663852886e38,
        "double": -1.7976931348623157e308,
        "text": "",
        "raw": "",
        "day": "0001-01-01",
        "event_time": "1582-10-15T00:00:00Z",
    }
    highest: Row = {
        "flag": True,
        "tiny": 2**7 - 1,
        "small": 2**15 - 1,
        "medium": 2**31 - 1,
        "large": 2**63 - 1,
        "single": 3.4028234663852886e38,
        "double": 5e-324,
        "text": "\u00b5V \u2126 \U0001f9e0 e\u0301 \u0000 \\ \" '",
        "raw": "\u00ff",
        "day": "9999-12-31",
        "event_time": "2704-02-29T23:59:59.999999Z",
    }
    ordinary: Row = {
        "flag": True,
        "tiny": 1,
        "small": 2,
        "medium": 3,
        "large": 2**53 + 1,
        "single": 0.1,
        "double": 0.1,
        "text": "C3",
        "raw": "C3",
        "day": "1970-01-01",
        "event_time": "1969-12-31T23:59:59.999999Z",
    }
    nothing: Row = dict.fromkeys(ordinary)
    rows = [lowest, highest, ordinary, nothing] * 3
    return [{"number": number, **row} for number, row in enumerate(rows)]


def expected() -> list[tuple[Any, ...]]:
    return [canonical(tuple(as_read(name, value) for name, value in row.items())) for row in written()]


def as_read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "single":
        return pl.Series([value], dtype=pl.Float32).item()
    if name == "raw":
        return value.encode()
    if name == "day":
        return dt.date.fromisoformat(value)
    if name == "event_time":
        return dt.datetime.fromisoformat(value)
    return value


def canonical(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row in the words that all engines share: bytes, microseconds, numbers to the bit."""

    def word(value: Any) -> Any:
        if isinstance(value, dt.datetime):
            # Spark gives local time without a zone; the session's zone is UTC.
            aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return (aware - EPOCH) // dt.timedelta(microseconds=1)
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, float):
            return math.frexp(value)
        return value

    return tuple(map(word, row))


COLUMNS = tuple(written()[0])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    declared = nl.table(topic=f"{TABLE}.raw", name=TABLE, description="A column of every type there is.")(EveryType)
    with nl.open(profile="embedded", home=tmp_path_factory.mktemp("e") / "home") as lab:
        with lab.ingest(declared, policy=POLICY) as job, open_producer(lab.broker, f"{TABLE}.raw") as producer:
            for row in written():
                # One message and one commit after another, so that there are versions behind the checkpoint.
                producer.send([json.dumps(row).encode()], 0)
                producer.flush()
                assert job.wait(60).caught_up
            assert job.report().quarantined_rows == 0
            assert job.report().commits >= len(written())
        yield lab
        lab.stack.stop()


@pytest.fixture(scope="module")
def table(lab: Workbench) -> DeltaTable:
    table = DeltaTable(lab.store.table_uri(TABLE))
    log = lab.home / "lake" / TABLE / "_delta_log"
    checkpoints = sorted(log.glob("*.checkpoint*.parquet"))
    assert checkpoints
    assert table.version() > int(checkpoints[-1].name[:20]), "some commits stand behind the checkpoint"
    return table


def rows_of(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return [canonical(row) for row in frame.select(COLUMNS).sort("number").rows()]


def test_deltalake(table: DeltaTable) -> None:
    frame = pl.from_arrow(table.to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    assert rows_of(frame) == expected()


def test_polars(lab: Workbench, table: DeltaTable) -> None:
    assert rows_of(lab.table(TABLE).lazy().collect()) == expected()
    assert rows_of(pl.read_delta(str(lab.home / "lake" / TABLE))) == expected()


def test_duckdb(table: DeltaTable) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        question = f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?) ORDER BY number"  # noqa: S608 - of this file
        found = connection.execute(question, [table.file_uris()]).fetchall()
    assert [canonical(row) for row in found] == expected()


def test_hot_sql(lab: Workbench, table: DeltaTable) -> None:
    answer = lab.sql(f"SELECT {', '.join(COLUMNS)} FROM {TABLE} ORDER BY number")  # noqa: S608 - names of this file
    assert rows_of(answer.to_polars()) == expected()


def test_spark(lab: Workbench, table: DeltaTable) -> None:
    spark = lab.stack.ensure_spark()
    with ColdSql(Catalog(lab.store, ()), url=spark.url, token=spark.token) as cold:
        question = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} ORDER BY number"  # noqa: S608 - names of this file
        assert rows_of(cold.sql(question).to_polars()) == expected()


def test_the_files_are_spread_over_prefixes_that_need_no_escape(table: DeltaTable) -> None:
    names = table.to_pyarrow_dataset().files
    assert all(len(Path(name).parent.name) == 2 for name in names)
    assert len({Path(name).parent.name for name in names}) > 3
