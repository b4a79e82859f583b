"""A decorated schema declares a table, and declaring one starts nothing."""

import subprocess
import sys
from typing import Any

import dataframely as dy
import pytest

from neuralake_kernel.catalog import Registry, declaration_of, table
from neuralake_kernel.errors import CatalogError, ContractError, UsageError


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_name_topic_description_and_contract_come_from_the_class(registry: Registry) -> None:
    @table(topic="openbci.raw", description="Cyton board log.", registry=registry)
    class OpenbciRaw(dy.Schema):
        packet = dy.Int16(min=0, max=255)

    declared = declaration_of(OpenbciRaw, registry)
    assert issubclass(OpenbciRaw, dy.Schema)
    assert (declared.name, declared.topic) == ("openbci_raw", "openbci.raw")
    assert declared.description == "Cyton board log."
    assert declared.quarantine == "openbci_raw__quarantine"
    assert declared.contract.names == ("packet",)
    assert list(registry) == [declared]


@pytest.mark.parametrize(
    ("class_name", "table_name"),
    [("Eeg", "eeg"), ("EEGRaw", "eeg_raw"), ("Ch8Packets", "ch8_packets"), ("already_snake", "already_snake")],
)
def test_class_names_become_snake_case(registry: Registry, class_name: str, table_name: str) -> None:
    schema = type(class_name, (dy.Schema,), {"a": dy.Int8()})
    table(topic="t", registry=registry)(schema)
    assert declaration_of(schema, registry).name == table_name


@pytest.mark.parametrize(
    ("encoding", "code", "hint"),
    [
        ("avro", "encoding-not-yet", "'json' or 'arrow'"),
        ("protobuf", "encoding-not-yet", "'json' or 'arrow'"),
        ("packets", "encoding-unknown", "@nl.signals"),
        ("csv", "encoding-unknown", "lines of JSON"),
    ],
)
def test_an_encoding_that_cannot_be_read_says_what_can(registry: Registry, encoding: Any, code: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(topic="t", encoding=encoding, registry=registry)
    assert caught.value.code == code
    assert hint in str(caught.value.hint)
    table(topic="t", encoding="arrow", registry=registry)(arrow := type("Arrow", (dy.Schema,), {"a": dy.Int8()}))
    assert declaration_of(arrow, registry).encoding == "arrow"


def test_a_cell_that_runs_again_replaces_its_declaration(registry: Registry) -> None:
    def run_cell(maximum: int) -> type[dy.Schema]:
        @table(topic="t", registry=registry)
        class Cell(dy.Schema):
            a = dy.Int8(max=maximum)

        return Cell

    former, latter = run_cell(1), run_cell(2)
    assert len(registry) == 1
    assert declaration_of(latter, registry).contract.columns[0].max == 2
    with pytest.raises(CatalogError) as caught:
        declaration_of(former, registry)
    assert caught.value.code == "table-undeclared"


def test_two_classes_cannot_share_a_name(registry: Registry) -> None:
    table(topic="t", registry=registry)(type("One", (dy.Schema,), {"a": dy.Int8()}))
    with pytest.raises(CatalogError) as caught:
        table(topic="t", name="one", registry=registry)(type("Two", (dy.Schema,), {"a": dy.Int8()}))
    assert caught.value.code == "table-name-taken"


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a__quarantine", "_a", "a b", "a-b", "a.b", "a/b", "a;b"])
def test_names_that_are_no_table_names_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(topic="t", name=name, registry=registry)(type("A", (dy.Schema,), {"a": dy.Int8()}))
    assert caught.value.code == "table-name"


@pytest.mark.parametrize("topic", ["", ".", "a/b", "a b", "x" * 250])
def test_topics_kafka_would_refuse_are_refused(topic: str) -> None:
    with pytest.raises(UsageError) as caught:
        table(topic=topic)
    assert caught.value.code == "topic-name"


def test_only_a_schema_can_be_declared(registry: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        table(topic="t", registry=registry)(int)  # type: ignore[type-var]
    assert caught.value.code == "not-a-schema"


def test_a_refused_contract_declares_nothing(registry: Registry) -> None:
    with pytest.raises(ContractError):
        table(topic="t", registry=registry)(type("A", (dy.Schema,), {"a": dy.String(unique=True)}))
    assert len(registry) == 0


def test_declaring_and_importing_start_no_engine() -> None:
    code = (
        "import sys, neuralake_kernel.catalog, neuralake_kernel.query\n"
        "heavy = {'polars', 'pyarrow', 'deltalake', 'pyspark', 'pandas', 'sqlglot', 'dataframely'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import dataframely as dy\n"
        "@neuralake_kernel.catalog.table(topic='t')\n"
        "class A(dy.Schema):\n"
        "    a = dy.Int8()\n"
        "print(sorted({'deltalake', 'pyspark', 'sqlglot'} & set(sys.modules)))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split("\n")[:2] == ["[]", "[]"]
