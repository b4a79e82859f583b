"""What was sent, as the checker is told it: JSON lines, one message each.

Every line has ``partition`` and may have ``offset`` and ``rows``. Without ``offset`` the lines of a
partition are numbered in order from 0, or from the first position of the table; without ``rows`` only
the presence of the message is checked. Where the table has several topics a line names its ``topic``, or its ``source``
(as rows name it), which also tells the lives of a topic apart. A sample packet is told by ``stream``,
``sample_start`` and ``sample_stop``. Other keys are ignored, so a producer's own log serves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from neuralake_kernel.catalog.coverage import Part
from neuralake_kernel.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PACKET_COLUMNS", "load_expected"]

#: What a line says of a sample packet.
PACKET_COLUMNS: Final = ("stream", "sample_start", "sample_stop")


def load_expected(expect: "str | Path | pl.DataFrame", first_positions: Mapping[Part, int]) -> "pl.DataFrame":
    """Read what was sent.

    Parameters
    ----------
    expect
        A file of JSON lines, or a frame with the same columns.
    first_positions
        Offset of the first message per partition, for lines that carry none.

    Returns
    -------
    polars.DataFrame
        ``partition``, ``offset``, ``sent_rows`` (null where unknown), one row per message; ``topic``, ``source`` and
        what is said of packets where it is told.

    Raises
    ------
    UsageError
        ``expect-unreadable``: the file is missing, malformed, or names a message twice.
    """
    import polars as pl

    frame = expect if isinstance(expect, pl.DataFrame) else _read_lines(Path(expect))
    if "partition" not in frame.columns:
        raise _unreadable(expect, "no line has `partition`")
    topics = {topic for topic, _ in first_positions}
    if len(topics) == 1 and "topic" in frame.columns:
        frame = frame.with_columns(pl.col("topic").fill_null(next(iter(topics))))
    if len(topics) > 1 and not {"topic", "source"} & set(frame.columns):
        raise _unreadable(expect, f"the table has messages of {len(topics)} topics, and no line names its `topic`")
    if "rows" not in frame.columns:
        frame = frame.with_columns(rows=pl.lit(None, dtype=pl.Int64))
    if "offset" not in frame.columns:
        starts = pl.DataFrame(
            [(topic, partition, first) for (topic, partition), first in first_positions.items()],
            schema={"topic": pl.String, "partition": pl.Int64, "start": pl.Int64},
            orient="row",
        )
        part = [name for name in ("topic", "partition") if name in frame.columns]
        frame = (
            frame.with_columns(pl.col("partition").cast(pl.Int64))
            .join(starts.select(*part, "start"), on=part, how="left", maintain_order="left")
            .with_columns(offset=pl.int_range(pl.len()).over(part) + pl.col("start").fill_null(0))
        )
    try:
        kinds = {
            "topic": pl.String,
            "source": pl.String,
            **dict(zip(PACKET_COLUMNS, (pl.String, pl.Int64, pl.Int64), strict=True)),
        }
        told = [pl.col(name).cast(kind) for name, kind in kinds.items() if name in frame.columns]
        sent = frame.select(
            *told,
            pl.col("partition").cast(pl.Int64),
            pl.col("offset").cast(pl.Int64),
            sent_rows=pl.col("rows").cast(pl.Int64),
        )
    except pl.exceptions.PolarsError as error:
        raise _unreadable(expect, "partition, offset and rows must be whole numbers") from error
    told_of = [name for name in ("topic", "partition", "offset") if name in sent.columns]
    if sent.select(pl.any_horizontal(pl.col(told_of).is_null()).any()).item():
        raise _unreadable(expect, "a line has no partition, or only some have an offset or a topic")
    message = pl.struct(pl.exclude("sent_rows", *PACKET_COLUMNS))
    twice = sent.select(message.is_duplicated().any()).item()
    if twice:
        raise _unreadable(expect, "a message (partition, offset) stands there twice")
    return sent


def _read_lines(path: Path) -> "pl.DataFrame":
    import polars as pl

    schema = {"partition": pl.Int64, "offset": pl.Int64, "rows": pl.Int64, "topic": pl.String, "source": pl.String}
    try:
        if not path.read_bytes().strip():
            return pl.DataFrame(schema=schema)
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, type(error).__name__) from error
    return frame.select(name for name in (*schema, *PACKET_COLUMNS) if name in frame.columns)


def _unreadable(expect: object, reason: str) -> UsageError:
    shown = expect if isinstance(expect, (str, Path)) else "the given frame"
    return UsageError(
        f"Cannot read what was sent from {shown}: {reason}.",
        code="expect-unreadable",
        hint='write one JSON object per message: {"partition": 0, "offset": 17, "rows": 1}.',
        context={"expect": str(shown)},
    )
