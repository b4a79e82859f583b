"""A journal in front of a Kafka topic: rows go there first, and a drainer sends them on exactly once.

The spool is a topic of the same name in a journal of this machine, with as many partitions as the target; partition n
goes to partition n. Where the drainer stands is decided by the target alone: by what committed readers find there.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neuralake_kernel import _bridge
from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.reach import reach

if TYPE_CHECKING:
    from neuralake_kernel.source.broker import Broker

__all__ = ["Spool", "SpoolChoice", "SpoolStatus", "write_whole"]

SpoolChoice = Literal["fail", "resend", "skip"]
CONSUMER = "drain"


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """Messages in the spool and not yet known to be in Kafka; ``sent`` are."""

    topic: str
    waiting: int
    sent: int

    def to_json(self) -> dict[str, object]:
        """Plain values, for ``json.dumps``."""
        return dataclasses.asdict(self)


def write_whole(path: Path, text: str) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one, and a power cut leaves one of them."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Spool:
    """The spool of one topic.

    Parameters
    ----------
    directory
        Folder of all spools of a home.
    topic
        Name of the target, and of the spool.
    """

    def __init__(self, directory: Path | str, topic: str) -> None:
        from neuralake_kernel.source.journal import JournalDriver

        self.directory = str(directory)
        self.topic = topic
        self.driver = JournalDriver(self.directory)
        self.folder = Path(directory) / topic
        self.note_path = self.folder / "drained.json"

    @property
    def id(self) -> str:
        """Transactional id of its drainer: one life of the spool, one id."""
        return f"neuralake-spool-{self.driver.incarnation(self.topic)}"

    def ensure(self, broker: Broker) -> None:
        """Make the spool with as many partitions as the target has; with one where the target cannot be asked."""
        try:
            self.driver.incarnation(self.topic)
        except SourceError as error:
            if error.code != "journal-topic-missing":
                raise
        else:
            return
        try:
            partitions = len(reach(broker).offsets(self.topic))
        except SourceError as error:
            if error.code not in {"broker-away", "topic-missing"}:
                raise
            partitions = 1
        self.driver.create_topic(self.topic, partitions)

    def status(self) -> SpoolStatus:
        """What waits; asked of the spool alone, so it answers while Kafka is away."""
        # In this order: what is sent in between counts as waiting, never the other way.
        drained, held = self.drained(), self.driver.offsets(self.topic)
        places = {partition: drained.get(partition, first) for partition, (first, _) in held.items()}
        waiting = sum(end - places[partition] for partition, (_, end) in held.items())
        return SpoolStatus(self.topic, waiting=waiting, sent=sum(places.values()))

    def drained(self) -> dict[int, int]:
        """By partition, the offset up to which all can be read in Kafka."""
        return {
            partition: position
            for name, _, places in _bridge.journal_consumers(self.directory, self.topic)
            if name == CONSUMER
            for partition, position, _ in places
        }

    def move(self, places: dict[int, int], *, is_start: bool = False) -> None:
        """Tell the spool how far it is sent; what all have read is trimmed by its own retention."""
        _bridge.journal_register(self.directory, self.topic, CONSUMER, places, advance=not is_start)
