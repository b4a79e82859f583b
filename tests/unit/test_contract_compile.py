"""A dataframely schema becomes a contract, or an error that names column and rule."""

import datetime as dt

import dataframely as dy
import polars as pl
import pytest

from neuralake_kernel.contract import (
    IDENTITY_COLUMNS,
    Column,
    Contract,
    check_rows,
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


class Rules(dy.Schema):
    start = dy.Int64(check=lambda column: column % 2 == 0)


class Unique(dy.Schema):
    a = dy.Int8(unique=True)


class Resolution(dy.Schema):
    a = dy.Datetime(time_unit="us", time_zone="UTC", resolution="1s")


class Key(dy.Schema):
    a = dy.Int8(primary_key=True)


class Window(dy.Schema):
    a = dy.Int8()

    @dy.rule()
    def rising(cls) -> pl.Expr:  # noqa: N805  (dataframely's own shape)
        return cls.a.col.diff() > 0


class Group(dy.Schema):
    a = dy.Int8()

    @dy.rule()
    def few(cls) -> pl.Expr:  # noqa: N805
        return pl.len().over(cls.a.col) < 3


class Function(dy.Schema):
    a = dy.Int8(check=lambda column: column.map_elements(bool, return_dtype=pl.Boolean))


class OrderOfCategories(dy.Schema):
    a = dy.Enum(["late", "early"], check=lambda column: column < "late")


class Naive(dy.Schema):
    a = dy.Datetime(time_unit="us", time_zone="UTC", check=lambda column: column > dt.datetime(2024, 1, 1))  # noqa: DTZ001


class Nulls(dy.Schema):
    a = dy.Int8(nullable=True, check=lambda column: column.is_in([1, None]))


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (Rules, ["'start'", "'check'", "Modulus"]),
        (Unique, ["'a'", "'unique'", "IsUnique"]),
        (Resolution, ["'a'", "'resolution'"]),
        (Key, ["'a'", "'primary_key'"]),
        (Window, ["'rising'", "Diff"]),
        (Group, ["'few'", "Over"]),
        (Function, ["'a'", "'check'", "a Python function"]),
        (OrderOfCategories, ["'a'", "'check'", "an order of categories"]),
        (Naive, ["'a'", "'check'", "UTC"]),
        (Nulls, ["'a'", "'check'", "is_in"]),
    ],
)
def test_a_rule_that_cannot_be_carried_is_refused_by_name(schema: type[dy.Schema], names: list[str]) -> None:
    with pytest.raises(ContractError) as caught:
        compile_contract(schema)
    assert caught.value.code == "contract-rule-unsupported"
    assert [name for name in names if name not in caught.value.message] == []
    assert caught.value.hint


class Trial(dy.Schema):
    start = dy.Int64(min=0)
    stop = dy.Int64(nullable=True)
    kind = dy.Enum(["rest", "task"])
    label = dy.String(regex="^[a-z]+$", max_length=8)
    level = dy.Float32(nullable=True, max=0.1, allow_nan=True)

    @dy.rule()
    def forward(cls) -> pl.Expr:  # noqa: N805
        return (cls.start.col < cls.stop.col) | (cls.kind.col == "rest")


def test_rules_of_one_row_are_carried_as_tests() -> None:
    contract = compile_contract(Trial)
    tests = {rule.id: rule.test for rule in contract.rules}
    assert list(tests) == ["forward", "label|max_length", "label|regex"]
    assert tests["label|max_length"] == {
        "compare": {"op": "lt_eq", "left": {"length": "label"}, "right": {"integer": 8}}
    }
    assert tests["forward"] == {
        "any": [
            {"compare": {"op": "lt", "left": {"column": "start"}, "right": {"column": "stop"}}},
            {"compare": {"op": "eq", "left": {"column": "kind"}, "right": {"text": "rest"}}},
        ]
    }
    kinds = {column.name: column for column in contract.columns}
    assert (kinds["kind"].type, kinds["kind"].categories) == ("string", ("rest", "task"))
    assert kinds["level"].allow_nan
    assert not kinds["level"].allow_inf


def test_a_broken_pattern_is_refused_at_the_declaration() -> None:
    schema = type("Wrong", (dy.Schema,), {"a": dy.String(regex="(")})
    with pytest.raises(ContractError, match="regex"):
        compile_contract(schema)


def test_a_warning_changes_the_id_and_keeps_its_row() -> None:
    strict, lax = compile_contract(Trial), compile_contract(Trial, warn=("label|regex", "forward"))
    assert lax.id != strict.id
    assert lax.to_json()["warn"] == ["forward", "label|regex"]
    rows = {"start": [9, -1], "stop": [1, 1], "kind": ["task", "nap"], "label": ["A", "b"], "level": [0.5, None]}
    judged = check_rows(strict, rows).broken["reasons"].to_list()
    assert judged == [["label|regex", "level|max", "forward"], ["start|min", "kind|dtype"]]
    report = check_rows(lax, rows)
    assert report.broken["reasons"].to_list() == [["level|max"], ["start|min", "kind|dtype"]]
    assert report.warnings == {}
    kept = check_rows(lax, {**rows, "level": [0.1, 0.1], "start": [9, 0], "kind": ["task", "task"]})
    assert kept
    assert kept.broken["warnings"].to_list() == [["label|regex", "forward"]]
    assert kept.warnings == {"forward": 1, "label|regex": 1}


@pytest.mark.parametrize("rule", ["label|nullability", "kind|dtype", "label|min_length", "backward", "label"])
def test_a_rule_that_no_row_can_stay_with_is_no_warning(rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        compile_contract(Trial, warn=(rule,))
    assert caught.value.code == "contract-warn-unknown"
    assert "label|regex" in (caught.value.hint or "")


def test_rows_at_hand_are_judged_by_name_and_by_value() -> None:
    contract = compile_contract(Trial)
    rows = {"label": ["x", 3.5, None], "start": [1.0, 2.0, 3.0], "kind": ["rest"] * 3, "other": [1, 2, 3]}
    report = check_rows(contract, pl.DataFrame(rows, strict=False).with_columns(pl.col("start").cast(pl.Int8)))
    assert report.reasons == {"label|nullability": 1, "label|regex": 1}
    assert not report
    assert "label|regex" in repr(report)
    floats = check_rows(contract, {"label": ["x"], "start": [1.0], "kind": ["rest"]})
    assert floats.reasons == {"start|dtype": 1}
    assert check_rows(contract, {"other": [1]}).reasons == {
        "kind|nullability": 1, "label|nullability": 1, "start|nullability": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        dy.UInt64(),
        dy.List(dy.Int8()),
        dy.Decimal(),
        dy.Duration(),
        dy.Categorical(),
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
