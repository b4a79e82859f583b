"""Three questions, each in Polars and in SQL that DataFusion and Spark both speak, at one pinned version."""

import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from neuralake_kernel.query import compare_answers

if TYPE_CHECKING:
    import polars as pl

    from neuralake_kernel.workbench import Workbench

__all__ = ["QUESTIONS", "Answer", "Question", "ask"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question in two languages."""

    name: str
    text: str
    polars: "Callable[[pl.LazyFrame], pl.LazyFrame]" = field(repr=False)
    sql: str = field(repr=False)

    @property
    def polars_text(self) -> str:
        """The very lines that are run."""
        body = inspect.getsource(self.polars).partition("import polars as pl\n\n")[2]
        return textwrap.dedent(body).replace("return ", "").rstrip()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engines said to one question, how long each took in seconds, and whether they agree."""

    rows: Mapping[str, list[dict[str, Any]]]
    seconds: Mapping[str, float]
    differences: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether there is one answer."""
        return not self.differences


def _per_session(openbci: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    ch1 = pl.col("ch1_uv").cast(pl.Float64)
    by_session = openbci.group_by("session")
    return by_session.agg(packets=pl.len(), ch1_mean_uv=ch1.mean(), ch1_sd_uv=ch1.std())


def _strongest_seconds(openbci: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    ch1 = pl.col("ch1_uv").cast(pl.Float64)
    return (
        openbci.group_by(second=pl.col("event_time").dt.truncate("1s"))
        .agg(packets=pl.len(), swing_uv=ch1.max() - ch1.min())
        .sort("swing_uv", "second", descending=[True, False])
        .head(5)
    )


def _lost_packets(openbci: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    step = (pl.col("packet").cast(pl.Int64).diff() + 256) % 256
    return (
        openbci.filter(pl.col("session") != "poison")
        .sort("_offset")
        .select(steps=step.count(), skips=(step != 1).sum())
    )


QUESTIONS: Final = (
    Question(
        "per_session",
        "What is in the table?",
        _per_session,
        "SELECT session, count(*) AS packets,\n"
        "       avg(CAST(ch1_uv AS DOUBLE)) AS ch1_mean_uv,\n"
        "       stddev(CAST(ch1_uv AS DOUBLE)) AS ch1_sd_uv\n"
        "FROM openbci GROUP BY session",
    ),
    Question(
        "strongest_seconds",
        "In which seconds does channel 1 swing most?",
        _strongest_seconds,
        "SELECT date_trunc('second', event_time) AS second, count(*) AS packets,\n"
        "       max(CAST(ch1_uv AS DOUBLE)) - min(CAST(ch1_uv AS DOUBLE)) AS swing_uv\n"
        "FROM openbci GROUP BY date_trunc('second', event_time)\n"
        "ORDER BY swing_uv DESC, second LIMIT 5",
    ),
    Question(
        "lost_packets",
        "Did a packet get lost? The board's own counter, in the order of the topic",
        _lost_packets,
        "SELECT count(*) AS steps,\n"
        "       sum(CASE (packet - previous + 256) % 256 WHEN 1 THEN 0 ELSE 1 END) skips\n"
        "FROM (SELECT packet, lag(packet) OVER (ORDER BY _offset) AS previous\n"
        "      FROM openbci WHERE session <> 'poison') AS steps\n"
        "WHERE previous IS NOT NULL",
    ),
)


def ask(lab: "Workbench", question: Question, *, version: int, with_spark: bool) -> Answer:
    """Ask every engine at one version and compare what they say.

    Parameters
    ----------
    lab
        Whose table ``openbci`` is asked.
    question
        What to ask.
    version
        Version of the table.
    with_spark
        Whether Spark is asked too.
    """
    import time

    began = time.monotonic()
    frame = question.polars(lab.table("openbci").lazy(version=version, identity=True)).collect()
    rows = {"polars": frame.to_dicts()}
    seconds = {"polars": time.monotonic() - began}
    differences: list[str] = []
    for engine in ("hot", "cold") if with_spark else ("hot",):
        result = lab.sql(question.sql, engine=engine, version=version)
        rows[engine] = result.to_polars().to_dicts()
        seconds[engine] = result.seconds
        differences += [f"polars and {engine}: {said}" for said in compare_answers(frame, result).differences]
    return Answer(rows, seconds, tuple(differences))
