"""From a dataframely rule, which is a Polars expression, to a test that the ingestor judges whole columns by.

Carried are rules that look at one row at a time: columns, lengths of texts and constants compared with each other,
``is_null``, ``is_in``, ``is_between``, ``str.contains``, ``is_nan``, ``is_infinite``, and what joins them. The
expression is read in the form Polars serialises it to; whatever is not known there is refused, so that a rule is
carried whole or not at all.
"""

import datetime as dt
import io
import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.contract.columns import Column, JsonValue, epoch_value

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NotLocalError", "compile_rule"]

_COMPARATORS: Final = {"Eq": "eq", "NotEq": "not_eq", "Lt": "lt", "LtEq": "lt_eq", "Gt": "gt", "GtEq": "gt_eq"}
_JOINS: Final = {"And": "all", "LogicalAnd": "all", "Or": "any", "LogicalOr": "any"}
_HORIZONTAL: Final = {"AllHorizontal": "all", "AnyHorizontal": "any"}
_BETWEEN: Final = {"Both": ("gt_eq", "lt_eq"), "Left": ("gt_eq", "lt"), "Right": ("gt", "lt_eq"), "None": ("gt", "lt")}
_INTEGERS: Final = frozenset({"int8", "int16", "int32", "int64"})

_Node = Mapping[str, Any]
_Test = dict[str, JsonValue]


class NotLocalError(Exception):
    """The expression says something that a test cannot; the text names it."""


def compile_rule(rule: "pl.Expr", columns: Mapping[str, Column]) -> _Test:
    """Compile one rule.

    Parameters
    ----------
    rule
        A boolean expression over the columns of one row.
    columns
        Those there are, by name.

    Raises
    ------
    NotLocalError
        It looks beyond its row, or uses what tests do not have.
    """
    from polars.exceptions import ComputeError

    try:
        # The binary form is for Polars alone; the text form is what can be walked.
        text = rule.meta.serialize(format="json")
    except ComputeError:
        raise NotLocalError("a Python function") from None
    return _Walk(columns).test(json.loads(text))


@dataclass(frozen=True, slots=True)
class _Constant:
    value: object
    #: Whether Polars would bring it to the type it is compared with.
    adapts: bool


