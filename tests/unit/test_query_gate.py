"""The gate admits one SELECT over catalog tables, and spells stars out without identity columns."""

import pytest

from neuralake_kernel.errors import CatalogError, NeuralakeError, QueryError
from neuralake_kernel.query import AdmittedSql, admit

TABLES = {
    "eeg": ("time", "ch1", "Odd", "_source", "_offset"),
    "labels": ("time", "label", "_offset"),
    "plain": ("a", "b"),
}


def columns_of(name: str) -> tuple[str, ...]:
    if name not in TABLES:
        raise CatalogError(f"no {name}", code="table-unknown")
    return TABLES[name]


def passed(sql: str, engine: str = "hot") -> AdmittedSql:
    return admit(sql, columns_of=columns_of, engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sql",
    [
        "select ch1 from eeg where time > now() - INTERVAL '1 minute'",
        "SELECT count(*) FROM eeg;",
        "-- a remark\nWITH a AS (SELECT ch1 FROM eeg) SELECT ch1 FROM a -- the end",
        "(SELECT ch1 FROM eeg) UNION ALL (SELECT a FROM plain)",
        "SELECT e.ch1::double, try_cast(l.label AS int) FROM eeg e LEFT JOIN labels l ON e.time = l.time",
        "SELECT ';' AS semicolon, 'COPY x TO y' AS text, \"Odd\" FROM eeg",
        "SELECT ch1 FROM eeg WHERE time IN (SELECT time FROM labels) ORDER BY 1 LIMIT 3 OFFSET 2",
        "SELECT avg(ch1) OVER (PARTITION BY _offset ORDER BY time) FROM eeg",
        "SELECT x FROM (VALUES (1), (2)) AS v(x)",
        "SELECT _offset FROM eeg",
    ],
)
def test_one_select_passes_as_it_was_written(sql: str) -> None:
    assert passed(sql).text == sql.rstrip(";")


def test_the_tables_it_reads_are_told() -> None:
    sql = "WITH plain AS (SELECT 1 AS a) SELECT * FROM plain, EEG, (SELECT label FROM labels) l"
    assert set(passed(sql).tables) == {"eeg", "labels"}


@pytest.mark.parametrize("engine", ["hot", "cold"])
@pytest.mark.parametrize(
    "sql",
    [
        "",
        "  ; ",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE eeg",
        "COPY (SELECT * FROM eeg) TO '/tmp/x.parquet'",
        "INSERT INTO eeg SELECT * FROM eeg",
        "WITH a AS (SELECT 1) INSERT INTO eeg SELECT * FROM a",
        "UPDATE eeg SET ch1 = 1",
        "DELETE FROM eeg",
        "MERGE INTO eeg USING labels ON true WHEN MATCHED THEN DELETE",
        "CREATE TABLE x AS SELECT * FROM eeg",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/etc'",
        "DROP TABLE eeg",
        "ALTER TABLE eeg ADD COLUMN x INT",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "DESCRIBE eeg",
        "VALUES (1)",
        "TABLE eeg",
        "FROM eeg",
        "CALL system.x()",
        "GRANT SELECT ON eeg TO x",
        "PREPARE p AS SELECT 1",
        "TRUNCATE TABLE eeg",
        "SELECT * INTO x FROM eeg",
        "SELECT ch1 FROM eeg FOR UPDATE",
    ],
)
def test_whatever_is_no_single_select_is_refused(sql: str, engine: str) -> None:
    with pytest.raises(QueryError) as caught:
        passed(sql, engine)
    assert caught.value.code in {"sql-not-a-select", "sql-unparsed"}
    assert caught.value.hint


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "COPY eeg TO 'x'", "DROP TABLE eeg", ""])
def test_the_refusal_says_what_was_expected(sql: str) -> None:
    with pytest.raises(QueryError, match="expected one SELECT") as caught:
        passed(sql)
    assert caught.value.code == "sql-not-a-select"


@pytest.mark.parametrize(
    ("sql", "engine"),
    [
        ("SELECT * FROM read_parquet('/etc/passwd')", "hot"),
        ("SELECT * FROM generate_series(1, 10)", "hot"),
        ("SELECT * FROM eeg, LATERAL read_csv('x')", "hot"),
        ("SELECT * FROM information_schema.tables", "hot"),
        ("SELECT ch1 FROM public.eeg", "hot"),
        ("SELECT * FROM delta.`/lake/eeg`", "cold"),
        ("SELECT * FROM parquet.`/etc/x`", "cold"),
        ("SELECT * FROM spark_catalog.default.eeg", "cold"),
        ("SELECT * FROM eeg VERSION AS OF 1", "cold"),
        ("SELECT * FROM eeg TIMESTAMP AS OF '2026-01-01'", "cold"),
        ("SELECT * FROM range(10)", "cold"),
        ("SELECT * FROM IDENTIFIER('eeg')", "cold"),
        ("SELECT reflect('java.lang.System', 'exit', 1)", "cold"),
        ("SELECT java_method('java.lang.System', 'exit', 1) FROM eeg", "cold"),
        ("SELECT TRANSFORM(ch1) USING 'cat' AS (x) FROM eeg", "cold"),
    ],
)
def test_reading_or_acting_elsewhere_is_refused(sql: str, engine: str) -> None:
    with pytest.raises(NeuralakeError) as caught:
        passed(sql, engine)
    assert caught.value.code in {"sql-source", "sql-not-a-select", "sql-unparsed"}


