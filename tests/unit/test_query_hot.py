"""Hot SQL answers over pinned snapshots, within limits, and refuses what is no question."""

import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from neuralake_kernel.catalog import Catalog
from neuralake_kernel.errors import CatalogError, QueryError
from neuralake_kernel.query import HotSql, QueryPolicy
from tests.law_tables import LawTable


@pytest.fixture
def lake(tmp_path: Path) -> LawTable:
    lake = LawTable(tmp_path / "a lake")
    lake.start(0)
    for file in range(3):
        offsets = range(file * 10, file * 10 + 10)
        lake.commit([(0, offset, 0) for offset in offsets], positions={0: offsets.stop})
    lake.reject([(0, 30, None)], recorded=3)
    return lake


@pytest.fixture
def hot(lake: LawTable) -> HotSql:
    return HotSql(Catalog(lake, ()))


def test_one_select_is_answered(hot: HotSql) -> None:
    answer = hot.sql("SELECT session, count(*) AS n, avg(value) AS mean FROM packets GROUP BY session")
    assert answer.to_dicts() == [{"session": "s0", "n": 30, "mean": 14.5}]
    assert (answer.engine, dict(answer.versions)) == ("hot", {"packets": 3})
    assert len(answer) == 1


def test_now_and_intervals_are_understood_in_utc(hot: HotSql) -> None:
    sql = (
        "SELECT count(*) AS n FROM packets"
        " WHERE event_time > now() - INTERVAL '1 minute' OR event_time < timestamp '2026-01-01 00:00:10'"
    )
    assert hot.sql(sql).to_dicts() == [{"n": 10}]


def test_a_star_hides_identity_and_a_name_shows_it(hot: HotSql) -> None:
    assert hot.sql("SELECT * FROM packets LIMIT 1").columns == ("session", "value", "event_time")
    assert hot.sql("SELECT max(_offset) AS top FROM packets").to_dicts() == [{"top": 29}]
    both = hot.sql("SELECT *, _row FROM packets ORDER BY value DESC LIMIT 1")
    assert both.columns == ("session", "value", "event_time", "_row")
    assert both.to_dicts()[0]["value"] == 29


def test_the_quarantine_is_a_table_too(hot: HotSql) -> None:
    answer = hot.sql("SELECT * FROM packets__quarantine")
    assert answer.columns == ("raw", "reasons", "contract_id", "contract_version")
    assert answer.to_dicts()[0]["reasons"] == ["message|json"]


def test_a_version_is_pinned(hot: HotSql, lake: LawTable) -> None:
    sql = "SELECT max(value) AS top FROM packets"
    assert hot.sql(sql, version=2).to_dicts() == [{"top": 19.0}]
    assert hot.sql(sql, version={"packets": 1}).versions == {"packets": 1}
    lake.commit([(0, 40, 0)], positions={0: 41})
    assert hot.sql(sql).to_dicts() == [{"top": 40.0}]
    with pytest.raises(CatalogError) as caught:
        hot.sql(sql, version=99)
    assert caught.value.code == "version-not-found"
    with pytest.raises(QueryError) as refused:
        hot.sql("SELECT 1 FROM packets, packets__quarantine", version=1)
    assert refused.value.code == "version-ambiguous"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1; SELECT 2", "sql-not-a-select"),
        ("COPY (SELECT * FROM packets) TO '{out}'", "sql-not-a-select"),
        ("DROP TABLE packets", "sql-not-a-select"),
        ("SELECT * FROM packet", "table-unknown"),
        ("SELECT * FROM '{out}'", "table-unknown"),
        ("SELECT nothing FROM packets", "query-failed"),
        ("SELECT FROM WHERE", "sql-unparsed"),
        ("SELECT value::int / 0 FROM packets", "query-failed"),
    ],
)
def test_bad_questions_get_one_clear_error(hot: HotSql, tmp_path: Path, sql: str, code: str) -> None:
    out = tmp_path / "out.parquet"
    with pytest.raises((QueryError, CatalogError)) as caught:
        hot.sql(sql.format(out=out))
    assert caught.value.code == code
    assert caught.value.hint
    assert "\x1b" not in str(caught.value)
    assert not out.exists()


def test_what_the_two_parsers_read_differently_does_not_run(hot: HotSql, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    sql = f"SELECT 1 AS a) ; COPY (SELECT * FROM packets) TO '{out}' -- ("  # noqa: S608  (the gate is what is tried)
    with pytest.raises(QueryError):
        hot.sql(sql)
    assert not out.exists()


def test_an_answer_too_large_is_given_up(hot: HotSql) -> None:
    with pytest.raises(QueryError) as caught:
        hot.sql("SELECT value FROM packets", policy=QueryPolicy(max_rows=29))
    assert caught.value.code == "query-too-large"
    assert len(hot.sql("SELECT value FROM packets", policy=QueryPolicy(max_rows=30))) == 30


def test_a_question_too_slow_is_given_up(hot: HotSql) -> None:
    began = time.monotonic()
    tables = ", ".join(f"packets p{at}" for at in range(6))
    with pytest.raises(QueryError) as caught:
        hot.sql(f"SELECT sum(sin(p0.value + p5.value)) FROM {tables}", policy=QueryPolicy(timeout_s=0.3))  # noqa: S608  (the gate is what is tried)
    assert caught.value.code == "query-timeout"
    assert time.monotonic() - began < 10


def test_an_answer_is_an_arrow_stream_with_plain_strings(hot: HotSql) -> None:
    answer = hot.sql("SELECT session, value FROM packets ORDER BY value LIMIT 2")
    assert pl.DataFrame(answer).equals(answer.to_polars())
    assert pa.table(answer).schema.field("session").type == pa.string()
    assert answer.to_arrow() is answer.table


def test_an_answer_shows_itself(hot: HotSql) -> None:
    answer = hot.sql("SELECT '<b>' AS text, 1 AS n")
    assert repr(answer) == repr(hot.sql("SELECT '<b>' AS text, 1 AS n"))
    assert "shape: (1, 2)" in repr(answer)
    assert "&lt;b&gt;" in answer._repr_html_()


def test_a_doubled_column_is_shown_but_makes_no_frame(hot: HotSql) -> None:
    answer = hot.sql("SELECT a.value, b.value FROM packets a JOIN packets b USING (event_time) LIMIT 1")
    assert "value:1" in repr(answer)
    with pytest.raises(QueryError, match="'value' twice"):
        answer.to_polars()


def test_many_threads_may_ask(hot: HotSql) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda at: hot.sql(f"SELECT count(*) + {at} AS n FROM packets"), range(16))  # noqa: S608  (the gate is what is tried)
        assert [answer.to_dicts()[0]["n"] for answer in answers] == list(range(30, 46))
