"""Python and Rust give the same verdict with the same reasons: dataframely beside the ingestor's rule plan."""

import datetime as dt
import random
import string
from collections import Counter
from collections.abc import Callable
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from neuralake_kernel.contract import check_rows, compile_contract

SCHEMAS = 50
ROWS = 200
SEEN: Counter[str] = Counter()

FLOATS = [0.0, -0.0, 0.1, 0.3, -1.5, 1e30, float("nan"), float("inf"), float("-inf")]
TEXTS = ["", "a", "ab", "é", "eeg", "eeg\n", "EEG", "0x1f", "a" * 30]
PATTERNS = ["^e", "g$", "[a-z]+", r"\d", "(?i)^eeg$", "é|x", r"^\p{Lu}+$", ""]
EPOCH = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def moment(dice: random.Random) -> dt.datetime:
    return EPOCH + dt.timedelta(microseconds=dice.randrange(5))


def integer(dice: random.Random, bits: int) -> int:
    return dice.choice([dice.randrange(-3, 4), 2 ** (bits - 1) - 1, -(2 ** (bits - 1))])


Make = Callable[[random.Random], Any]
Kind = tuple[Callable[[random.Random], dy.Column], Make, pl.DataType]


def bounds(dice: random.Random, make: Make) -> dict[str, Any]:
    side = dice.choice(["min", "max", "min_exclusive", "max_exclusive", ""])
    return {side: make(dice)} if side else {}


def integers(bits: int) -> Kind:
    def column(dice: random.Random) -> dy.Column:
        kind = {8: dy.Int8, 16: dy.Int16, 32: dy.Int32, 64: dy.Int64}[bits]
        given = {"is_in": [-1, 0, 2]} if dice.random() < 0.3 else bounds(dice, lambda dice: dice.randrange(-3, 4))
        return kind(nullable=dice.random() < 0.5, **given)

    return column, lambda dice: integer(dice, bits), getattr(pl, f"Int{bits}")()


def floats(bits: int) -> Kind:
    def column(dice: random.Random) -> dy.Column:
        kind = {32: dy.Float32, 64: dy.Float64}[bits]
        return kind(
            nullable=dice.random() < 0.5,
            allow_nan=dice.random() < 0.5,
            allow_inf=dice.random() < 0.5,
            **bounds(dice, lambda dice: dice.choice(FLOATS[:5])),
        )

    return column, lambda dice: dice.choice(FLOATS), getattr(pl, f"Float{bits}")()


def texts(dice: random.Random) -> dy.Column:
    given: dict[str, Any] = {}
    if dice.random() < 0.4:
        given["regex"] = dice.choice(PATTERNS)
    if dice.random() < 0.4:
        given["min_length"] = dice.randrange(4)
    if dice.random() < 0.4:
        given["max_length"] = dice.randrange(1, 5)
    if dice.random() < 0.3:
        given["check"] = lambda column: column.is_in(["a", "eeg", ""])
    return dy.String(nullable=dice.random() < 0.5, **given)


def times(dice: random.Random) -> dy.Column:
    return dy.Datetime(time_unit="us", time_zone="UTC", nullable=dice.random() < 0.5, **bounds(dice, moment))


def days(dice: random.Random) -> dy.Column:
    return dy.Date(nullable=dice.random() < 0.5, **bounds(dice, day))


def day(dice: random.Random) -> dt.date:
    return EPOCH.date() + dt.timedelta(days=dice.randrange(-2, 3))


KINDS: list[Kind] = [
    *(integers(bits) for bits in (8, 16, 32, 64)),
    *(floats(bits) for bits in (32, 64)),
    (texts, lambda dice: dice.choice(TEXTS), pl.String()),
    (lambda dice: dy.Bool(nullable=dice.random() < 0.5), lambda dice: dice.random() < 0.5, pl.Boolean()),
    (times, moment, pl.Datetime("us", "UTC")),
    (days, day, pl.Date()),
]


