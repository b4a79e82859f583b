"""The contract as a value: frozen, comparable, the same in Python, in Rust and on the wire."""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

__all__ = [
    "IDENTITY_COLUMNS",
    "Column",
    "ColumnType",
    "Contract",
    "JsonValue",
    "Rule",
    "epoch_value",
    "is_column_name",
    "is_identity_column",
]

JsonValue = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None


ColumnType = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "date",
    "timestamp_us",
]

#: Columns the ingestor adds to every row; a declaration may not use them.
IDENTITY_COLUMNS: Final = ("_source", "_partition", "_offset", "_row", "_ingest_time")


_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_column_name(name: str) -> bool:
    """Whether a declared column may have this name: letters, digits and underscores after a letter."""
    return _NAME.fullmatch(name) is not None


def is_identity_column(name: str) -> bool:
    """Whether a column belongs to the law, not to the declaration.

    Parameters
    ----------
    name
        A column name of a stored table.

    Returns
    -------
    bool
        True for every name that begins with an underscore.

    Examples
    --------
    >>> is_identity_column("_offset"), is_identity_column("ch1_uv")
    (True, False)
    """
    return name.startswith("_")


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY: Final = dt.timedelta(days=1)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def epoch_value(moment: dt.date) -> int:
    """Microseconds since the epoch of a time (without a zone: UTC), days since the epoch of a date."""
    if isinstance(moment, dt.datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return (aware - _EPOCH) // _MICROSECOND
    return (moment - _EPOCH.date()) // _DAY


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    Bounds are numbers in the column's own scale: microseconds since the epoch (UTC) for
    ``timestamp_us``, days since the epoch for ``date``; ``None`` means unbounded. ``min`` and
    ``max`` are inclusive. ``categories`` are the only texts of an enumeration.
    """

    name: str
    type: ColumnType
    nullable: bool
    min: int | float | None = None
    max: int | float | None = None
    min_exclusive: int | float | None = None
    max_exclusive: int | float | None = None
    categories: tuple[str, ...] | None = None
    allow_nan: bool = False
    allow_inf: bool = False
    description: str | None = field(default=None, compare=False)
    physical_unit: str | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, object]:
        """What rows are judged by; description and unit judge nothing and stay out.

        Returns
        -------
        dict
            ``name``, ``type``, ``nullable`` and the four bounds, ``None`` where there is none; ``categories``,
            ``allow_nan`` and ``allow_inf`` where they are given.
        """
        value: dict[str, object] = {
            "name": self.name,
            "type": self.type,
            "nullable": self.nullable,
            "min": self.min,
            "max": self.max,
            "min_exclusive": self.min_exclusive,
            "max_exclusive": self.max_exclusive,
        }
        if self.categories is not None:
            value["categories"] = list(self.categories)
        return value | {name: True for name in ("allow_nan", "allow_inf") if getattr(self, name)}

    @property
    def bounds(self) -> str:
        """The bounds as an interval, ``[0, 255]`` or ``(0, ∞)``; empty when there are none."""
        given = (self.min, self.max, self.min_exclusive, self.max_exclusive)
        if all(bound is None for bound in given):
            return ""
        low = f"[{self.min}" if self.min is not None else "(-∞"
        if self.min_exclusive is not None:
            low = f"({self.min_exclusive}"
        high = f"{self.max}]" if self.max is not None else "∞)"
        if self.max_exclusive is not None:
            high = f"{self.max_exclusive})"
        return f"{low}, {high}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule beyond types and bounds.

    ``id`` is ``column|rule`` for one of a column, else the name of the rule; ``test`` is what a row must hold, as the
    ingestor reads it; ``text`` is the same for people.
    """

    id: str
    test: Mapping[str, JsonValue]
    text: str = field(default="", compare=False)

    def to_json(self) -> dict[str, object]:
        """What rows are judged by; the text judges nothing and stays out."""
        return {"id": self.id, "test": dict(self.test)}


@dataclass(frozen=True)
class Contract:
    """The columns a row must have and the rules it must hold, with a stable id.

    Two contracts that judge alike by what they say have the same id, whatever their descriptions and wherever they
    were compiled. A row that breaks a rule of ``warn`` stays, and is counted.
    """

    columns: tuple[Column, ...]
    version: int = 1
    rules: tuple[Rule, ...] = ()
    warn: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON of what is judged."""
        canonical = json.dumps(
            self._judged(),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=True,
            allow_nan=False,
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in declared order."""
        return tuple(column.name for column in self.columns)

    def to_json(self) -> dict[str, object]:
        """The contract as the ingestor reads it.

        Returns
        -------
        dict
            ``id``, ``version`` and ``columns`` (see `Column.to_json`); ``rules`` and ``warn`` where there are any.
        """
        return {"id": self.id, **self._judged()}

    def _judged(self) -> dict[str, object]:
        value: dict[str, object] = {
            "version": self.version,
            "columns": [column.to_json() for column in self.columns],
        }
        if self.rules:
            value["rules"] = [rule.to_json() for rule in self.rules]
        if self.warn:
            value["warn"] = list(self.warn)
        return value
