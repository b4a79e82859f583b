"""One table as the catalog shows it: what the code declares beside what the Delta log says."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from neuralake_kernel.catalog import html
from neuralake_kernel.catalog.declaration import QUARANTINE_SUFFIX, TableDeclaration
from neuralake_kernel.catalog.figures import bytes_text, count_text, time_text
from neuralake_kernel.catalog.signal_tables import COLUMN_TEXTS, TABLE_TEXTS
from neuralake_kernel.catalog.snapshot import Snapshots
from neuralake_kernel.contract import is_identity_column
from neuralake_kernel.errors import CatalogError

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["CatalogEntry", "ColumnEntry", "read_entry"]

EntryState = Literal["declared", "stored", "unreadable"]

_DELTA_TYPES: Final = {
    "boolean": "bool",
    "byte": "int8",
    "short": "int16",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "timestamp": "timestamp_us",
}


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """One column, as declared where it is declared and as stored elsewhere."""

    name: str
    type: str
    nullable: bool
    bounds: str = ""
    physical_unit: str | None = None
    description: str | None = None

    def to_json(self) -> dict[str, object]:
        """The column as plain values."""
        return {
            "name": self.name,
            "type": self.type,
            "nullable": self.nullable,
            "bounds": self.bounds or None,
            "physical_unit": self.physical_unit,
            "description": self.description,
        }


@dataclass(frozen=True)
class CatalogEntry:
    """Facts about one table at one moment.

    ``state`` is ``declared`` before the first ingest, ``stored`` once there is a version, and
    ``unreadable`` with the reason in ``problem``. Numbers are ``None`` where the log does not know
    them. ``columns`` leaves out the identity columns.
    """

    name: str
    state: EntryState
    uri: str
    topics: tuple[str, ...] = ()
    description: str = ""
    contract_id: str | None = None
    columns: tuple[ColumnEntry, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    version: int | None = None
    last_commit_at: dt.datetime | None = None
    quarantine_uri: str | None = None
    quarantine_rows: int | None = None
    quarantine_version: int | None = None
    writer: str = "ingest"
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """The entry as plain values, ready for ``json.dumps``."""
        at = self.last_commit_at
        return {
            "name": self.name,
            "state": self.state,
            "writer": self.writer,
            "topics": list(self.topics),
            "description": self.description,
            "contract_id": self.contract_id,
            "uri": self.uri,
            "version": self.version,
            "rows": self.rows,
            "bytes": self.bytes,
            "files": self.files,
            "last_commit_at": None if at is None else at.isoformat(),
            "quarantine": {
                "uri": self.quarantine_uri,
                "rows": self.quarantine_rows,
                "version": self.quarantine_version,
            },
            "problem": self.problem or None,
            "columns": [column.to_json() for column in self.columns],
        }

    @property
    def summary(self) -> str:
        """Rows and quarantined rows, or why there are none."""
        if self.state == "declared":
            return "declared, not yet created"
        if self.state == "unreadable":
            return f"unreadable: {self.problem}"
        rejected = f", {self.quarantine_rows:,} in quarantine" if self.quarantine_rows else ""
        return f"{count_text(self.rows)} rows{rejected}"

    @property
    def storage(self) -> str:
        """Bytes, files, version and time of the last commit."""
        if self.state != "stored":
            return ""
        return (
            f"{bytes_text(self.bytes)} in {count_text(self.files)} files,"
            f" version {self.version}, {time_text(self.last_commit_at)}"
        )

    def __repr__(self) -> str:
        """Stable while declaration and rows stay: what depends on timing is left to ``str``."""
        head = f"{self.name}: {self.summary}"
        lines = [head if not self.description else f"{head}\n{self.description}"]
        if self.topics:
            lines.append(f"{_topic_word(self)} {', '.join(self.topics)}")
        rows = [(column.name, _type_text(column), column.bounds, column.description or "") for column in self.columns]
        widths = [max((len(row[at]) for row in rows), default=0) for at in range(3)]
        lines += [
            "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
            for row in rows
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        """Everything `repr` says, and what the log says now."""
        shown = repr(self)
        return f"{shown}\n{self.storage}\n{self.uri}" if self.state == "stored" else shown

    def _repr_html_(self) -> str:
        facts = [
            ("state", self.summary),
            (_topic_word(self), ", ".join(self.topics)),
            ("storage", self.storage),
            ("uri", self.uri),
        ]
        columns = [
            (column.name, _type_text(column), column.bounds, column.description or "") for column in self.columns
        ]
        body = html.facts([(name, value) for name, value in facts if value])
        body += html.grid(("column", "type", "bounds", ""), columns)
        return html.card(self.name, self.description, body)


def _topic_word(entry: CatalogEntry) -> str:
    return "topic" if len(entry.topics) == 1 else "topics"


def read_entry(snapshots: Snapshots, name: str, declaration: TableDeclaration | None) -> CatalogEntry:
    """Read what the log says about a table.

    Parameters
    ----------
    snapshots
        Held tables of the lake.
    name
        Name of the table.
    declaration
        What the code says about it, where it does.

    Returns
    -------
    CatalogEntry
        Never raises for a table that cannot be read: one bad table must not hide the others.
    """
    said: dict[str, Any] = {
        "uri": snapshots.store.table_uri(name),
        "columns": () if declaration is None else _declared_columns(declaration),
        "topics": () if declaration is None else declaration.topics,
        "description": TABLE_TEXTS.get(name, "") if declaration is None else declaration.description,
        "contract_id": None if declaration is None else declaration.contract.id,
    }
    try:
        table = snapshots.at(name)
    except CatalogError as error:
        if error.code == "table-not-created":
            return CatalogEntry(name, "declared", **said)
        return CatalogEntry(name, "unreadable", problem=error.message, **said)
    if declaration is None or not declaration.contract.columns:
        said["columns"] = _stored_columns(table, COLUMN_TEXTS if name in TABLE_TEXTS or declaration is not None else {})
    return CatalogEntry(name, "stored", **said, **_table_facts(table), **_quarantine_facts(snapshots, name))


def _table_facts(table: "DeltaTable") -> dict[str, Any]:
    rows, size, files, newest_ms = _file_facts(table)
    history = table.history(1)
    stamp_ms = history[0].get("timestamp") if history else None
    stamp_ms = newest_ms if stamp_ms is None else stamp_ms
    return {
        "rows": rows,
        "bytes": size,
        "files": files,
        "version": table.version(),
        "last_commit_at": None if stamp_ms is None else dt.datetime.fromtimestamp(stamp_ms / 1000, dt.UTC),
    }


def _file_facts(table: "DeltaTable") -> tuple[int | None, int, int, int | None]:
    """Rows (unknown when one file has no count), bytes, files, time of the newest file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    files = pa.table(table.get_add_actions(flatten=True))
    if not files.num_rows:
        return 0, 0, 0, None
    counts = files.column("num_records")
    rows = None if counts.null_count else int(pc.sum(counts).as_py())
    newest = pc.max(files.column("modification_time")).as_py()
    newest_ms = int(newest.timestamp() * 1000) if isinstance(newest, dt.datetime) else newest
    return rows, int(pc.sum(files.column("size_bytes")).as_py()), files.num_rows, newest_ms


