"""What a job has covered of its topics: runs of offsets per source and partition, from the commits alone.

A run ends where the job went on elsewhere by somebody's choice (a jump, named in that commit's info): what lies
between two runs of one source was left out and is no loss. A topic that was made anew, or a log that was cut and
written again, is another source: its offsets name other messages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from neuralake_kernel.catalog.delta_log import LogHistory
from neuralake_kernel.position import PartitionName, partition_name

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Coverage", "Jump", "Part", "Run", "jumps_of", "topics_read"]

_ANOTHER_SOURCE = frozenset({"source-replaced", "position-past-end", "position-truncated"})


@dataclass(frozen=True, slots=True)
class Jump:
    """A place where the job went on elsewhere than it had stopped."""

    version: int
    topic: str
    partition: int
    start: int
    stop: int
    cause: str
    source: str

    def __str__(self) -> str:
        return (
            f"partition {self.partition}: went on at {self.stop:,} instead of {self.start:,} by choice"
            f" ({self.cause}, version {self.version}, source {self.source})"
        )

    def to_json(self) -> dict[str, object]:
        """Return the jump in the words of the commit."""
        return {
            "version": self.version,
            "topic": self.topic,
            "partition": self.partition,
            "from": self.start,
            "to": self.stop,
            "cause": self.cause,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """Offsets [first, stop) of one partition.

    The source is the bare name of the topic for whatever came before the first change of it.
    """

    topic: str
    source: str
    partition: int
    first: int
    stop: int


#: A topic and the number of one of its partitions.
Part = tuple[str, int]


@dataclass
class Coverage:
    """Runs of one job, closed ones and those that still grow."""

    closed: list[Run] = field(default_factory=list)
    now: dict[Part, int] = field(default_factory=dict)
    _first: dict[Part, int] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)

    @property
    def topics(self) -> list[str]:
        """Topics with a position."""
        return sorted({topic for topic, _ in self.now})

    @property
    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [*self.closed, *(self._run(part) for part in self.now)]

    @property
    def first(self) -> dict[Part, int]:
        """Where each partition began in the present source of its topic."""
        began: dict[Part, int] = {}
        for run in self.runs:
            if run.source == self._source(run.topic) and (run.topic, run.partition) in self.now:
                began.setdefault((run.topic, run.partition), run.first)
        return began

    def name(self, part: Part) -> PartitionName:
        """Name a partition: by its number, and by its topic where there are several."""
        return partition_name(*part, self.topics)

    def named(self, places: Mapping[Part, int]) -> dict[str, int]:
        """Give places by the names of their partitions, in order."""
        return {str(self.name(part)): place for part, place in sorted(places.items())}

    def advance(self, part: Part, position: int) -> None:
        """Take a recorded position."""
        self._first.setdefault(part, position)
        self.now[part] = position

    def jump(self, jumps: Iterable[Jump]) -> None:
        """Take the jumps of one commit: runs end, and go on where it says."""
        for jump in jumps:
            part = (jump.topic, jump.partition)
            if jump.cause in _ANOTHER_SOURCE and jump.source != self._source(jump.topic):
                of_topic = [one for one in self.now if one[0] == jump.topic]
                self._close(of_topic)
                self._first |= {one: self.now[one] for one in of_topic}
                self._sources[jump.topic] = jump.source
            elif part in self.now:
                self._close([part])
            self._first[part] = self.now[part] = jump.stop

    def reach(self, part: Part, offset: int) -> None:
        """Take an offset as held, where the commits that would say so are gone."""
        if part in self._first:
            self._first[part] = min(self._first[part], offset)

    def topic_of(self, column: str) -> "pl.Expr":
        """Name the topic of the source that a row names; empty where the table has no position in it."""
        import polars as pl

        topics = self.topics
        if len(topics) == 1:
            return pl.lit(topics[0])
        named = [pl.when(pl.col(column).str.starts_with(f"{topic}@")).then(pl.lit(topic)) for topic in topics]
        return pl.coalesce(*named, pl.lit(""))

    def source_of(self, column: str) -> "pl.Expr":
        """Name the run's source for the source that a row names."""
        import polars as pl

        named = sorted({run.source for run in self.runs if run.source != run.topic})
        return pl.when(pl.col(column).is_in(named)).then(pl.col(column)).otherwise(self.topic_of(column))

    def frame(self) -> "pl.DataFrame":
        """Give ``topic``, ``run``, ``partition``, ``first``, ``position``: the reach of each source and partition."""
        import polars as pl

        schema = {
            "topic": pl.String,
            "run": pl.String,
            "partition": pl.Int64,
            "first": pl.Int64,
            "position": pl.Int64,
        }
        rows = [(run.topic, run.source, run.partition, run.first, run.stop) for run in self.runs]
        reach = pl.DataFrame(rows, schema=schema, orient="row")
        return reach.group_by("topic", "run", "partition", maintain_order=True).agg(
            pl.col("first").min(), pl.col("position").max()
        )

    def is_left_out(self) -> "pl.Expr":
        """Tell whether a place lies between two runs of its source."""
        import polars as pl

        runs = sorted(self.runs, key=lambda run: (run.source, run.partition, run.first))
        gaps = [
            (pl.col("run") == one.source)
            & (pl.col("partition") == one.partition)
            & pl.col("offset").is_between(one.stop, other.first, closed="left")
            for one, other in pairwise(runs)
            if (one.source, one.partition) == (other.source, other.partition) and one.stop < other.first
        ]
        return pl.any_horizontal(gaps) if gaps else pl.lit(value=False)

    def _source(self, topic: str) -> str:
        return self._sources.get(topic, topic)

    def _run(self, part: Part) -> Run:
        topic, partition = part
        return Run(topic, self._source(topic), partition, self._first[part], self.now[part])

    def _close(self, parts: Iterable[Part]) -> None:
        self.closed += [self._run(part) for part in parts if self._first[part] < self.now[part]]


def jumps_of(history: LogHistory) -> dict[int, list[Jump]]:
    """Read the jumps that commits tell of, by version."""
    return {
        commit.version: [_jump(commit.version, said) for said in told]
        for commit in history.commits
        if (told := _own(commit.info).get("jumps"))
    }


def topics_read(history: LogHistory) -> tuple[str, ...]:
    """Read which topics the last start said it reads; empty where no commit tells."""
    told = [topics for commit in history.commits if (topics := _own(commit.info).get("topics"))]
    return tuple(told[-1]) if told else ()


def _own(info: Mapping[str, Any]) -> Mapping[str, Any]:
    own = info.get("neuralake")
    return own if isinstance(own, Mapping) else {}


def _jump(version: int, said: Mapping[str, Any]) -> Jump:
    return Jump(
        version=version,
        topic=str(said["topic"]),
        partition=int(said["partition"]),
        start=int(said["from"]),
        stop=int(said["to"]),
        cause=str(said["cause"]),
        source=str(said["source"]),
    )
