"""What a spool's drainer knows of its sending: what has landed, and each commit that may have."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from neuralake_kernel.source.spool import write_whole

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Note", "Tried"]


class Tried(NamedTuple):
    """One commit on one partition: the place in the spool after it, and where in the target its last message is."""

    after: int
    offset: int


@dataclass(slots=True)
class Note:
    """Where the sending stands, by partition.

    Parameters
    ----------
    target
        Topic id of the target the rest speaks of.
    landed
        Place in the spool up to which nothing is to be sent any more: all is in the target for good, but for what was
        given up by choice.
    tried
        Commits after that, in order, of which this is not known yet.
    """

    target: str = ""
    landed: dict[int, int] = field(default_factory=dict)
    tried: dict[int, list[Tried]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the note; an empty one where nothing was ever tried."""
        if not path.exists():
            return cls()
        told: dict[str, Any] = {"landed": {}} | json.loads(path.read_text(encoding="ascii"))
        return cls(
            told["target"],
            {int(partition): place for partition, place in told["landed"].items()},
            {int(partition): [Tried(*commit) for commit in commits] for partition, commits in told["tried"].items()},
        )

    def write(self, path: Path) -> None:
        """Replace the note as a whole, durably: what is about to be committed stands in it before it is."""
        write_whole(path, json.dumps(dataclasses.asdict(self)))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def furthest(self, partition: int) -> int | None:
        """Place in the spool up to which messages may have been sent; None where none ever were."""
        commits = self.tried.get(partition)
        return commits[-1].after if commits else self.landed.get(partition)

    def land(self, stable_ends: dict[int, int]) -> dict[int, int]:
        """Take for landed what lies below the stable ends; gives the places that moved.

        Right only where no transaction of this drainer was aborted since the commits were answered.
        """
        moved: dict[int, int] = {}
        for partition, end in stable_ends.items():
            commits = self.tried[partition]
            while commits and commits[0].offset < end:
                moved[partition] = commits.pop(0).after
            if not commits:
                del self.tried[partition]
        self.landed |= moved
        return moved
