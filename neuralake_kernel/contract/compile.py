"""From a dataframely schema to a `Contract`.

The contract carries every rule that looks at one row at a time. What dataframely can say beyond that
(uniqueness, primary keys, groups, Python functions …) is refused by name: a rule that was declared and not
enforced would be a lie about every row of the table.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel import _bridge
from neuralake_kernel.contract.columns import Column, ColumnType, Contract, Rule, epoch_value, is_column_name
from neuralake_kernel.contract.rules import NotLocalError, compile_rule
from neuralake_kernel.errors import ContractError

if TYPE_CHECKING:
    import dataframely as dy

__all__ = ["compile_contract"]

# Said by the columns themselves, in fields of their own.
_COLUMN_RULES: Final = frozenset({"nullability", "min", "max", "min_exclusive", "max_exclusive", "nan", "inf"})

_TYPES: Final[dict[str, ColumnType]] = {
    "Bool": "bool",
    "Int8": "int8",
    "Int16": "int16",
    "Int32": "int32",
    "Int64": "int64",
    "Integer": "int64",
    "UInt8": "int16",
    "UInt16": "int32",
    "UInt32": "int64",
    "Float32": "float32",
    "Float64": "float64",
    "Float": "float64",
    "String": "string",
    "Enum": "string",
    "Binary": "binary",
    "Date": "date",
    "Datetime": "timestamp_us",
}

# Delta has no unsigned types; the wider signed one keeps the declared range by a bound.
_UNSIGNED_MAX: Final = {"UInt8": 2**8 - 1, "UInt16": 2**16 - 1, "UInt32": 2**32 - 1}


def compile_contract(schema: "type[dy.Schema]", *, warn: Sequence[str] = ()) -> Contract:
    """Compile the contract of a dataframely schema.

    Parameters
    ----------
    schema
        The declaration. Columns keep the names dataframely gives them (``alias`` included).
    warn
        Rules (``column|rule``, or the name of a rule of the schema) whose breach is counted and keeps no row out.

    Returns
    -------
    Contract
        Columns in declared order. Unsigned integers go to the next wider signed type with their
        range as bounds, an Enum to a text of its categories; ``metadata={"physical_unit": "uV"}``
        becomes the column's unit.

    Raises
    ------
    ContractError
        ``contract-empty``, ``contract-column-name``, ``contract-type-unsupported``,
        ``contract-rule-unsupported`` or ``contract-warn-unknown``; the message names the column and the rule.

    Examples
    --------
    >>> import dataframely as dy
    >>> class Packet(dy.Schema):
    ...     counter = dy.Int16(min=0, max=255)
    >>> compile_contract(Packet).columns[0].bounds
    '[0, 255]'
    """
    declared = schema.columns()
    owner = schema.__name__
    if not declared:
        raise ContractError(
            f"Cannot declare {owner}: it has no columns.",
            code="contract-empty",
            hint="add at least one dataframely column to the class.",
            context={"schema": owner},
        )
    columns = tuple(_compile_column(owner, name, column) for name, column in declared.items())
    _refuse_clashes(owner, columns)
    rules = _compile_rules(owner, schema, {column.name: column for column in columns})
    _refuse_warnings(owner, schema, warn)
    contract = Contract(columns=columns, rules=rules, warn=tuple(sorted(set(warn))))
    _bridge.contract_check(json.dumps(contract.to_json()))
    return contract


def _compile_column(owner: str, name: str, column: "dy.Column") -> Column:
    if not is_column_name(name):
        raise ContractError(
            f"Cannot declare {owner}: column name {name!r} is not letters, digits and underscores after a letter.",
            code="contract-column-name",
            hint="names beginning with '_' belong to the workbench; rename the column or set alias=….",
            context={"schema": owner, "column": name},
        )
    declared, type_ = _column_type(owner, name, column)
    bounds = {
        bound: _bound_value(getattr(column, bound, None)) for bound in ("min", "max", "min_exclusive", "max_exclusive")
    }
    if declared in _UNSIGNED_MAX:
        if bounds["min"] is None and bounds["min_exclusive"] is None:
            bounds["min"] = 0
        if bounds["max"] is None and bounds["max_exclusive"] is None:
            bounds["max"] = _UNSIGNED_MAX[declared]
    if type_ in {"float32", "float64"}:
        bounds = {key: None if value is None else float(value) for key, value in bounds.items()}
    metadata = column.metadata or {}
    unit = metadata.get("physical_unit")
    return Column(
        name=name,
        type=type_,
        nullable=column.nullable,
        categories=tuple(map(str, getattr(column, "categories", ()))) if declared == "Enum" else None,
        allow_nan=bool(getattr(column, "allow_nan", False)),
        allow_inf=bool(getattr(column, "allow_inf", False)),
        description=column.description,
        physical_unit=None if unit is None else str(unit),
        **bounds,
    )


def _column_type(owner: str, name: str, column: "dy.Column") -> tuple[str, ColumnType]:
    """The dataframely class that decides, and the contract's type for it."""
    declared = next((cls.__name__ for cls in type(column).__mro__ if cls.__name__ in _TYPES), None)
    if declared is None:
        raise ContractError(
            f"Cannot declare {owner}: column {name!r} is {type(column).__name__}, which tables cannot hold yet.",
            code="contract-type-unsupported",
            hint="use Bool, Int8…Int64, UInt8…UInt32, Float32, Float64, String, Enum, Binary, Date or Datetime.",
            context={"schema": owner, "column": name, "type": type(column).__name__},
        )
    if declared == "Datetime":
        _require_utc_microseconds(owner, name, column)
    return declared, _TYPES[declared]


