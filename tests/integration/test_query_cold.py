"""Spark Connect on MinIO: the third engine gives the others' answers, and its faults are told in seconds.

One stack for the file; the tests run in order and the last one kills the server.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

from neuralake_kernel.catalog import Catalog, verify_table
from neuralake_kernel.errors import CatalogError, NeuralakeError, QueryError
from neuralake_kernel.query import ColdSql, HotSql, QueryPolicy, compare_answers, scan
from neuralake_kernel.stack import Stack, StackPolicy
from tests.law_tables import LawTable

# Spark compiles its first question for many seconds on two cores.
pytestmark = pytest.mark.timeout(300)

VERSION = 3


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    tools = Path(os.environ.get("NEURALAKE_TOOLS_DIR") or Path(cache) / "neuralake" / "tools")
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home", tools_dir=tools, policy=StackPolicy("local"))
        stack.start()
        yield stack
        stack.stop()


@pytest.fixture(scope="module")
def lake(stack: Stack) -> LawTable:
    lake = LawTable(Path("unused"), store=stack.store)
    lake.start(0, 1)
    for flush in range(4):
        offsets = range(flush * 50, flush * 50 + 50)
        places = [(partition, offset, row) for partition in (0, 1) for offset in offsets for row in (0, 1)]
        lake.commit(places, positions=dict.fromkeys((0, 1), offsets.stop))
    return lake


@pytest.fixture(scope="module")
def catalog(stack: Stack, lake: LawTable) -> Catalog:
    return Catalog(stack.store, ())


@pytest.fixture(scope="module")
def cold(stack: Stack, catalog: Catalog) -> Iterator[ColdSql]:
    spark = stack.ensure_spark()
    with ColdSql(catalog, url=spark.url, token=spark.token) as cold:
        yield cold


def test_the_catalog_and_the_checker_read_the_object_store(catalog: Catalog, lake: LawTable) -> None:
    assert catalog.names() == ("packets",)
    assert (catalog["packets"].rows, catalog["packets"].version) == (800, 4)
    assert verify_table(lake, "packets", dense=True).ok
    with pytest.raises(CatalogError) as caught:
        catalog.snapshots.at("nothing")
    assert caught.value.code == "table-not-created"


VALUE, TIME = pl.col("value"), pl.col("event_time")


@pytest.mark.parametrize(
    ("sql", "frame"),
    [
        (
            "SELECT session, count(*) AS n, avg(value) AS mean, max(event_time) AS last FROM packets GROUP BY session",
            lambda t: t.group_by("session").agg(n=pl.len(), mean=VALUE.cast(pl.Float64).mean(), last=TIME.max()),
        ),
        (
            "SELECT * FROM packets WHERE event_time < TIMESTAMP '2026-01-01 00:00:10' AND session = 's0'",
            lambda t: t.filter(pl.datetime(2026, 1, 1, 0, 0, 10, time_zone="UTC") > TIME, pl.col("session") == "s0"),
        ),
        (
            (
                "SELECT date_trunc('minute', event_time) AS minute, sum(value) AS total, stddev(value) AS spread"
                " FROM packets GROUP BY date_trunc('minute', event_time)"
            ),
            lambda t: t.group_by(minute=TIME.dt.truncate("1m")).agg(
                total=VALUE.cast(pl.Float64).sum(), spread=VALUE.cast(pl.Float64).std()
            ),
        ),
    ],
)
def test_three_engines_give_one_answer_at_one_version(
    catalog: Catalog, cold: ColdSql, sql: str, frame: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> None:
    spark = cold.sql(sql, version=VERSION)
    hot = HotSql(catalog).sql(sql, version=VERSION)
    polars = frame(scan(catalog.snapshots, "packets", version=VERSION))
    assert spark.versions == hot.versions == {"packets": VERSION}
    assert len(spark) > 0
    for verdict in (compare_answers(spark, hot), compare_answers(spark, polars)):
        assert verdict, str(verdict)


def test_identity_columns_are_hidden_until_named(cold: ColdSql) -> None:
    assert cold.sql("SELECT * FROM packets LIMIT 1").columns == ("session", "value", "event_time")
    assert cold.sql("SELECT max(_offset) AS top FROM packets").to_dicts() == [{"top": 199}]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1; SELECT 2", "sql-not-a-select"),
        ("DROP TABLE packets", "sql-not-a-select"),
        ("SELECT * FROM delta.`s3a://elsewhere/t`", "sql-source"),
        ("SELECT * FROM packet", "table-unknown"),
        ("SELECT nothing FROM packets", "query-failed"),
    ],
)
def test_bad_questions_get_one_clear_error(
    cold: ColdSql, caplog: pytest.LogCaptureFixture, sql: str, code: str
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(NeuralakeError) as caught:
        cold.sql(sql)
    assert caught.value.code == code
    assert len(caught.value.message) < 400
    assert not caplog.records


def test_limits_hold_and_the_session_lives_on(cold: ColdSql) -> None:
    with pytest.raises(QueryError) as caught:
        cold.sql("SELECT value FROM packets", policy=QueryPolicy(max_rows=7))
    assert caught.value.code == "query-too-large"
    # Many tasks: Spark lets go of a question between two of them.
    slow = (
        "SELECT sum(sin(a.value * c.value)) AS s FROM"
        " (SELECT /*+ REPARTITION(200) */ value FROM packets) a, packets b, packets c"
    )
    with pytest.raises(QueryError) as caught:
        cold.sql(slow, policy=QueryPolicy(timeout_s=2))
    assert caught.value.code == "query-timeout"
    shares: list[float] = []
    answer = cold.sql("SELECT count(DISTINCT value) AS n FROM packets", on_progress=shares.append)
    assert answer.to_dicts() == [{"n": 400}]
    assert all(0 <= share <= 1 for share in shares)


def test_no_secret_is_shown(stack: Stack, cold: ColdSql) -> None:
    token = stack.ensure_spark().token
    assert token
    assert token not in repr(cold)


def test_a_server_that_is_away_is_told_in_seconds(catalog: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError) as caught:
        ColdSql(catalog, url="sc://localhost:9", token="never-shown").sql("SELECT 1 AS one")
    assert (caught.value.code, caught.value.retryable) == ("spark-away", True)
    assert "never-shown" not in str(caught.value)
    assert time.monotonic() - began < 15


def test_a_restarted_server_is_asked_in_a_new_session(
    stack: Stack, cold: ColdSql, wait_until: Callable[..., None]
) -> None:
    def spark() -> tuple[int | None, str]:
        (status,) = [service for service in stack.status().services if service.name == "spark"]
        return status.pid, status.state

    former, _ = spark()
    assert former is not None
    os.kill(former, signal.SIGKILL)
    wait_until(lambda: spark()[0] not in {None, former} and spark()[1] == "ready", timeout_s=90, what="a new Spark")
    assert cold.sql("SELECT count(*) AS n FROM packets").to_dicts() == [{"n": 800}]
