"""Rows of the signal tables whose recording is published; all others are hidden from every reader.

An ``add`` under way, and what a killed one left behind, have rows but no recording. Each engine is given the
same rule in its own words.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.catalog import Snapshots

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PUBLISHED_BY", "needed_for", "published_frame", "published_spark", "published_sql", "with_parts"]

#: Column by which a row belongs to a recording: its own, or that of its stream.
PUBLISHED_BY: Final = {
    "streams": "recording_id",
    "channels": "recording_id",
    "events": "recording_id",
    "intervals": "recording_id",
    "signals": "stream_id",
}
#: The stored table behind a name that stands for its published rows.
_STORED: Final = "__stored"


def needed_for(tables: "tuple[str, ...]") -> tuple[str, ...]:
    """Tables that say which rows of these are published; empty where none is a signal table."""
    if not any(table in PUBLISHED_BY for table in tables):
        return ()
    return ("streams", "recordings") if "signals" in tables else ("recordings",)


def published_frame(snapshots: Snapshots, table: str, frame: "pl.LazyFrame") -> "pl.LazyFrame":
    """Keep the published rows of a Polars frame, in their order."""
    import polars as pl

    by = PUBLISHED_BY.get(table)
    if by is None:
        return frame
    owners = pl.scan_delta(snapshots.at("recordings")).select("recording_id")
    if by == "stream_id":
        streams = pl.scan_delta(snapshots.at("streams"))
        owners = streams.join(owners, on="recording_id", how="semi").select("stream_id")
    return frame.join(owners, on=by, how="semi", maintain_order="left")


def published_sql(text: str, tables: tuple[str, ...], *, dialect: str) -> tuple[str, dict[str, str]]:
    """Let the names of signal tables stand for their published rows.

    Parameters
    ----------
    text
        One admitted query.
    tables
        Stored tables it reads.
    dialect
        The dialect of the text.

    Returns
    -------
    tuple
        The query, and under which name each stored table is to be registered.
    """
    hidden = [table for table in tables if table in PUBLISHED_BY]
    names = {table: table for table in tables}
    if not hidden:
        return text, names
    for table in {*hidden, *needed_for(tables)}:
        names[table] = table + _STORED
    parts = [f"{table} AS ({_rule(table)})" for table in hidden]
    if "recordings" in tables:
        parts.append(f"recordings AS ({_rule('recordings')})")
    return with_parts(text, parts, dialect=dialect), names


def with_parts(text: str, parts: Sequence[str], *, dialect: str) -> str:
    """Put common table expressions before those of a query."""
    import sqlglot

    first, *rest = sqlglot.tokenize(text, dialect=dialect)
    if first.text.upper() != "WITH":
        return f"WITH {', '.join(parts)} {text}"
    after = rest[0].end + 1 if rest[0].text.upper() == "RECURSIVE" else first.end + 1
    return f"{text[:after]} {', '.join(parts)}, {text[after:]}"


def _rule(table: str) -> str:
    """Published rows of a stored table, as a query. Every name in it is one of ours."""
    stored = f"SELECT * FROM {table}{_STORED}"  # noqa: S608 - see above
    by = PUBLISHED_BY.get(table)
    if by is None:
        return stored
    owners = f"SELECT recording_id FROM recordings{_STORED}"  # noqa: S608 - see above
    if by == "stream_id":
        owners = f"SELECT stream_id FROM streams{_STORED} WHERE recording_id IN ({owners})"  # noqa: S608 - see above
    return f"{stored} WHERE {by} IN ({owners})"


def published_spark(table: str, frame: Any, stored: dict[str, Any]) -> Any:  # noqa: ANN401  (pyspark has no types)
    """Keep the published rows of a Spark frame; ``stored`` holds the frames of `needed_for`."""
    by = PUBLISHED_BY.get(table)
    if by is None:
        return frame
    owners = stored["recordings"].select("recording_id")
    if by == "stream_id":
        owners = stored["streams"].join(owners, "recording_id", "left_semi").select("stream_id")
    return frame.join(owners, by, "left_semi")
