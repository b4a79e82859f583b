"""What a job has covered of its topic: runs of offsets per source and partition, from the commits alone.

A run ends where the job went on elsewhere by somebody's choice (a jump, named in that commit's info): what lies
between two runs of one source was left out and is no loss. A topic that was made anew, or a log that was cut and
written again, is another source: its offsets name other messages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from neuralake_kernel.catalog.delta_log import LogHistory

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Coverage", "Jump", "Run", "jumps_of"]

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
    """Offsets [first, stop) of one partition; the source is empty for whatever came before the first change of it."""

    source: str
    partition: int
    first: int
    stop: int


@dataclass
class Coverage:
    """Runs of one job, closed ones and those that still grow."""

    source: str = ""
    closed: list[Run] = field(default_factory=list)
    now: dict[int, int] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [*self.closed, *(Run(self.source, key, self._first[key], value) for key, value in self.now.items())]

    @property
    def first(self) -> dict[int, int]:
        """Where each partition began in the present source."""
        began: dict[int, int] = {}
        for run in self.runs:
            if run.source == self.source and run.partition in self.now:
                began.setdefault(run.partition, run.first)
        return began

    def advance(self, partition: int, position: int) -> None:
        """Take a recorded position."""
        self._first.setdefault(partition, position)
        self.now[partition] = position

    def jump(self, jumps: Iterable[Jump]) -> None:
        """Take the jumps of one commit: runs end, and go on where it says."""
        for jump in jumps:
            if jump.cause in _ANOTHER_SOURCE and jump.source != self.source:
                self._close(self.now)
                self._first = dict(self.now)
                self.source = jump.source
            elif jump.partition in self.now:
                self._close([jump.partition])
            self._first[jump.partition] = self.now[jump.partition] = jump.stop

    def reach(self, partition: int, offset: int) -> None:
        """Take an offset as held, where the commits that would say so are gone."""
        if partition in self._first:
            self._first[partition] = min(self._first[partition], offset)

    def source_of(self, column: str) -> "pl.Expr":
        """Name the run's source for the source that a row names."""
        import polars as pl

        named = sorted({run.source for run in self.runs} - {""})
        return pl.when(pl.col(column).is_in(named)).then(pl.col(column)).otherwise(pl.lit(""))

    def frame(self) -> "pl.DataFrame":
        """Give ``run``, ``partition``, ``first``, ``position``: the whole reach of each source and partition."""
        import polars as pl

        schema = {"run": pl.String, "partition": pl.Int64, "first": pl.Int64, "position": pl.Int64}
        rows = [(run.source, run.partition, run.first, run.stop) for run in self.runs]
        reach = pl.DataFrame(rows, schema=schema, orient="row")
        return reach.group_by("run", "partition", maintain_order=True).agg(
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

    def _close(self, partitions: Iterable[int]) -> None:
        self.closed += [
            Run(self.source, key, self._first[key], self.now[key])
            for key in partitions
            if self._first[key] < self.now[key]
        ]


def jumps_of(history: LogHistory) -> dict[int, list[Jump]]:
    """Read the jumps that commits tell of, by version."""
    return {
        commit.version: [_jump(commit.version, said) for said in told]
        for commit in history.commits
        if (told := _own(commit.info).get("jumps"))
    }


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