def _quarantine_facts(snapshots: Snapshots, name: str) -> dict[str, Any]:
    try:
        quarantine = snapshots.at(name + QUARANTINE_SUFFIX)
    except CatalogError:
        return {}
    return {
        "quarantine_uri": snapshots.store.table_uri(name + QUARANTINE_SUFFIX),
        "quarantine_rows": _file_facts(quarantine)[0],
        "quarantine_version": quarantine.version(),
    }


def _declared_columns(declaration: TableDeclaration) -> tuple[ColumnEntry, ...]:
    return tuple(
        ColumnEntry(
            name=column.name,
            type=column.type,
            nullable=column.nullable,
            bounds=column.bounds,
            physical_unit=column.physical_unit,
            description=column.description,
        )
        for column in declaration.contract.columns
    )


def _stored_columns(table: "DeltaTable", texts: Mapping[str, str]) -> tuple[ColumnEntry, ...]:
    fields: Iterable[Any] = table.schema().fields
    return tuple(
        ColumnEntry(
            name=field.name,
            type=_delta_type(field.type),
            nullable=field.nullable,
            description=texts.get(field.name),
        )
        for field in fields
        if not is_identity_column(field.name)
    )


def _delta_type(type_: Any) -> str:  # noqa: ANN401  (deltalake has no types)
    element = getattr(type_, "element_type", None)
    if element is not None:
        return f"list[{_delta_type(element)}]"
    name = str(getattr(type_, "type", type_))
    return _DELTA_TYPES.get(name, name)


def _type_text(column: ColumnEntry) -> str:
    unit = f" [{column.physical_unit}]" if column.physical_unit else ""
    return f"{column.type}{'?' if column.nullable else ''}{unit}"