@dataclass(frozen=True, slots=True)
class _Walk:
    columns: Mapping[str, Column]

    def test(self, node: _Node) -> _Test:
        kind, inner = _only(node)
        if kind == "Alias":
            return self.test(inner[0])
        if kind == "Column":
            return {"is_true": self.column(node).name}
        if kind == "BinaryExpr":
            if inner["op"] in _JOINS:
                return {_JOINS[inner["op"]]: [self.test(inner["left"]), self.test(inner["right"])]}
            if inner["op"] in _COMPARATORS:
                return self.comparison(_COMPARATORS[inner["op"]], inner["left"], inner["right"])
        if kind == "Function":
            return self.function(inner["function"], inner["input"])
        raise NotLocalError(_described(node))

    def function(self, function: Any, inputs: list[_Node]) -> _Test:  # noqa: ANN401 - a name, or a name with options
        family, name = _only(function) if isinstance(function, dict) else (function, None)
        name, options = _only(name) if isinstance(name, dict) else (name, {})
        simple: dict[str, Callable[[], _Test]] = {
            "Not": lambda: {"not": self.test(inputs[0])},
            "IsNull": lambda: {"is_null": self.column(inputs[0]).name},
            "IsNotNull": lambda: {"not": {"is_null": self.column(inputs[0]).name}},
            "IsNan": lambda: {"is_nan": self.column(inputs[0]).name},
            "IsNotNan": lambda: {"not": {"is_nan": self.column(inputs[0]).name}},
            "IsInfinite": lambda: {"is_infinite": self.column(inputs[0]).name},
        }
        if family == "Boolean" and name in simple:
            return simple[name]()
        if family == "Boolean" and name in _HORIZONTAL:
            return {_HORIZONTAL[name]: [self.test(each) for each in inputs]}
        if family == "Boolean" and name == "IsBetween":
            low, high = _BETWEEN[options["closed"]]
            return {"all": [self.comparison(low, inputs[0], inputs[1]), self.comparison(high, inputs[0], inputs[2])]}
        if family == "Boolean" and name == "IsIn" and not options["nulls_equal"]:
            return self.is_in(inputs[0], inputs[1])
        if family == "StringExpr" and name == "Contains" and not options["literal"]:
            return self.matches(inputs[0], inputs[1])
        raise NotLocalError(f"the function {name or family}")

    def comparison(self, op: str, left: _Node, right: _Node) -> _Test:
        left_term, right_term = self.term(left, other=right), self.term(right, other=left)
        ordered = {name for term in (left_term, right_term) if isinstance(name := term.get("column"), str)}
        if op not in {"eq", "not_eq"} and any(self.columns[name].categories is not None for name in ordered):
            raise NotLocalError("an order of categories")
        return {"compare": {"op": op, "left": left_term, "right": right_term}}

    def term(self, node: _Node, *, other: _Node) -> dict[str, JsonValue]:
        kind, inner = _only(node)
        if kind == "Column":
            return {"column": self.column(node).name}
        if kind == "Function" and inner["function"] == {"StringExpr": "LenBytes"}:
            return {"length": self.text_column(inner["input"][0]).name}
        constant = _constant(node)
        if constant.adapts and isinstance(constant.value, (int, float)) and self.is_single(other):
            return _term(_as_single(constant.value))
        return _term(constant.value)

    def is_in(self, column: _Node, values: _Node) -> _Test:
        found = self.column(column)
        constant = _constant(values).value
        if not hasattr(constant, "to_list"):
            raise NotLocalError("is_in of something that is no list of constants")
        members = constant.to_list()
        wanted: type = str if found.type == "string" else int
        if found.type not in _INTEGERS | {"string"} or not all(type(member) is wanted for member in members):
            raise NotLocalError(f"is_in of a {found.type} column and {members[:3]}")
        return {"is_in": {"column": found.name, "values": members}}

    def matches(self, column: _Node, pattern: _Node) -> _Test:
        text = _constant(pattern).value
        if not isinstance(text, str):
            raise NotLocalError("a pattern that is no constant")
        return {"matches": {"column": self.text_column(column).name, "pattern": text}}

    def column(self, node: _Node) -> Column:
        kind, name = _only(node)
        if kind != "Column" or name not in self.columns:
            raise NotLocalError(f"{_described(node)} where a column of the table belongs")
        return self.columns[name]

    def text_column(self, node: _Node) -> Column:
        found = self.column(node)
        if found.type != "string" or found.categories is not None:
            raise NotLocalError(f"column {found.name!r}, which is no text")
        return found

    def is_single(self, node: _Node) -> bool:
        kind, name = _only(node)
        return kind == "Column" and name in self.columns and self.columns[name].type == "float32"


def _only(node: Any) -> tuple[str, Any]:  # noqa: ANN401 - what json.loads gave
    if isinstance(node, str):
        raise NotLocalError(node)
    ((kind, inner),) = node.items()
    return kind, inner


def _described(node: _Node) -> str:
    kind, inner = _only(node)
    if kind == "BinaryExpr":
        return f"the operator {inner['op']}"
    if kind == "Function":
        function = inner["function"]
        return f"the function {function if isinstance(function, str) else _only(function)[0]}"
    return kind


def _constant(node: _Node) -> _Constant:
    """Let Polars itself say what a constant is: literals, their casts, and dates made of literals."""
    import polars as pl

    if not _is_constant(node):
        raise NotLocalError(_described(node))
    expression = pl.Expr.deserialize(io.BytesIO(json.dumps(node).encode()), format="json")
    series = pl.select(expression).to_series()
    if isinstance(series.dtype, pl.Datetime) and (series.dtype.time_unit == "ns" or series.dtype.time_zone != "UTC"):
        raise NotLocalError(f"a constant of type {series.dtype}; times are UTC microseconds")
    return _Constant(series.item(), adapts="Dyn" in node.get("Literal", ()))


def _is_constant(node: _Node) -> bool:
    kind, inner = _only(node)
    if kind == "Cast":
        return _is_constant(inner["expr"])
    if kind == "Function":
        is_datetime = isinstance(inner["function"], dict) and "DatetimeFunction" in str(inner["function"])
        return is_datetime and all(_is_constant(each) for each in inner["input"])
    return kind == "Literal"


def _term(value: object) -> dict[str, JsonValue]:
    if isinstance(value, bool):
        return {"flag": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"integer": value}
    if isinstance(value, float) and math.isfinite(value):
        return {"real": value}
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, dt.datetime):
        return {"timestamp_us": epoch_value(value)}
    if isinstance(value, dt.date):
        return {"date": epoch_value(value)}
    raise NotLocalError(f"the constant {value!r}")


def _as_single(value: float) -> float:
    """Round a constant as Polars does when a Float32 column meets it."""
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        raise NotLocalError(f"the constant {value!r}, which no Float32 can be") from None
    return float(rounded)
