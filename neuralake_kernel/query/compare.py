"""Whether two engines gave the same answer, by one rule for all of them.

Answers are compared as sets of rows under a key, columns by name: integers as 64 bit, floats and decimals
as doubles to a relative 1e-9, times as UTC microseconds. An engine's own widths, orders and time zones are
no difference; a row, a value or a null is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AnswerComparison", "compare_answers"]

_DIFFERENCES_SHOWN: Final = 10
_RELATIVE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class AnswerComparison:
    """The verdict, and the first differences where there are some."""

    is_equal: bool
    rows: int
    differences: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.is_equal

    def __str__(self) -> str:
        if self.is_equal:
            return f"equal: {self.rows:,} rows"
        return "different:\n" + "\n".join(f"  {difference}" for difference in self.differences)


def compare_answers(
    left: Any,  # noqa: ANN401  (whatever offers an Arrow stream)
    right: Any,  # noqa: ANN401  (whatever offers an Arrow stream)
    *,
    key: Sequence[str] | None = None,
    relative: float = _RELATIVE,
) -> AnswerComparison:
    """Compare two answers to the same question at the same versions.

    Parameters
    ----------
    left, right
        A `Result`, a Polars frame or anything with ``__arrow_c_stream__``.
    key
        Columns that identify a row; without it every column that is no float.
    relative
        Largest difference of two floats, relative to the larger one (≥ 0).

    Returns
    -------
    AnswerComparison
        True in a condition when the answers are equal.

    Examples
    --------
    >>> import polars as pl
    >>> one = pl.DataFrame({"k": [1, 2], "v": [0.1, 0.2]})
    >>> other = pl.DataFrame({"v": [0.2, 0.1 + 1e-12], "k": [2, 1]})
    >>> bool(compare_answers(one, other))
    True
    """
    one, other = _widened(left), _widened(right)
    if set(one.columns) != set(other.columns):
        return AnswerComparison(
            is_equal=False,
            rows=one.height,
            differences=(f"columns {sorted(one.columns)} and {sorted(other.columns)}",),
        )
    if one.height != other.height:
        return AnswerComparison(
            is_equal=False, rows=one.height, differences=(f"{one.height:,} and {other.height:,} rows",)
        )
    one, other = _met(one, other)
    keys = list(key) if key is not None else [n for n, t in one.schema.items() if not t.is_float()]
    found = _ambiguous_keys(one, keys) if key is not None else []
    # Floats come last: two that are nearly equal may sort differently, whole keys may not.
    order = keys + [name for name in one.columns if name not in keys]
    one, other = (frame.select(order).sort(order, nulls_last=True) for frame in (one, other))
    for name in order:
        found += _column_differences(name, one, other, keys, relative)
    return AnswerComparison(is_equal=not found, rows=one.height, differences=tuple(found[:_DIFFERENCES_SHOWN]))


def _widened(answer: Any) -> "pl.DataFrame":  # noqa: ANN401  (see `compare_answers`)
    import polars as pl

    frame = answer.collect() if isinstance(answer, pl.LazyFrame) else pl.DataFrame(answer)
    casts = []
    for name, kind in frame.schema.items():
        column = pl.col(name)
        if kind.is_integer():
            casts.append(column.cast(pl.Int64))
        elif kind.is_float() or kind.is_decimal():
            casts.append(column.cast(pl.Float64))
        elif isinstance(kind, pl.Datetime):
            utc = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
            casts.append(utc.dt.cast_time_unit("us"))
        elif isinstance(kind, (pl.Categorical, pl.Enum)):
            casts.append(column.cast(pl.String))
    return frame.with_columns(casts)


def _met(one: "pl.DataFrame", other: "pl.DataFrame") -> "tuple[pl.DataFrame, pl.DataFrame]":
    """Where one engine gave an integer and the other a float, both become doubles."""
    import polars as pl

    other = other.select(one.columns)
    floats = [n for n in one.columns if one.schema[n].is_float() != other.schema[n].is_float()]
    numeric = [n for n in floats if one.schema[n].is_numeric() and other.schema[n].is_numeric()]
    casts = [pl.col(name).cast(pl.Float64) for name in numeric]
    return one.with_columns(casts), other.with_columns(casts)


def _ambiguous_keys(frame: "pl.DataFrame", keys: list[str]) -> list[str]:
    if not keys or not frame.select(keys).is_duplicated().any():
        return []
    return [f"key {keys} names several rows"]


def _column_differences(
    name: str, one: "pl.DataFrame", other: "pl.DataFrame", keys: list[str], relative: float
) -> list[str]:
    import polars as pl

    if one.schema[name] != other.schema[name]:
        return [f"{name}: {one.schema[name]} and {other.schema[name]}"]
    pair = pl.DataFrame([one[name].alias("one"), other[name].alias("other")])
    left, right = pl.col("one"), pl.col("other")
    # Polars holds NaN equal to NaN, as wanted here.
    is_same = left.eq_missing(right)
    if one.schema[name].is_float():
        largest = pl.max_horizontal(left.abs(), right.abs())
        is_near = ((left - right).abs() <= relative * largest) & left.is_finite() & right.is_finite()
        is_same = is_same | is_near.fill_null(value=False)
    differs = pair.select((~is_same).alias("differs")).to_series()
    places = differs.arg_true().head(_DIFFERENCES_SHOWN).to_list()
    return [f"{name}{_where(one, keys, at)}: {pair['one'][at]!r} and {pair['other'][at]!r}" for at in places]


def _where(frame: "pl.DataFrame", keys: list[str], at: int) -> str:
    return " at " + ", ".join(f"{key}={frame[key][at]!r}" for key in keys) if keys else ""
