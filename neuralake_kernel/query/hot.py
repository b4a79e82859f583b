"""SQL on this machine: DataFusion over held snapshots, behind the gate."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from neuralake_kernel.catalog import Catalog
from neuralake_kernel.errors import QueryError
from neuralake_kernel.query.gate import AdmittedSql, admit
from neuralake_kernel.query.live import LiveRead
from neuralake_kernel.query.live_sql import live_sql, stored_tails
from neuralake_kernel.query.policy import QueryPolicy, drain
from neuralake_kernel.query.published import needed_for, published_sql
from neuralake_kernel.query.result import Result, plain_strings

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable

__all__ = ["HotSql", "pinned_versions"]

# The gate reads PostgreSQL's grammar, so the engine shall too; times without a zone are UTC.
_SESSION: Final = {
    "datafusion.sql_parser.dialect": "PostgreSQL",
    "datafusion.execution.time_zone": "+00:00",
}


class HotSql:
    """Answers SQL about the tables of a catalog in this process.

    Holds no state of its own: every question sees the newest versions unless it pins others. Safe to
    use from several threads.

    Parameters
    ----------
    catalog
        Which tables there are; their snapshots are shared with it.
    policy
        Limits of a question that brings none.
    """

    def __init__(self, catalog: Catalog, policy: QueryPolicy | None = None) -> None:
        self._catalog = catalog
        self._policy = QueryPolicy() if policy is None else policy

    def sql(
        self,
        sql: str,
        *,
        version: int | Mapping[str, int] | None = None,
        live: Callable[[str], LiveRead] | None = None,
        policy: QueryPolicy | None = None,
    ) -> Result:
        """Ask one SELECT.

        Parameters
        ----------
        sql
            One SELECT in DataFusion's SQL over catalog names.
        version
            Version to read where one table is asked, or versions by name; without it the newest.
        live
            Reads a table live; given, every table is read by it, and no version may be pinned.
        policy
            Limits of this question.

        Returns
        -------
        Result
            The whole answer.

        Raises
        ------
        QueryError
            The gate refused it (``sql-…``), the engine did (``query-failed``), or it passed a limit
            (``query-timeout``, ``query-too-large``).
        CatalogError
            A table or a version is not there.
        """
        began = time.monotonic()
        snapshots = self._catalog.snapshots
        held: dict[str, DeltaTable] = {}
        tails: dict[str, pl.DataFrame] = {}

        def columns_of(name: str) -> tuple[str, ...]:
            known = self._catalog.resolve(name)
            if known not in held and live is not None:
                read = live(known)
                held[known] = read.committed
                if read.tail is not None and len(read.tail):
                    tails[known] = read.tail
            if known not in held:
                held[known] = snapshots.at(known, pinned_versions(version).get(known))
            return tuple(field.name for field in held[known].schema().fields)

        admitted = admit(sql, columns_of=columns_of)
        if isinstance(version, int):
            held[_only_table(admitted.tables)] = snapshots.at(_only_table(admitted.tables), version)
            admitted = admit(sql, columns_of=columns_of)
        text, names = published_sql(admitted.text, admitted.tables, dialect="postgres")
        registered = {names[name]: held[name] for name in admitted.tables}
        registered |= {names[name]: held.get(name) or snapshots.at(name) for name in needed_for(admitted.tables)}
        with stored_tails(registered, names, tails) as beside:
            text = live_sql(text, beside, dialect="postgres")
            table = drain(
                lambda: _execute(registered | beside, text, AdmittedSql(text, admitted.tables).as_probe),
                self._policy if policy is None else policy,
            )
        return Result(
            table=plain_strings(table),
            engine="hot",
            versions={name: held[name].version() for name in admitted.tables},
            seconds=time.monotonic() - began,
        )


def pinned_versions(version: int | Mapping[str, int] | None) -> Mapping[str, int]:
    """Versions by table name; a bare number belongs to a table that is not known yet."""
    return version if isinstance(version, Mapping) else {}


def _only_table(tables: tuple[str, ...]) -> str:
    if len(tables) != 1:
        raise QueryError(
            f"Cannot pin one version: the SQL reads {len(tables)} tables.",
            code="version-ambiguous",
            hint="pass version={name: version, …}.",
            context={"tables": list(tables)},
        )
    return tables[0]


def _execute(held: "Mapping[str, DeltaTable]", text: str, probe: str) -> "tuple[pa.Schema, Iterator[pa.RecordBatch]]":
    import pyarrow as pa
    from deltalake import QueryBuilder
    from deltalake.exceptions import DeltaError

    builder = QueryBuilder(_SESSION)
    for name, table in held.items():
        builder.register(name, table)
    try:
        builder.execute(f"EXPLAIN {probe}")
        reader = pa.RecordBatchReader.from_stream(builder.execute(text))
    except DeltaError as error:
        raise _failed(error) from error

    def batches() -> "Iterator[pa.RecordBatch]":
        try:
            yield from reader
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise _failed(error) from error

    return reader.schema, batches()


def _failed(error: Exception) -> QueryError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return QueryError(
        f"Cannot answer the SQL: {' '.join(lines[:2])}",
        code="query-failed",
        hint="lab.catalog shows tables and columns; names with capitals need double quotes.",
    )
