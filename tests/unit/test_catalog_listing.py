"""The catalog lists what is declared and what is stored, from the log alone."""

import datetime as dt
import json
from pathlib import Path

import dataframely as dy
import polars as pl
import pytest
from deltalake import write_deltalake

from neuralake_kernel.catalog import Catalog, CatalogEntry, ColumnEntry, Registry, Snapshots, table
from neuralake_kernel.errors import CatalogError
from tests.law_tables import LawTable

REGISTRY = Registry()


@table(topic="device.raw", description="What the <device> says.", registry=REGISTRY)
class Packets(dy.Schema):
    session = dy.String()
    value = dy.Float32(min=0, metadata={"physical_unit": "uV"}, description="first channel")
    event_time = dy.Datetime(time_unit="us", time_zone="UTC", nullable=True)


@pytest.fixture
def lake(tmp_path: Path) -> LawTable:
    return LawTable(tmp_path / "lake")


@pytest.fixture
def filled(lake: LawTable) -> LawTable:
    lake.start(0)
    version = lake.commit([(0, 0, 0), (0, 1, 0)], positions={0: 3}, rejected_files=["x.parquet"])
    lake.reject([(0, 2, None)], recorded=version)
    return lake


def test_a_lake_that_is_not_there_yet_has_no_tables(lake: LawTable) -> None:
    catalog = Catalog(lake, ())
    assert catalog.names() == ()
    assert repr(catalog) == "catalog: no tables"
    assert not lake.folder.exists()


def test_a_declared_table_is_listed_before_it_is_stored(lake: LawTable) -> None:
    entry = Catalog(lake, REGISTRY).entry(Packets)
    assert (entry.state, entry.rows, entry.version) == ("declared", None, None)
    assert [column.name for column in entry.columns] == ["session", "value", "event_time"]
    assert not lake.folder.exists()


def test_facts_come_from_the_log(filled: LawTable) -> None:
    entry = Catalog(filled, REGISTRY)["packets"]
    files = list((filled.folder / "packets").glob("*.parquet"))
    assert (entry.state, entry.rows, entry.version, entry.files) == ("stored", 2, 1, len(files))
    assert entry.bytes == sum(file.stat().st_size for file in files)
    assert (entry.quarantine_rows, entry.quarantine_version) == (1, 0)
    assert entry.last_commit_at is not None
    assert abs(dt.datetime.now(dt.UTC) - entry.last_commit_at) < dt.timedelta(minutes=5)
    assert entry.columns[1] == ColumnEntry(
        "value", "float32", nullable=False, bounds="[0.0, ∞)", physical_unit="uV",
        description="first channel",
    )  # fmt: skip


def test_a_listing_follows_the_log(filled: LawTable) -> None:
    catalog = Catalog(filled, REGISTRY)
    before = catalog["packets"]
    filled.commit([(0, 3, 0)], positions={0: 4})
    after = catalog["packets"]
    assert (before.rows, after.rows) == (2, 3)
    assert (before.version, after.version) == (1, 2)


def test_a_stored_table_without_declaration_is_listed_by_its_own_schema(filled: LawTable) -> None:
    write_deltalake(filled.table_uri("other"), pl.DataFrame({"x": [1], "_y": [2]}).to_arrow())
    (filled.folder / "no_table").mkdir()
    catalog = Catalog(filled, REGISTRY)
    assert catalog.names() == ("other", "packets")
    assert catalog["other"].columns == (ColumnEntry("x", "int64", nullable=True),)


def test_text_is_stable_and_html_is_escaped(filled: LawTable) -> None:
    catalog = Catalog(filled, REGISTRY)
    assert repr(catalog) == "catalog: 1 table\n  packets  2 rows, 1 in quarantine"
    assert repr(catalog["packets"]) == (
        "packets: 2 rows, 1 in quarantine\n"
        "What the <device> says.\n"
        "topic device.raw\n"
        "  session     string\n"
        "  value       float32 [uV]   [0.0, ∞)  first channel\n"
        "  event_time  timestamp_us?"
    )
    assert "version 1" in str(catalog)
    for page in (catalog._repr_html_(), catalog["packets"]._repr_html_()):
        assert "What the &lt;device&gt; says." in page
        assert "var(--jp-ui-font-color1" in page
        assert "http" not in page.replace("http-equiv", "")