@pytest.mark.parametrize("name", ["nothing", '"EEG"', "'/etc/passwd'", '"/tmp/x.parquet"'])
def test_only_names_of_the_catalog_are_read(name: str) -> None:
    with pytest.raises((CatalogError, QueryError)) as caught:
        passed(f"SELECT 1 FROM {name}")  # noqa: S608  (the gate is what is tried)
    assert caught.value.code in {"table-unknown", "sql-unparsed"}


@pytest.mark.parametrize(
    ("sql", "spelt"),
    [
        ("SELECT * FROM eeg", 'SELECT eeg."time", eeg."ch1", eeg."Odd" FROM eeg'),
        ("SELECT DISTINCT * FROM labels l", 'SELECT DISTINCT l."time", l."label" FROM labels l'),
        ('SELECT "L".* FROM labels "L"', 'SELECT "L"."time", "L"."label" FROM labels "L"'),
        ("SELECT *, _offset FROM labels", 'SELECT labels."time", labels."label", _offset FROM labels'),
        ('SELECT * EXCEPT (ch1, "Odd") FROM eeg', 'SELECT eeg."time" FROM eeg'),
        ("SELECT eeg.* EXCLUDE (ch1), 1 FROM eeg", 'SELECT eeg."time", eeg."Odd", 1 FROM eeg'),
        (
            "SELECT * FROM labels JOIN plain p ON a = 1",
            'SELECT labels."time", labels."label", p."a", p."b" FROM labels JOIN plain p ON a = 1',
        ),
        (
            "SELECT * FROM eeg JOIN labels USING (time)",
            'SELECT "time", eeg."ch1", eeg."Odd", labels."label" FROM eeg JOIN labels USING (time)',
        ),
        (
            "SELECT * FROM labels LEFT SEMI JOIN eeg ON eeg.time = labels.time",
            'SELECT labels."time", labels."label" FROM labels LEFT SEMI JOIN eeg ON eeg.time = labels.time',
        ),
        (
            "SELECT * FROM labels, (SELECT a FROM plain) s",
            'SELECT labels."time", labels."label", s.* FROM labels, (SELECT a FROM plain) s',
        ),
        (
            "WITH labels AS (SELECT * FROM labels) SELECT * FROM labels",
            'WITH labels AS (SELECT labels."time", labels."label" FROM labels) SELECT * FROM labels',
        ),
        (
            "SELECT a FROM plain WHERE EXISTS (SELECT * FROM labels)",
            'SELECT a FROM plain WHERE EXISTS (SELECT labels."time", labels."label" FROM labels)',
        ),
        (
            "SELECT * FROM labels UNION SELECT * FROM labels",
            'SELECT labels."time", labels."label" FROM labels UNION SELECT labels."time", labels."label" FROM labels',
        ),
    ],
)
def test_a_star_leaves_identity_columns_out(sql: str, spelt: str) -> None:
    assert passed(sql).text == spelt


def test_spark_gets_its_own_quotes() -> None:
    assert passed("SELECT * FROM labels", "cold").text == ("SELECT labels.`time`, labels.`label` FROM labels")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM eeg NATURAL JOIN labels",
        "SELECT * REPLACE (1 AS ch1) FROM eeg",
        "SELECT * FROM labels, (SELECT a FROM plain)",
        "SELECT * FROM labels JOIN (SELECT time FROM eeg) s USING (time)",
        "SELECT * EXCEPT (time, label) FROM labels",
    ],
)
def test_a_star_that_cannot_be_spelt_out_is_refused_with_the_way_around(sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        passed(sql)
    assert caught.value.code in {"sql-star", "sql-unparsed"}
    assert caught.value.hint


def test_the_probe_has_room_for_a_query_alone() -> None:
    assert passed("SELECT 1 AS a -- remark").as_probe == (
        "SELECT 1 AS admitted WHERE EXISTS (\nSELECT 1 AS a -- remark\n)"
    )
