"""One table under its name: as a lazy frame, committed or live."""

from pathlib import Path
from typing import TYPE_CHECKING

from neuralake_kernel.catalog import Catalog
from neuralake_kernel.contract import IDENTITY_COLUMNS
from neuralake_kernel.ingest import report_path
from neuralake_kernel.query.frame import scan
from neuralake_kernel.query.live import Freshness, LiveRead, check_freshness, read_live

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableReader"]


class TableReader:
    """One table, as readers see it.

    Parameters
    ----------
    catalog
        Whose tables.
    name
        Which one.
    home
        State folder of the workbench, whose jobs answer live reads.
    """

    def __init__(self, catalog: Catalog, name: str, home: Path) -> None:
        self._catalog = catalog
        self._home = home
        self.name = name

    def lazy(
        self,
        *,
        version: int | None = None,
        identity: bool = False,
        freshness: Freshness = "committed",
    ) -> "pl.LazyFrame":
        """Read the table as a Polars lazy frame, pruned by the Delta log.

        Parameters
        ----------
        version
            Version to read; without it the newest.
        identity
            Whether the columns of identity (``_offset`` …) are there.
        freshness
            ``committed``, or ``live``: with what the table's job on this machine has not committed yet.

        Raises
        ------
        UsageError
            Both a version and ``live`` were asked for.
        CatalogError
            The table or version is not there, or the store is away.
        QueryError
            ``live-unsettled``: see `live`.
        """
        if check_freshness(freshness, version) == "committed":
            return scan(self._catalog.snapshots, self.name, version=version, identity=identity)
        frame = self.live().lazy()
        return frame if identity else frame.drop(IDENTITY_COLUMNS, strict=False)

    def live(self) -> LiveRead:
        """Read the table with what its job has not committed yet, and learn where that ends.

        Raises
        ------
        CatalogError
            The table is not there, or the store is away.
        QueryError
            ``live-unsettled``: its workers changed faster than they could be read.
        """
        return read_live(self._catalog.snapshots, self.name, report_path(self._home, self.name))

    @property
    def version(self) -> int:
        """Newest version."""
        return self._catalog.snapshots.at(self.name, None).version()

    def __repr__(self) -> str:
        """Name only: nothing is read for it."""
        return f"TableReader({self.name!r})"

    def _repr_html_(self) -> str:
        return self._catalog.entry(self.name)._repr_html_()
