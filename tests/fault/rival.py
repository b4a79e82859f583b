"""Another program that commits to a table: it adds no row, and knows nothing of epochs and positions."""

import threading
from typing import Self

import polars as pl
from deltalake import DeltaTable, write_deltalake

from neuralake_kernel.workbench import Workbench

PAUSE_S = 0.1


class Rival:
    """Commits several times a second until it is told to stop; a context manager."""

    def __init__(self, lab: Workbench, table: str) -> None:
        self._uri = lab.store.table_uri(table)
        self._options = lab.store.delta_options() or None
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.commits = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            empty = pl.read_delta(self._uri, storage_options=self._options).head(0).to_arrow()
            while not self._stopping.wait(PAUSE_S):
                write_deltalake(
                    DeltaTable(self._uri, storage_options=self._options),
                    empty,
                    mode="append",
                )
                self.commits += 1
        except Exception as error:  # noqa: BLE001 - carried to whoever stops it; a thread has no caller
            self._error = error
