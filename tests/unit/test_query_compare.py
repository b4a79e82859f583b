"""Two answers are equal or not by one rule, whatever engine gave them."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest

from neuralake_kernel.query import compare_answers

AT = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Series([1, 2], dtype=pl.Int16), pl.Series([1, 2], dtype=pl.Int64)),
        (pl.Series([1, 2], dtype=pl.Int64), pl.Series([1.0, 2.0])),
        (pl.Series([0.5, 1e9]), pl.Series([0.5, 1e9 + 0.5])),
        (pl.Series([0.5, None]), pl.Series([0.5, None], dtype=pl.Float32)),
        (pl.Series([float("nan"), float("inf")]), pl.Series([float("nan"), float("inf")])),
        (pl.Series([Decimal("1.5"), Decimal(2)]), pl.Series([1.5, 2.0])),
        (pl.Series([AT, None]), pl.Series([AT.astimezone(ZoneInfo("Asia/Tokyo")), None])),
        (pl.Series([AT, AT]), pl.Series([AT.replace(tzinfo=None)] * 2, dtype=pl.Datetime("ns"))),
        (pl.Series(["a", "b"]), pl.Series(["a", "b"], dtype=pl.Categorical)),
    ],
)
def test_width_and_zone_are_no_difference(one: pl.Series, other: pl.Series) -> None:
    left = pl.DataFrame({"k": [1, 2], "v": one})
    right = pl.DataFrame({"v": other, "k": [1, 2]}).reverse()
    assert compare_answers(left, right)
    assert compare_answers(right, left, key=["k"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [1, 3]),
        ([1, 2], [1, None]),
        ([1.0, 2.0], [1.0, 2.0 + 1e-8]),
        ([1.0, 0.0], [1.0, float("nan")]),
        ([1.0, float("inf")], [1.0, 1e308]),
        (["a", "b"], ["a", "B"]),
        (["1", "2"], [1, 2]),
        ([AT, AT], [AT, AT + dt.timedelta(microseconds=1)]),
    ],
)
def test_a_value_is_a_difference(one: list[object], other: list[object]) -> None:
    verdict = compare_answers({"k": [1, 2], "v": one}, {"k": [1, 2], "v": other}, key=["k"])
    assert not verdict
    assert verdict.differences[0].startswith("v")


def test_rows_and_columns_are_differences() -> None:
    one = pl.DataFrame({"k": [1, 2]})
    assert "2 and 3 rows" in str(compare_answers(one, pl.DataFrame({"k": [1, 2, 2]})))
    assert "columns" in str(compare_answers(one, pl.DataFrame({"q": [1, 2]})))
    assert not compare_answers(pl.DataFrame({"k": [1, 1, 2]}), pl.DataFrame({"k": [1, 2, 2]}))


def test_a_key_that_names_several_rows_is_told() -> None:
    one = pl.DataFrame({"k": [1, 1], "v": [1.0, 2.0]})
    assert "names several rows" in str(compare_answers(one, one, key=["k"]))
    assert str(compare_answers(one, one)) == "equal: 2 rows"


def test_the_place_of_a_difference_is_told() -> None:
    verdict = compare_answers({"k": ["x", "y"], "v": [1.0, 2.0]}, {"k": ["x", "y"], "v": [1.0, 4.0]})
    assert str(verdict) == "different:\n  v at k='y': 2.0 and 4.0"


def test_whatever_offers_an_arrow_stream_is_taken() -> None:
    table = pa.table({"k": [1, 2]})
    assert compare_answers(table, pl.LazyFrame({"k": [2, 1]}))
