"""Live reads in SQL: the name of a table stands for what is committed and what is on its way.

The engine reads Delta tables only, so the rows on their way are put into a small one of their own for the length of
one question, on this machine.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from neuralake_kernel.query.published import with_parts

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable

__all__ = ["live_sql", "stored_tails"]

_COMMITTED: Final = "__committed"
_TAIL: Final = "__tail"


@contextmanager
def stored_tails(
    registered: "dict[str, DeltaTable]", names: Mapping[str, str], tails: "Mapping[str, pl.DataFrame]"
) -> "Iterator[dict[str, DeltaTable]]":
    """Lay rows on their way beside their tables, for the length of one question.

    Parameters
    ----------
    registered
        Tables by the name they are registered under; those with a tail are moved to the result.
    names
        That name by the table's own.
    tails
        Rows on their way, by the table's own name.

    Yields
    ------
    dict
        Of each such table two to register: what is committed, and what is on its way.
    """
    if not tails:
        yield {}
        return
    from deltalake import DeltaTable, write_deltalake

    with TemporaryDirectory(prefix="neuralake-live-", ignore_cleanup_errors=True) as folder:
        beside = {}
        for table, tail in tails.items():
            name = names[table]
            committed = registered.pop(name)
            columns = [field.name for field in committed.schema().fields]
            path = Path(folder) / table
            write_deltalake(str(path), tail.select(columns))
            beside[name + _COMMITTED] = committed
            beside[name + _TAIL] = DeltaTable(str(path))
        yield beside


def live_sql(text: str, beside: "Mapping[str, DeltaTable]", *, dialect: str) -> str:
    """Let each name stand for both its parts; the text stays as it is where there are none."""
    names = [name.removesuffix(_TAIL) for name in beside if name.endswith(_TAIL)]
    if not names:
        return text
    parts = [
        # Every name in it is one of ours.
        f"{name} AS (SELECT * FROM {name}{_COMMITTED} UNION ALL SELECT * FROM {name}{_TAIL})"  # noqa: S608
        for name in names
    ]
    return with_parts(text, parts, dialect=dialect)
