"""Opened tables, held: a question never opens a table twice at one version.

A handle that was given out never moves, so a lazy frame built on it keeps its version. A newer version
is found by a probe handle of its own, which nobody else sees. Safe to use from several threads.

What fails to open is told apart: never created, no such version, or the store does not answer.
"""

import functools
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from neuralake_kernel.errors import CatalogError

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Snapshots", "TableStore", "first_line", "open_table", "read_options"]

#: Handles of pinned and former versions kept per lake; each holds its list of files in memory.
_HELD_VERSIONS: Final = 32

# A reader that waits minutes for a dead store is of no use in a notebook; the caller may repeat.
_READ_OPTIONS: Final = {
    "max_retries": "3",
    "retry_timeout": "10s",
    "connect_timeout": "3s",
    "timeout": "30s",
}


class TableStore(Protocol):
    """What this package needs of a store; ``StoreSpec`` of the stack is one."""

    def table_uri(self, name: str) -> str:
        """Give the uri of a table."""
        ...

    def delta_options(self) -> dict[str, str]:
        """Give the storage options deltalake understands, secrets included."""
        ...


def open_table(store: TableStore, name: str, *, version: int | None = None) -> "DeltaTable":
    """Open a table of a lake, without holding it.

    Parameters
    ----------
    store
        Where the lake is.
    name
        Name of the table.
    version
        Version to open (≥ 0); without it the newest.

    Returns
    -------
    deltalake.DeltaTable
        A handle of the caller's own.

    Raises
    ------
    CatalogError
        ``table-not-created``, ``version-not-found``, or ``store-away`` (retryable).
    """
    from deltalake.exceptions import DeltaError, TableNotFoundError

    uri = store.table_uri(name)
    if version is not None and version < 0:
        raise _no_version(name, uri, version, newest=None)
    try:
        opened = _table_class()(uri, version=version, storage_options=read_options(store, uri))
    except TableNotFoundError as error:
        raise CatalogError(
            f"Cannot open table {name!r}: nothing is stored at {uri}.",
            code="table-not-created",
            hint="a table is made by its first ingest; start one with lab.ingest(…).",
            context={"table": name, "uri": uri},
        ) from error
    except OSError as error:
        raise _store_away(name, uri) from error
    except DeltaError as error:
        if version is not None:
            newest = open_table(store, name).version()
            if version > newest:
                raise _no_version(name, uri, version, newest=newest) from error
        raise CatalogError(
            f"Cannot open table {name!r} at {uri}: {first_line(error)}",
            code="table-unreadable",
            hint="the log of this table is damaged, or its versions before the last checkpoint"
            " are gone; try the newest version.",
            context={"table": name, "uri": uri, "version": version},
        ) from error
    # Polars takes the options from here, and knows the names of patience as other types.
    opened._storage_options = store.delta_options() or None  # noqa: SLF001
    table: DeltaTable = opened
    return table


