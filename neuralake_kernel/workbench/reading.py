"""The way out of the lake: tables, SQL, recordings, rejects and the checker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from neuralake_kernel.catalog import VerifyReport, declaration_of, verify_table
from neuralake_kernel.contract import CheckReport, check_rows
from neuralake_kernel.errors import UsageError
from neuralake_kernel.query import (
    ColdSql,
    Freshness,
    HotSql,
    Quarantine,
    QueryPolicy,
    RecordingList,
    Result,
    StoredRecording,
    TableReader,
    check_freshness,
)
from neuralake_kernel.workbench.base import Base

__all__ = ["Reading"]

ENGINES = ("hot", "cold")


class Reading(Base):
    """What asks tables; see `Workbench`."""

    def recordings(self) -> RecordingList:
        """List the published recordings."""
        return RecordingList(self.catalog.snapshots, self._samples)

    def recording(self, name: str) -> StoredRecording:
        """Give one published recording by name or id.

        Raises
        ------
        CatalogError
            ``recording-unknown``, with the nearest names in the hint.
        """
        return self.recordings().find(name)

    def table(self, table: str | type) -> TableReader:
        """Read a table: ``lab.table(X).lazy()``.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        return TableReader(self.catalog, self.catalog.resolve(table), self.home)

    def sql(
        self,
        sql: str,
        *,
        engine: Literal["hot", "cold"] = "hot",
        version: int | Mapping[str, int] | None = None,
        freshness: Freshness = "committed",
        policy: QueryPolicy | None = None,
    ) -> Result:
        """Ask one SELECT.

        Parameters
        ----------
        sql
            One SELECT over tables of the catalog.
        engine
            ``hot``: DataFusion in this process. ``cold``: the Spark Connect server of the settings, else one on this
            machine, started if need be.
        version
            Version to read where one table is asked, or versions by name.
        freshness
            ``committed``, or ``live``: with what jobs on this machine have not committed yet (hot only).
        policy
            Limits on rows, bytes and time.

        Raises
        ------
        QueryError
            The gate refused it, the engine failed, or a limit was passed.
        CatalogError
            A table or version is not there.
        """
        if engine not in ENGINES:
            message = f"Cannot ask the engine {engine!r}: there are {' and '.join(ENGINES)}."
            raise UsageError(message, code="engine-unknown")
        if check_freshness(freshness, version) == "live":
            if engine == "cold":
                message = "Cannot read live on Spark: it reads what is committed."
                raise UsageError(message, code="freshness", hint='use engine="hot", or freshness="committed".')
            return HotSql(self.catalog).sql(sql, live=lambda name: self.table(name).live(), policy=policy)
        asked = self._cold_sql() if engine == "cold" else HotSql(self.catalog)
        return asked.sql(sql, version=version, policy=policy)

    def hot(self, sql: str, **options: Any) -> Result:  # noqa: ANN401 - those of `sql`
        """Ask DataFusion; short for ``sql(…, engine="hot")``."""
        return self.sql(sql, engine="hot", **options)

    def cold(self, sql: str, **options: Any) -> Result:  # noqa: ANN401 - those of `sql`
        """Ask Spark; short for ``sql(…, engine="cold")``."""
        return self.sql(sql, engine="cold", **options)

    def quarantine(self, table: str | type) -> Quarantine:
        """Read what breaks the contract of a table: ``lab.quarantine(X).lazy()``, or show it.

        Raises
        ------
        CatalogError
            ``table-unknown``, with the nearest names in the hint.
        """
        return Quarantine(self.catalog.snapshots, self.catalog.resolve(table))

    def check(self, table: type, rows: Any) -> CheckReport:  # noqa: ANN401 - whatever Polars makes a frame of
        """Try rows against the contract of a table, before they are sent.

        Parameters
        ----------
        table
            A class under ``@nl.table``.
        rows
            A Polars or pandas frame, an Arrow table, or a mapping of columns; columns are found by name.

        Returns
        -------
        CheckReport
            True when every row would reach the table; else counts by reason, and the rows at fault.

        Raises
        ------
        CatalogError
            The class is not declared.
        """
        return check_rows(declaration_of(table).contract, rows)

    def verify(self, table: str | type, *, expect: Path | str | None = None) -> VerifyReport:
        """Check the law on a table and its quarantine: each message, and each row of it, exactly once.

        Parameters
        ----------
        table
            Which one.
        expect
            JSON lines of what was sent, as ``replay(sent_to=…)`` writes them.

        Raises
        ------
        CatalogError
            The table is not there.
        """
        return verify_table(self.store, self.catalog.resolve(table), expect=expect)

    def _cold_sql(self) -> ColdSql:
        given, catalog = self.settings.spark, self.catalog
        spark = given.spec() if given is not None else self.stack.ensure_spark()
        with self._lock:
            if self._cold is None:
                self._cold = ColdSql(catalog, url=spark.url, token=spark.token)
            return self._cold
