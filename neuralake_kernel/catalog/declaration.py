"""Code as catalog: a decorated schema is the one place that declares a table.

`table` records name, topic, description and contract of a dataframely schema and gives the class back
unchanged. Declaring starts nothing and touches no store. Running the same cell again replaces the
declaration; two different classes may not share a name.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from neuralake_kernel.catalog.signal_tables import TABLE_TEXTS
from neuralake_kernel.contract import Contract, Encoding, RowEncoding, check_row_encoding, compile_contract
from neuralake_kernel.errors import CatalogError, UsageError

if TYPE_CHECKING:
    import dataframely as dy

__all__ = [
    "DECLARATIONS",
    "QUARANTINE_SUFFIX",
    "Registry",
    "TableDeclaration",
    "declaration_of",
    "signals",
    "table",
]

#: A table's quarantine is stored beside it, under its name and this suffix.
QUARANTINE_SUFFIX: Final = "__quarantine"

#: Each topic of a job has a client and a reading thread of its own.
_MAX_TOPICS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_WORD_STARTS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_ClassT = TypeVar("_ClassT", bound=type)
_SchemaT = TypeVar("_SchemaT", bound="dy.Schema")


@dataclass(frozen=True, slots=True)
class TableDeclaration:
    """What one decorated class says about its table."""

    name: str
    topics: tuple[str, ...]
    description: str
    schema: type = field(repr=False)
    contract: Contract = field(repr=False)
    encoding: Encoding = "json"

    @property
    def topic(self) -> str:
        """The first of its topics: where it is written to unless another is named."""
        return self.topics[0]

    @property
    def quarantine(self) -> str:
        """Name of the table that keeps what breaks the contract."""
        return self.name + QUARANTINE_SUFFIX

    @property
    def identity(self) -> str:
        """Module and qualified name of the class, the same after a cell runs again."""
        return f"{self.schema.__module__}.{self.schema.__qualname__}"


class Registry:
    """The declarations of one process, by table name and by class.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, TableDeclaration] = {}
        self._by_schema: dict[type, TableDeclaration] = {}

    def add(self, declaration: TableDeclaration) -> None:
        """Record a declaration; the same class again replaces its former one.

        Parameters
        ----------
        declaration
            What `table` made of a class.

        Raises
        ------
        CatalogError
            ``table-name-taken``: another class already declares this table.
        """
        with self._lock:
            former = self._by_name.get(declaration.name)
            if former is not None and former.identity != declaration.identity:
                raise CatalogError(
                    f"Cannot declare table {declaration.name!r} by {declaration.identity}:"
                    f" {former.identity} declares it already.",
                    code="table-name-taken",
                    hint="a table has one declaration; rename the class or pass name=….",
                    context={"table": declaration.name},
                )
            if former is not None:
                self._by_schema.pop(former.schema, None)
            self._by_name[declaration.name] = declaration
            self._by_schema[declaration.schema] = declaration

    def by_schema(self, schema: type) -> TableDeclaration | None:
        """Give the declaration of a class, or ``None``."""
        return self._by_schema.get(schema)

    def __iter__(self) -> Iterator[TableDeclaration]:
        with self._lock:
            return iter(sorted(self._by_name.values(), key=lambda declared: declared.name))

    def __len__(self) -> int:
        return len(self._by_name)


#: Where `table` records unless told otherwise.
DECLARATIONS: Final = Registry()


def table(  # noqa: PLR0913 - each is a choice of the person who declares
    *,
    topic: str | None = None,
    topics: Sequence[str] | None = None,
    description: str = "",
    name: str | None = None,
    encoding: RowEncoding = "json",
    warn: Sequence[str] = (),
    registry: Registry | None = None,
) -> "Callable[[type[_SchemaT]], type[_SchemaT]]":
    """Declare the table of a dataframely schema.

    Parameters
    ----------
    topic
        Where its messages come from; a Kafka topic name.
    topics
        The same where there are several. They share contract and encoding; the first is the one that is written to
        unless another is named.
    description
        One line for the catalog.
    name
        Name of the table in the lake and in SQL; without it the class name in snake case.
    encoding
        What a message of the topic holds: ``json`` (lines of JSON) or ``arrow`` (one Arrow IPC stream of many rows).
    warn
        Rules whose breach is counted and keeps no row out: ``column|rule``, or the name of a rule of the schema.
    registry
        Where to record; without it the one of this process.

    Returns
    -------
    Callable
        A class decorator that gives the class back unchanged.

    Raises
    ------
    UsageError
        ``not-a-schema``, ``table-name``, ``topic-name``, ``topics-invalid``, ``encoding-unknown`` or
        ``encoding-not-yet``.
    ContractError
        The schema says something the contract cannot carry.
    CatalogError
        ``table-name-taken``: another class already declares this table.

    Examples
    --------
    >>> import dataframely as dy
    >>> @table(topic="openbci.raw", description="Cyton board log.", registry=Registry())
    ... class OpenbciRaw(dy.Schema):
    ...     packet = dy.Int16(min=0, max=255)
    >>> OpenbciRaw.column_names()
    ['packet']
    """
    wanted = _required_topics(topic, topics)
    check_row_encoding(encoding)

    def declare(schema: type[_SchemaT]) -> type[_SchemaT]:
        _require_schema(schema)
        declaration = TableDeclaration(
            name=_table_name(schema.__name__, name),
            topics=wanted,
            description=description,
            schema=schema,
            contract=compile_contract(schema, warn=warn),
            encoding=encoding,
        )
        (DECLARATIONS if registry is None else registry).add(declaration)
        return schema

    return declare


