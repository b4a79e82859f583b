"""The answer to a question: Arrow inside, a table on screen, a stream for whoever takes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from neuralake_kernel.catalog import html_card, html_grid
from neuralake_kernel.errors import QueryError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["Result", "plain_strings"]

_SHOWN_ROWS: Final = 20


@dataclass(frozen=True, eq=False)
class Result:
    """Rows an engine gave, and what it gave them from.

    Any consumer of Arrow streams takes it (``pl.DataFrame(result)``, ``pa.table(result)``).

    Parameters
    ----------
    table
        The rows.
    engine
        Who answered.
    versions
        Version of each table read.
    seconds
        From the question to the last row.
    """

    table: "pa.Table" = field(repr=False)
    engine: Literal["hot", "cold"]
    versions: Mapping[str, int]
    seconds: float

    def to_arrow(self) -> "pa.Table":
        """Give the rows as a pyarrow table, without a copy."""
        return self.table

    def to_polars(self) -> "pl.DataFrame":
        """Give the rows as a Polars frame, without a copy where Polars allows.

        Raises
        ------
        QueryError
            ``column-doubled``: two columns have one name.
        """
        import polars as pl

        names = self.table.column_names
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise QueryError(
                f"Cannot make a frame: the answer has {', '.join(map(repr, doubled))} twice.",
                code="column-doubled",
                hint="name the columns in the SELECT, with AS for one of each pair.",
                context={"columns": doubled},
            )
        return pl.DataFrame(self.table)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Give the rows as dictionaries; for few rows."""
        return self.table.to_pylist()  # type: ignore[no-any-return]  # pyarrow has no types

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(self.table.column_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Stable for the same rows: time and versions are left to the attributes."""
        import polars as pl

        with pl.Config(tbl_rows=_SHOWN_ROWS, tbl_width_chars=120, fmt_str_lengths=40):
            return str(pl.DataFrame(self._distinct_names()))

    def _repr_html_(self) -> str:
        shown = self._distinct_names().slice(0, _SHOWN_ROWS)
        cells = [["null" if value is None else str(value) for value in row.values()] for row in shown.to_pylist()]
        numbers = [at for at, kind in enumerate(shown.schema.types) if str(kind)[:3] in {"int", "uin", "flo", "dou"}]
        read = ", ".join(f"{name} at version {version}" for name, version in self.versions.items())
        more = f"{len(self):,} rows" if len(self) <= _SHOWN_ROWS else f"first {_SHOWN_ROWS} of {len(self):,} rows"
        subtitle = f"{more} in {self.seconds:.2f} s{f' from {read}' if read else ''}"
        return html_card(f"Answer ({self.engine})", subtitle, html_grid(self.columns, cells, numbers=numbers))

    def _distinct_names(self) -> "pa.Table":
        names: list[str] = []
        for name in self.table.column_names:
            names.append(name if name not in names else f"{name}:{len(names)}")
        return self.table.rename_columns(names)


def plain_strings(table: "pa.Table") -> "pa.Table":
    """Turn string views into strings, which every consumer of Arrow knows."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    schema = table.schema
    for at, column in enumerate(schema):
        if column.type in plain:
            schema = schema.set(at, column.with_type(plain[column.type]))
    return table if schema is table.schema else table.cast(schema)
