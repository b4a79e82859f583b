"""A dataframely schema becomes a contract, or an error that names column and rule."""

import datetime as dt

import dataframely as dy
import polars as pl
import pytest

from neuralake_kernel.contract import (
    IDENTITY_COLUMNS,
    Column,
    Contract,
    compile_contract,
    is_identity_column,
)
from neuralake_kernel.errors import ContractError


class Everything(dy.Schema):
    flag = dy.Bool()
    small = dy.Int8(nullable=True)
    packet = dy.Int16(min=0, max=255)
    wide = dy.Int32()
    widest = dy.Int64(min_exclusive=-5)
    any_integer = dy.Integer()
    byte = dy.UInt8()
    word = dy.UInt16(max=1000)
    double_word = dy.UInt32(min=7)
    ch1_uv = dy.Float32(min=-1, max_exclusive=1, metadata={"physical_unit": "uV"})
    any_float = dy.Float()
    label = dy.String(description="what the subject was asked to do")
    payload = dy.Binary()
    day = dy.Date(max=dt.date(1970, 1, 11))
    event_time = dy.Datetime(time_unit="us", time_zone="UTC", min=dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC))
    renamed_ = dy.Bool(alias="renamed")


def test_every_type_and_bound_is_carried() -> None:
    got = {column.name: column for column in compile_contract(Everything).columns}
    assert list(got) == Everything.column_names()
    assert [column.type for column in got.values()] == [
        "bool", "int8", "int16", "int32", "int64", "int64", "int16", "int32", "int64",
        "float32", "float64", "string", "binary", "date", "timestamp_us", "bool",
    ]  # fmt: skip
    assert [name for name, column in got.items() if column.nullable] == ["small"]
    assert (got["packet"].min, got["packet"].max) == (0, 255)
    assert got["widest"].min_exclusive == -5
    assert (got["ch1_uv"].min, got["ch1_uv"].max_exclusive) == (-1.0, 1.0)
    assert isinstance(got["ch1_uv"].min, float)
    assert got["ch1_uv"].physical_unit == "uV"
    assert got["label"].description == "what the subject was asked to do"
    assert got["day"].max == 10
    assert got["event_time"].min == 1_000_000


def test_unsigned_keeps_its_range_in_the_wider_type() -> None:
    got = {column.name: column for column in compile_contract(Everything).columns}
    assert (got["byte"].min, got["byte"].max) == (0, 255)
    assert (got["word"].min, got["word"].max) == (0, 1000)
    assert (got["double_word"].min, got["double_word"].max) == (7, 2**32 - 1)


def test_json_is_what_the_ingestor_reads() -> None:
    class Packet(dy.Schema):
        packet = dy.Int16(min=0, max=255)

    contract = compile_contract(Packet)
    assert contract.to_json() == {
        "id": contract.id,
        "version": 1,
        "columns": [
            {
                "name": "packet",
                "type": "int16",
                "nullable": False,
                "min": 0,
                "max": 255,
                "min_exclusive": None,
                "max_exclusive": None,
            }
        ],
    }


def test_id_is_stable_and_follows_what_is_judged() -> None:
    # A changed id would make every quarantined row of a stored table name an unknown contract.
    assert Contract(columns=(Column("x", "int16", nullable=False, min=0),)).id == "c4ef41345c851458"
    described = Column("x", "int16", nullable=False, min=0, description="text", physical_unit="uV")
    assert Contract(columns=(described,)).id == "c4ef41345c851458"
    variants = [
        Column("y", "int16", nullable=False, min=0),
        Column("x", "int32", nullable=False, min=0),
        Column("x", "int16", nullable=True, min=0),
        Column("x", "int16", nullable=False, min=1),
        Column("x", "int16", nullable=False, min_exclusive=0),
    ]
    ids = {Contract(columns=(column,)).id for column in variants}
    assert len(ids | {"c4ef41345c851458"}) == len(variants) + 1


class Regex(dy.Schema):
    a = dy.String(regex="^x")


class Length(dy.Schema):
    a = dy.String(max_length=3)


class Members(dy.Schema):
    a = dy.Int8(is_in=[1, 2])


class Unique(dy.Schema):
    a = dy.Int8(unique=True)


class Checked(dy.Schema):
    a = dy.Int8(check=lambda column: column > 1)


class Resolution(dy.Schema):
    a = dy.Datetime(time_unit="us", time_zone="UTC", resolution="1s")


class Key(dy.Schema):
    a = dy.Int8(primary_key=True)


class Custom(dy.Schema):
    a = dy.Int8()

    @dy.rule()
    def larger(cls) -> pl.Expr:  # noqa: N805  (dataframely's own shape)
        return cls.a.col > 3


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (Regex, ["'a'", "'regex'"]),
        (Length, ["'a'", "'max_length'"]),
        (Members, ["'a'", "'is_in'"]),
        (Unique, ["'a'", "'unique'"]),
        (Checked, ["'a'", "'check'"]),
        (Resolution, ["'a'", "'resolution'"]),
        (Key, ["'a'", "'primary_key'"]),
        (Custom, ["'larger'"]),
    ],
)
def test_a_rule_that_cannot_be_carried_is_refused_by_name(schema: type[dy.Schema], names: list[str]) -> None:
    with pytest.raises(ContractError) as caught:
        compile_contract(schema)
    assert caught.value.code == "contract-rule-unsupported"
    assert all(name in caught.value.message for name in names)
    assert caught.value.hint


@pytest.mark.parametrize(
    "column",
    [
        dy.UInt64(),
        dy.List(dy.Int8()),
        dy.Decimal(),
        dy.Duration(),
        dy.Enum(["a"]),
        dy.Datetime(time_unit="us"),
        dy.Datetime(time_unit="ns", time_zone="UTC"),
        dy.Datetime(time_unit="us", time_zone="Europe/Berlin"),
    ],
)
def test_a_type_tables_cannot_hold_is_refused_by_column(column: dy.Column) -> None:
    schema = type("Wrong", (dy.Schema,), {"bad": column})
    with pytest.raises(ContractError, match="column 'bad'") as caught:
        compile_contract(schema)
    assert caught.value.code == "contract-type-unsupported"


@pytest.mark.parametrize("name", ["_offset", "_mine", "two words", "a.b", "ä", "1st", "a|b"])
def test_reserved_and_unsafe_names_are_refused(name: str) -> None:
    schema = type("Wrong", (dy.Schema,), {"a": dy.Int8(alias=name)})
    with pytest.raises(ContractError) as caught:
        compile_contract(schema)
    assert caught.value.code == "contract-column-name"


def test_names_that_differ_only_in_case_are_refused() -> None:
    schema = type("Wrong", (dy.Schema,), {"ch": dy.Int8(), "Ch": dy.Int8()})
    with pytest.raises(ContractError, match="differ only in case"):
        compile_contract(schema)


def test_a_schema_without_columns_is_refused() -> None:
    with pytest.raises(ContractError) as caught:
        compile_contract(type("Nothing", (dy.Schema,), {}))
    assert caught.value.code == "contract-empty"


def test_bounds_read_as_an_interval() -> None:
    assert Column("a", "int8", nullable=False).bounds == ""
    assert Column("a", "int8", nullable=False, min=0, max=9).bounds == "[0, 9]"
    assert Column("a", "int8", nullable=False, min_exclusive=0).bounds == "(0, ∞)"
    assert Column("a", "int8", nullable=False, max_exclusive=9).bounds == "(-∞, 9)"


def test_identity_columns_are_known_by_their_underscore() -> None:
    assert all(map(is_identity_column, IDENTITY_COLUMNS))
    assert not is_identity_column("packet")