def signals(
    *,
    topic: str,
    description: str = "",
    name: str | None = None,
    registry: Registry | None = None,
) -> Callable[[_ClassT], _ClassT]:
    """Declare the table of a topic of sample packets.

    Its rows are blocks of samples with the columns of ``signals``; streams, channels and gaps stand in the lake's
    signal tables.

    Parameters
    ----------
    topic
        Where the packets come from.
    description
        One line for the catalog.
    name
        Name of the table; without it the class name in snake case.
    registry
        Where to record; without it the one of this process.

    Returns
    -------
    Callable
        A class decorator that gives the class back unchanged.

    Raises
    ------
    UsageError
        ``table-name`` or ``topic-name``.
    CatalogError
        ``table-name-taken``: another class already declares this table, or every lake has one of that name.

    Examples
    --------
    >>> @signals(topic="implant.raw", description="Left hemisphere.", registry=Registry())
    ... class Implant:
    ...     pass
    """
    _require_topic(topic)

    def declare(schema: _ClassT) -> _ClassT:
        chosen = _table_name(schema.__name__, name)
        if chosen in TABLE_TEXTS:
            raise CatalogError(
                f"Cannot declare table {chosen!r}: every lake has one of that name.",
                code="table-name-taken",
                hint="rename the class or pass name=….",
                context={"table": chosen},
            )
        declaration = TableDeclaration(
            name=chosen,
            topics=(topic,),
            description=description,
            schema=schema,
            contract=Contract(columns=()),
            encoding="packets",
        )
        (DECLARATIONS if registry is None else registry).add(declaration)
        return schema

    return declare


def declaration_of(schema: type, registry: Registry | None = None) -> TableDeclaration:
    """Find what `table` recorded for a class.

    Parameters
    ----------
    schema
        A class decorated with `table`.
    registry
        Where to look; without it the one of this process.

    Returns
    -------
    TableDeclaration
        Name, topics, description and contract.

    Raises
    ------
    CatalogError
        ``table-undeclared``: the class was never decorated.
    """
    found = (DECLARATIONS if registry is None else registry).by_schema(schema)
    if found is None:
        shown = getattr(schema, "__name__", repr(schema))
        raise CatalogError(
            f"Cannot find the table of {shown}: it is not declared.",
            code="table-undeclared",
            hint='put @nl.table(topic="…") over the class, or run its cell again.',
            context={"schema": shown},
        )
    return found


def _required_topics(topic: str | None, topics: Sequence[str] | None) -> tuple[str, ...]:
    wanted = () if topics is None or isinstance(topics, str) else tuple(topics)
    if topic is not None and topics is None:
        wanted = (topic,)
    is_told_once = (topic is None) != (topics is None)
    if not is_told_once or not 0 < len(wanted) <= _MAX_TOPICS or len(set(wanted)) < len(wanted):
        raise UsageError(
            f"Cannot declare a table on topic={topic!r}, topics={topics!r}.",
            code="topics-invalid",
            hint=f"pass topic=…, or topics=[…] with 1 to {_MAX_TOPICS} names, each once.",
        )
    for one in wanted:
        _require_topic(one)
    return wanted


def _require_topic(topic: str) -> None:
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise UsageError(
            f"Cannot declare a table on topic {topic!r}: that is no topic name.",
            code="topic-name",
            hint="use 1 to 249 letters, digits, '.', '_' or '-'.",
            context={"topic": topic},
        )


def _require_schema(schema: object) -> None:
    import dataframely as dy

    if not (isinstance(schema, type) and issubclass(schema, dy.Schema)):
        raise UsageError(
            f"Cannot declare a table by {schema!r}: it is no dataframely schema.",
            code="not-a-schema",
            hint="write `class Name(dy.Schema): …` under the decorator.",
        )


def _table_name(class_name: str, given: str | None) -> str:
    name = _WORD_STARTS.sub("_", class_name).lower() if given is None else given
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"Cannot declare table {name!r}: that is no table name.",
            code="table-name",
            hint="use lower-case letters, digits and single underscores, a letter first; pass name=….",
            context={"table": name},
        )
    return name