class Snapshots:
    """Held handles of the tables of one lake.

    Parameters
    ----------
    store
        Where the lake is.
    """

    def __init__(self, store: TableStore) -> None:
        self.store = store
        self._lock = threading.Lock()
        #: One of each table opens or probes at a time; what is held can be had meanwhile.
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._renewing: set[str] = set()
        self._probes: dict[str, Any] = {}
        self._held: OrderedDict[tuple[str, int], DeltaTable] = OrderedDict()

    def at(self, name: str, version: int | None = None) -> "DeltaTable":
        """Give the handle of a table at a version; it will never move.

        Parameters
        ----------
        name
            Name of the table.
        version
            Version (≥ 0); without it the newest that the store has now.

        Returns
        -------
        deltalake.DeltaTable
            Shared with other readers: read from it, never update it.

        Raises
        ------
        CatalogError
            As `open_table`.
        """
        with self._turn(name):
            wanted = self._newest_version(name) if version is None else version
            held = self._find(name, wanted)
            return held or self._hold(name, open_table(self.store, name, version=wanted))

    def held(self, name: str) -> "DeltaTable | None":
        """Give the newest handle of a table that is held; the store is not asked."""
        with self._lock:
            versions = [version for held, version in self._held if held == name]
            return self._touch((name, max(versions))) if versions else None

    def at_least(self, name: str, version: int) -> "DeltaTable":
        """Give a handle at or above a version; the store is asked only where none is held.

        Parameters
        ----------
        name
            Name of the table.
        version
            Lowest version that will do (≥ 0).

        Returns
        -------
        deltalake.DeltaTable
            The newest that is held, if it reaches so far, else the newest that the store has now.

        Raises
        ------
        CatalogError
            As `open_table`; ``version-not-found`` when the store's newest does not reach so far.
        """
        held = self.held(name)
        if held is not None and held.version() >= version:
            return held
        found = self.at(name)
        if found.version() < version:
            raise _no_version(name, found.table_uri, version, newest=found.version())
        return found

    def renew(self, name: str, prepare: "Callable[[DeltaTable], object]") -> None:
        """Open the newest version of a table beside the caller, who does not wait; one at a time for each table.

        Parameters
        ----------
        name
            Name of the table.
        prepare
            Called with the new handle before anybody is given it, for what its readers would have to wait for.
        """
        with self._lock:
            if name in self._renewing:
                return
            self._renewing.add(name)
        # Not a daemon: the end of a program waits for it, for a thread that is cut short inside the engine aborts.
        threading.Thread(target=self._renew, args=(name, prepare), name=f"neuralake-renew-{name}").start()

    def _renew(self, name: str, prepare: "Callable[[DeltaTable], object]") -> None:
        from deltalake.exceptions import DeltaError

        try:
            with self._turn(name):
                newest = self._newest_version(name)
                if self._find(name, newest) is None:
                    opened = open_table(self.store, name, version=newest)
                    prepare(opened)
                    self._hold(name, opened)
        except (CatalogError, DeltaError, OSError):
            # Nobody asked for this version; whoever does is told why it cannot be had.
            pass
        finally:
            with self._lock:
                self._renewing.discard(name)

    def is_created(self, name: str) -> bool:
        """Whether the table has a first version."""
        try:
            self.at(name)
        except CatalogError as error:
            if error.code == "table-not-created":
                return False
            raise
        return True

    def forget(self, name: str) -> None:
        """Drop every handle of a table, as after it was removed and made again."""
        with self._turn(name), self._lock:
            self._probes.pop(name, None)
            for key in [key for key in self._held if key[0] == name]:
                del self._held[key]

    def _turn(self, name: str) -> threading.Lock:
        with self._lock:
            return self._turns[name]

    def _find(self, name: str, version: int) -> "DeltaTable | None":
        with self._lock:
            return self._touch((name, version)) if (name, version) in self._held else None

    def _hold(self, name: str, opened: "DeltaTable") -> "DeltaTable":
        with self._lock:
            self._held[name, opened.version()] = opened
            while len(self._held) > _HELD_VERSIONS:
                self._held.popitem(last=False)
        return opened

    def _touch(self, key: tuple[str, int]) -> "DeltaTable":
        """Give a handle, which is the one used last from now on; the lock is held."""
        self._held.move_to_end(key)
        return self._held[key]

    def _newest_version(self, name: str) -> int:
        from deltalake.exceptions import DeltaError

        probe = self._probes.get(name)
        if probe is None:
            probe = self._probes[name] = open_table(self.store, name)
        else:
            try:
                probe.update_incremental()
            except (OSError, DeltaError):
                # The log was cleaned or the table made anew under the probe: look again from scratch.
                del self._probes[name]
                probe = self._probes[name] = open_table(self.store, name)
        version: int = probe.version()
        return version


@functools.cache
def _table_class() -> Any:  # noqa: ANN401  (deltalake has no types)
    """Give deltalake's table, with its files named as they are on disk and its transactions remembered.

    It names the files of a folder by url-quoted paths, which Polars takes as they come: a lake in
    ``My Lab`` would not be found. It reads the log for each transaction it is asked for, 5 ms on MinIO: a
    live read asks for one a partition.
    """
    from deltalake import DeltaTable

    class HeldTable(DeltaTable):
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  (passed on)
            super().__init__(*arguments, **options)
            self._transactions: dict[tuple[int, str], int | None] = {}

        def transaction_version(self, app_id: str) -> int | None:
            asked = (self.version(), app_id)
            if asked not in self._transactions:
                self._transactions[asked] = super().transaction_version(app_id)
            return self._transactions[asked]

        def file_uris(self, *arguments: Any, **options: Any) -> list[str]:  # noqa: ANN401  (passed on)
            uris: list[str] = super().file_uris(*arguments, **options)
            quoted = urlsplit(self.table_uri).path if self.table_uri.startswith("file:") else ""
            if unquote(quoted) == quoted:
                return uris
            return [unquote(quoted) + uri.removeprefix(quoted) for uri in uris]

    return HeldTable


def read_options(store: TableStore, uri: str) -> dict[str, str]:
    """Storage options of a reader: the store's own, and short patience with a store that is away."""
    given = store.delta_options()
    if uri.startswith("file:") or "://" not in uri:
        return given
    return _READ_OPTIONS | given


def first_line(error: BaseException) -> str:
    """Keep of an engine's report what a reader can use."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _no_version(name: str, uri: str, version: int, *, newest: int | None) -> CatalogError:
    found = "" if newest is None else f"; the newest is {newest}"
    return CatalogError(
        f"Cannot open table {name!r} at version {version}: there is no such version{found}.",
        code="version-not-found",
        hint="leave version out for the newest one.",
        context={"table": name, "uri": uri, "version": version, "newest": newest},
    )


def _store_away(name: str, uri: str) -> CatalogError:
    return CatalogError(
        f"Cannot open table {name!r}: the store of {uri} does not answer.",
        code="store-away",
        hint="`neuralake status` shows the stack; lab.stack.start() brings it back.",
        context={"table": name, "uri": uri},
        retryable=True,
    )