def test_an_entry_prints_the_same_for_the_same_facts() -> None:
    entry = CatalogEntry(
        "eeg", "stored", "file:///lake/eeg", rows=1_234, bytes=2048, files=1, version=7,
        last_commit_at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    )  # fmt: skip
    assert str(entry) == ("eeg: 1,234 rows\n2.0 KiB in 1 files, version 7, 2026-01-02 03:04:05 UTC\nfile:///lake/eeg")


def test_json_is_plain(filled: LawTable) -> None:
    (told,) = json.loads(json.dumps(Catalog(filled, REGISTRY).to_json()))["tables"]
    assert (told["name"], told["rows"], told["writer"]) == ("packets", 2, "ingest")
    assert told["quarantine"]["rows"] == 1


def test_an_unknown_table_names_its_neighbours(filled: LawTable) -> None:
    catalog = Catalog(filled, REGISTRY)
    with pytest.raises(CatalogError) as caught:
        catalog["packet"]
    assert caught.value.code == "table-unknown"
    assert caught.value.hint == "did you mean packets?"
    with pytest.raises(CatalogError):
        catalog[int]
    assert catalog.resolve("packets__quarantine") == "packets__quarantine"


def test_one_damaged_table_does_not_hide_the_others(filled: LawTable) -> None:
    write_deltalake(filled.table_uri("broken"), pl.DataFrame({"x": [1]}).to_arrow())
    (filled.folder / "broken" / "_delta_log" / f"{0:020}.json").write_text("{")
    states = {entry.name: entry.state for entry in Catalog(filled, REGISTRY)}
    assert states == {"broken": "unreadable", "packets": "stored"}


def test_a_held_snapshot_never_moves(filled: LawTable) -> None:
    snapshots = Snapshots(filled)
    held = snapshots.at("packets")
    filled.commit([(0, 3, 0)], positions={0: 4})
    assert snapshots.at("packets").version() == 2
    assert held.version() == 1
    assert snapshots.at("packets", 1) is held
    assert snapshots.at("packets") is snapshots.at("packets", 2)


@pytest.mark.parametrize("version", [99, -1])
def test_a_version_that_is_not_there_is_named(filled: LawTable, version: int) -> None:
    with pytest.raises(CatalogError) as caught:
        Snapshots(filled).at("packets", version)
    assert caught.value.code == "version-not-found"


def test_a_table_made_anew_is_seen_once_forgotten(filled: LawTable) -> None:
    snapshots = Snapshots(filled)
    assert snapshots.at("packets").version() == 1
    filled.folder.rename(filled.folder.with_name("old"))
    snapshots.forget("packets")
    assert not snapshots.is_created("packets")
    filled.commit([(0, 0, 0)])
    assert snapshots.at("packets").version() == 0


def test_a_store_that_is_away_is_told_in_seconds() -> None:
    class Away:
        def table_uri(self, name: str) -> str:
            return f"s3://lake/{name}"

        def delta_options(self) -> dict[str, str]:
            return {
                "aws_endpoint_url": "http://127.0.0.1:9",
                "aws_region": "us-east-1",
                "aws_access_key_id": "nobody",
                "aws_secret_access_key": "never-shown",
                "aws_allow_http": "true",
            }

    catalog = Catalog(Away(), ())
    for call in (catalog.names, lambda: Snapshots(Away()).at("packets")):
        with pytest.raises(CatalogError) as caught:
            call()
        assert (caught.value.code, caught.value.retryable) == ("store-away", True)
        assert "never-shown" not in str(caught.value)
