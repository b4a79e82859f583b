"""Fields of messages that no column takes, and the lines that would declare them.

The worker counts them and finds the type that takes every value it saw; the lines are written here. Nothing is declared
by the data: a person puts the line into the class, and the next start of the job adds the column.
"""

import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from neuralake_kernel.contract import ColumnType, is_column_name

__all__ = ["Proposal", "Proposals", "UnknownField", "UnknownFields"]

_DECLARED: Final[Mapping[ColumnType, str]] = {
    "bool": "dy.Bool(nullable=True{alias})",
    "int64": "dy.Int64(nullable=True{alias})",
    "float64": "dy.Float64(nullable=True{alias})",
    "string": "dy.String(nullable=True{alias})",
    "binary": "dy.Binary(nullable=True{alias})",
    "date": "dy.Date(nullable=True{alias})",
    "timestamp_us": 'dy.Datetime(nullable=True, time_unit="us", time_zone="UTC"{alias})',
}


@dataclass(frozen=True, slots=True)
class UnknownField:
    """One field of messages that no column takes.

    Parameters
    ----------
    count
        How often it occurred.
    kinds
        What its values were: ``null``, ``bool``, ``integer``, ``real``, ``date``, ``time``, ``text``, ``binary``,
        ``nested``, ``other``.
    examples
        Different values as they stood in messages, three at most, each cut to 60 characters.
    type
        Type of a column that takes every value so far; None where there is no such type.
    """

    count: int = 0
    kinds: Sequence[str] = ()
    examples: Sequence[str] = ()
    type: ColumnType | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build the value from a worker's words; unknown keys of a newer worker are ignored."""
        known = {name: value[name] for name in ("count", "type") if name in value}
        return cls(**known, kinds=tuple(value.get("kinds", ())), examples=tuple(value.get("examples", ())))

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON."""
        return {
            "count": self.count,
            "kinds": list(self.kinds),
            "examples": list(self.examples),
            "type": self.type,
        }


@dataclass(frozen=True, slots=True)
class UnknownFields:
    """Fields of messages that no column takes, 32 names at most: the first in the alphabet.

    Parameters
    ----------
    fields
        By name.
    others
        How often fields occurred that are not among them.
    """

    fields: Mapping[str, UnknownField] = field(default_factory=dict)
    others: int = 0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build the value from a worker's words."""
        fields = {name: UnknownField.from_json(told) for name, told in value.get("fields", {}).items()}
        return cls(fields=fields, others=value.get("others", 0))

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON."""
        return {"fields": {name: told.to_json() for name, told in self.fields.items()}, "others": self.others}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A field of messages that no column takes, and what would.

    Parameters
    ----------
    field
        Its name.
    count
        How often it occurred since the worker began.
    examples
        Values as they stood in messages.
    declaration
        The line to put into the class; empty where no column can take the field.
    problem
        Why none can.
    """

    field: str
    count: int
    examples: tuple[str, ...]
    declaration: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """The line, and behind ``#`` what speaks for it; without a line all of it is behind ``#``."""
        told = f"{self.count:,} x" + (f": {', '.join(self.examples)}" if self.examples else "")
        if self.declaration:
            return f"{self.declaration}  # {told}"
        return f"# {self.field}: {self.problem} ({told})"


class Proposals(Sequence[Proposal]):
    """What a job's messages hold beyond its declaration. ``job.proposals()`` makes it.

    Its text can be put into the class as it stands.

    Parameters
    ----------
    unknown
        What the worker has counted.
    columns
        Names that are declared.
    """

    def __init__(self, unknown: UnknownFields, columns: Iterable[str]) -> None:
        declared = {name.lower(): name for name in columns}
        self.others = unknown.others
        self._proposals = tuple(_propose(name, told, declared) for name, told in unknown.fields.items())

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - an index or a slice
        return self._proposals[at]

    def __len__(self) -> int:
        return len(self._proposals)

    def __iter__(self) -> Iterator[Proposal]:
        return iter(self._proposals)

    def __repr__(self) -> str:
        """One line for each field."""
        lines = [str(proposal) for proposal in self]
        if self.others:
            lines.append(f"# and {self.others:,} x fields of other names")
        return "\n".join(lines) or "# every field of the messages has its column"


def _propose(name: str, told: UnknownField, declared: Mapping[str, str]) -> Proposal:
    def without(problem: str) -> Proposal:
        return Proposal(name, told.count, tuple(told.examples), problem=problem)

    if not is_column_name(name):
        return without("no column can have this name")
    if name.lower() in declared:
        return without(f"differs from the column {declared[name.lower()]} in case alone")
    if told.type is None:
        return without(_why_no_type(told.kinds))
    line = _DECLARED[told.type]
    if _is_taken(name):
        return Proposal(name, told.count, tuple(told.examples), f"{name}_ = " + line.format(alias=f', alias="{name}"'))
    return Proposal(name, told.count, tuple(told.examples), f"{name} = " + line.format(alias=""))


def _why_no_type(kinds: Sequence[str]) -> str:
    held = [kind for kind in kinds if kind != "null"]
    if not held:
        return "null and nothing else, which tells no type"
    if "nested" in held:
        return "arrays and objects have no column"
    if "other" in held:
        return "no column is of its type"
    return f"{' and '.join(held)} have no column in common"


def _is_taken(name: str) -> bool:
    """Whether a class body cannot use the name: Python's words, and what a schema is asked by."""
    import dataframely as dy

    return keyword.iskeyword(name) or hasattr(dy.Schema, name)