def comparison(dice: random.Random, columns: list[tuple[str, Kind]]) -> pl.Expr:
    """Compare a column with another of its kind, or with a constant."""
    name, (_, make, dtype) = dice.choice(columns)
    left = pl.col(name)
    alike = [other for other, (_, _, found) in columns if found == dtype or (found.is_numeric() and dtype.is_numeric())]
    if dice.random() < 0.3 and dtype == pl.Boolean():
        return left
    if dice.random() < 0.2:
        return dice.choice([left.is_null(), left.is_not_null()])
    if dice.random() < 0.2 and dtype.is_float():
        return dice.choice([left.is_nan(), left.is_infinite(), left.is_not_nan()])
    if dice.random() < 0.2 and dtype == pl.String():
        return dice.choice([left.str.len_bytes() > 2, left.str.contains(dice.choice(PATTERNS))])
    if dice.random() < 0.2 and dtype.is_integer():
        return dice.choice([left.is_in([0, 1]), left.is_between(-1, 2, closed=dice.choice(["left", "both", "none"]))])
    right = pl.col(dice.choice(alike)) if dice.random() < 0.5 else constant(dice, make)
    return dice.choice([left < right, left <= right, left > right, left >= right, left == right, left != right])


def constant(dice: random.Random, make: Make) -> Any:
    value = make(dice)
    while isinstance(value, float) and not abs(value) < 1e30:
        value = make(dice)
    return value


def rule(dice: random.Random, columns: list[tuple[str, Kind]], depth: int = 0) -> pl.Expr:
    shape = dice.choice(["one", "and", "or", "not"]) if depth < 3 else "one"
    if shape == "one":
        return comparison(dice, columns)
    if shape == "not":
        return ~rule(dice, columns, depth + 1)
    left, right = rule(dice, columns, depth + 1), rule(dice, columns, depth + 1)
    return left & right if shape == "and" else left | right


def declare(seed: int) -> tuple[type[dy.Schema], pl.DataFrame]:
    """Make a schema and rows that hold and break it."""
    dice = random.Random(seed)
    columns = [(string.ascii_lowercase[number], dice.choice(KINDS)) for number in range(dice.randrange(3, 7))]
    body: dict[str, Any] = {name: declared(dice) for name, (declared, _, _) in columns}
    for number in range(dice.randrange(3)):
        made = rule(dice, columns)
        body[f"rule_{number}"] = dy.rule()(lambda cls, made=made: made)
    body["n"] = dy.Int64()
    rows = {
        name: pl.Series([None if dice.random() < 0.1 else make(dice) for _ in range(ROWS)], dtype=dtype)
        for name, (_, make, dtype) in columns
    }
    return type(f"Schema{seed}", (dy.Schema,), body), pl.DataFrame({**rows, "n": range(ROWS)})


def by_dataframely(schema: type[dy.Schema], rows: pl.DataFrame) -> dict[int, list[str]]:
    failed = schema.filter(rows).failure.details()
    rules = [name for name in failed.columns if name in schema._validation_rules(with_cast=False)]
    return {
        row["n"]: sorted(name for name in rules if row[name] == "invalid")
        for row in failed.iter_rows(named=True)
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(SCHEMAS))
def test_a_schema_and_its_contract_agree_on_every_row(seed: int) -> None:
    schema, rows = declare(seed)
    report = check_rows(compile_contract(schema), rows)
    ours = {row: sorted(reasons) for row, reasons in report.broken.select("row", "reasons").iter_rows()}
    theirs = by_dataframely(schema, rows)
    SEEN.update(reason.partition("|")[2] or "rule" for reasons in theirs.values() for reason in reasons)
    SEEN["held"] += ROWS - len(theirs)
    assert ours == theirs, schema


def test_every_kind_of_rule_was_broken_and_held() -> None:
    if sum(SEEN.values()) < ROWS:
        pytest.skip("needs the verdicts of all the schemas above")
    kinds = {
        *("nullability", "min", "max", "min_exclusive", "max_exclusive", "is_in", "nan", "inf"),
        *("regex", "min_length", "max_length", "check", "rule", "held"),
    }
    assert {kind for kind in kinds if SEEN[kind] == 0} == set()
