"""The contract as a value: frozen, comparable, the same in Python, in Rust and on the wire."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

__all__ = ["IDENTITY_COLUMNS", "Column", "ColumnType", "Contract", "is_identity_column"]

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


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column.

    Bounds are numbers in the column's own scale: microseconds since the epoch (UTC) for
    ``timestamp_us``, days since the epoch for ``date``; ``None`` means unbounded. ``min`` and
    ``max`` are inclusive.
    """

    name: str
    type: ColumnType
    nullable: bool
    min: int | float | None = None
    max: int | float | None = None
    min_exclusive: int | float | None = None
    max_exclusive: int | float | None = None
    description: str | None = field(default=None, compare=False)
    physical_unit: str | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, object]:
        """What rows are judged by; description and unit judge nothing and stay out.

        Returns
        -------
        dict
            ``name``, ``type``, ``nullable`` and the four bounds, ``None`` where there is none.
        """
        return {
            "name": self.name,
            "type": self.type,
            "nullable": self.nullable,
            "min": self.min,
            "max": self.max,
            "min_exclusive": self.min_exclusive,
            "max_exclusive": self.max_exclusive,
        }

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


@dataclass(frozen=True)
class Contract:
    """The columns a row must have, with a stable id.

    Two contracts with the same columns, types, nullability and bounds have the same id, whatever
    their descriptions and wherever they were compiled.
    """

    columns: tuple[Column, ...]
    version: int = 1

    @cached_property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON of version and columns."""
        canonical = json.dumps(
            {"version": self.version, "columns": [column.to_json() for column in self.columns]},
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
            ``id``, ``version`` and ``columns`` (see `Column.to_json`).
        """
        return {
            "id": self.id,
            "version": self.version,
            "columns": [column.to_json() for column in self.columns],
        }
