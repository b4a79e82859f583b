"""The tables of a lake by name: those declared in this process and those found in the store.

Nothing is cached here but opened tables: every listing asks the log again. No engine is started.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Final

from neuralake_kernel.catalog import html
from neuralake_kernel.catalog.declaration import (
    DECLARATIONS,
    QUARANTINE_SUFFIX,
    TableDeclaration,
)
from neuralake_kernel.catalog.entry import CatalogEntry, read_entry
from neuralake_kernel.catalog.figures import bytes_text, count_text, time_text
from neuralake_kernel.catalog.snapshot import Snapshots, TableStore, read_options
from neuralake_kernel.errors import CatalogError

__all__ = ["Catalog"]

_NEAR_NAMES: Final = 3


class Catalog:
    """What a lake holds.

    Parameters
    ----------
    store
        Where the lake is; a ``StoreSpec`` or anything with ``table_uri`` and ``delta_options``.
    declarations
        Tables declared in code; without it those of this process.
    snapshots
        Held tables to share with readers; without it the catalog's own.

    Examples
    --------
    >>> from neuralake_kernel.stack import StoreSpec
    >>> Catalog(StoreSpec(uri="file:///nowhere/lake"), declarations=())
    catalog: no tables
    """

    def __init__(
        self,
        store: TableStore,
        declarations: Iterable[TableDeclaration] | None = None,
        *,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.store = store
        self.snapshots = Snapshots(store) if snapshots is None else snapshots
        self._declarations = DECLARATIONS if declarations is None else declarations

    @property
    def declarations(self) -> dict[str, TableDeclaration]:
        """Declared tables by name."""
        return {declaration.name: declaration for declaration in self._declarations}

    def names(self) -> tuple[str, ...]:
        """Names of declared and stored tables, sorted; quarantines stand with their tables.

        Raises
        ------
        CatalogError
            ``store-away`` (retryable).
        """
        return tuple(sorted(set(self.declarations) | self._stored_names()))

    def entry(self, table: str | type) -> CatalogEntry:
        """Give one table with its facts.

        Parameters
        ----------
        table
            A name, or the class that declares it.

        Returns
        -------
        CatalogEntry
            As the log is now.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        name = self.resolve(table)
        return read_entry(self.snapshots, name, self.declarations.get(name))

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Give every table with its facts, by name."""
        declared = self.declarations
        return tuple(read_entry(self.snapshots, name, declared.get(name)) for name in self.names())

    def resolve(self, table: str | type) -> str:
        """Give the name of a table that is declared or stored; a quarantine has one too.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        if not isinstance(table, str):
            for declaration in self._declarations:
                if declaration.schema is table:
                    return declaration.name
            table = getattr(table, "__name__", repr(table))
        base = table.removesuffix(QUARANTINE_SUFFIX)
        if base in self.declarations:
            return table
        known = self.names()
        if base in known:
            return table
        near = difflib.get_close_matches(table.lower(), known, n=_NEAR_NAMES, cutoff=0.5)
        hint = "did you mean " + " or ".join(near) + "?" if near else "lab.catalog lists what there is."
        raise CatalogError(
            f"Cannot find table {table!r}: the catalog has {_counted(len(known))}, none of that name.",
            code="table-unknown",
            hint=hint,
            context={"table": table, "near": near},
        )

    def to_json(self) -> dict[str, object]:
        """Give the whole catalog as plain values, ready for ``json.dumps``."""
        return {"tables": [entry.to_json() for entry in self.entries()]}

    def __getitem__(self, table: str | type) -> CatalogEntry:
        return self.entry(table)

    def __iter__(self) -> Iterator[CatalogEntry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.names())

    def __contains__(self, table: object) -> bool:
        return table in self.names()

    def __repr__(self) -> str:
        """Stable while tables and rows stay: what depends on timing is left to ``str``."""
        entries = self.entries()
        if not entries:
            return "catalog: no tables"
        width = max(len(entry.name) for entry in entries)
        lines = [f"  {entry.name.ljust(width)}  {entry.summary}" for entry in entries]
        return "\n".join([f"catalog: {_counted(len(entries))}", *lines])

    def __str__(self) -> str:
        """Names and rows as in `repr`, with bytes, files, versions and last commits."""
        entries = self.entries()
        if not entries:
            return "catalog: no tables"
        rows = [(entry.name, entry.summary, entry.storage) for entry in entries]
        widths = [max(len(row[at]) for row in rows) for at in range(2)]
        lines = [
            f"  {name.ljust(widths[0])}  {summary.ljust(widths[1])}  {storage}".rstrip()
            for name, summary, storage in rows
        ]
        return "\n".join([f"catalog: {_counted(len(entries))}", *lines])

    def _repr_html_(self) -> str:
        entries = self.entries()
        rows = [
            (
                entry.name,
                ", ".join(entry.topics),
                count_text(entry.rows) if entry.state == "stored" else entry.summary,
                "" if entry.quarantine_rows is None else count_text(entry.quarantine_rows),
                "" if entry.bytes is None else bytes_text(entry.bytes),
                "" if entry.version is None else str(entry.version),
                "" if entry.last_commit_at is None else time_text(entry.last_commit_at),
                entry.description,
            )
            for entry in entries
        ]
        head = ("table", "topic", "rows", "quarantine", "size", "version", "last commit", "")
        body = html.grid(head, rows, numbers=(2, 3, 4, 5)) if rows else ""
        return html.card("Catalog", _counted(len(entries)), body)

    def _stored_names(self) -> set[str]:
        """Folders of the lake that hold a log."""
        import pyarrow.fs as arrow_fs
        from deltalake.exceptions import DeltaError
        from deltalake.fs import DeltaStorageHandler

        uri = self.store.table_uri("").rstrip("/")
        try:
            options = read_options(self.store, uri)
            files = arrow_fs.PyFileSystem(DeltaStorageHandler(uri, options or None))
            found = files.get_file_info(arrow_fs.FileSelector("", allow_not_found=True))
        except FileNotFoundError:
            return set()
        except (OSError, DeltaError) as error:
            if not _is_missing_folder(error):
                raise CatalogError(
                    f"Cannot list the tables of {uri}: the store does not answer.",
                    code="store-away",
                    hint="`neuralake status` shows the stack; lab.stack.start() brings it back.",
                    context={"uri": uri},
                    retryable=True,
                ) from error
            return set()
        names = [
            info.base_name
            for info in found
            if info.type == arrow_fs.FileType.Directory
            and not info.base_name.startswith((".", "_"))
            and not info.base_name.endswith(QUARANTINE_SUFFIX)
        ]
        logs = files.get_file_info([f"{name}/_delta_log" for name in names])
        return {name for name, info in zip(names, logs, strict=True) if info.type == arrow_fs.FileType.Directory}


def _is_missing_folder(error: Exception) -> bool:
    """A lake that nobody wrote to yet; the engine tells it by text alone."""
    return "does not exist" in str(error) or "No such file" in str(error)


def _counted(tables: int) -> str:
    return "no tables" if not tables else "1 table" if tables == 1 else f"{tables:,} tables"