def _require_utc_microseconds(owner: str, name: str, column: "dy.Column") -> None:
    dtype: Any = column.dtype
    if dtype.time_unit != "us" or dtype.time_zone != "UTC":
        raise ContractError(
            f"Cannot declare {owner}: column {name!r} is Datetime({dtype.time_unit!r},"
            f" {dtype.time_zone!r}); times are UTC microseconds.",
            code="contract-type-unsupported",
            hint='declare dy.Datetime(time_unit="us", time_zone="UTC").',
            context={"schema": owner, "column": name},
        )


def _bound_value(bound: object) -> int | float | None:
    if isinstance(bound, dt.date):
        return epoch_value(bound)
    if isinstance(bound, float) and math.isinf(bound):
        return None
    if bound is None or isinstance(bound, (int, float)):
        return bound
    msg = f"bound {bound!r} of a type dataframely does not document"
    raise TypeError(msg)


def _refuse_clashes(owner: str, columns: tuple[Column, ...]) -> None:
    """Spark and DataFusion fold case, so two names must differ by more than that."""
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(column.name.lower(), column.name)
        if other != column.name:
            raise ContractError(
                f"Cannot declare {owner}: columns {other!r} and {column.name!r} differ only in case.",
                code="contract-column-name",
                hint="SQL engines fold case; rename one of them.",
                context={"schema": owner, "column": column.name},
            )


def _compile_rules(owner: str, schema: "type[dy.Schema]", columns: Mapping[str, Column]) -> tuple[Rule, ...]:
    rules = []
    # dataframely has no public list of its rules; this is the one that `validate` runs.
    for name, rule in schema._validation_rules(with_cast=False).items():  # noqa: SLF001
        column, bar, kind = name.partition("|")
        if bar and kind in _COLUMN_RULES:
            continue
        try:
            test = compile_rule(rule.expr, columns)
        except NotLocalError as reason:
            where = f"rule {kind!r} of column {column!r}" if bar else f"rule {name!r} of the schema"
            if name == "primary_key":
                where = f"rule 'primary_key' of {', '.join(map(repr, schema.primary_key()))}"
            raise ContractError(
                f"Cannot declare {owner}: {where} cannot be enforced while streaming: it uses {reason}.",
                code="contract-rule-unsupported",
                hint="a rule compares columns and constants of one row, with is_null, is_in, is_between,"
                " str.contains and str.len_bytes; drop the rule, or check it in a query.",
                context={"schema": owner, "column": column if bar else None, "rule": kind or name},
            ) from None
        rules.append(Rule(id=name, test=test, text=str(rule.expr)))
    return tuple(rules)


def _refuse_warnings(owner: str, schema: "type[dy.Schema]", warn: Sequence[str]) -> None:
    # Without a value there is nothing to keep, and Delta holds no null in a column that is declared without.
    known = {rule for rule in schema._validation_rules(with_cast=False) if not rule.endswith("|nullability")}  # noqa: SLF001
    for rule in warn:
        if rule not in known:
            raise ContractError(
                f"Cannot declare {owner}: warn names {rule!r}, which is no rule that a row can stay with.",
                code="contract-warn-unknown",
                hint=f"it has {', '.join(sorted(known)) or 'none'}.",
                context={"schema": owner, "rule": rule},
            )
