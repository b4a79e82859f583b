"""What a replay has sent, as frozen values, and as a list that ``neuralake verify --expect`` reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["PartitionRange", "ReplayReport", "write_sent"]


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """Offsets acked in one partition: ``messages`` of them, from ``first_offset`` up to before ``next_offset``."""

    partition: int
    first_offset: int
    next_offset: int
    messages: int


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How far a replay has come.

    ``messages_sent`` were handed to the broker, ``acked`` of them are durable there. ``seconds`` is
    wall time so far.
    """

    topic: str
    session: str
    state: Literal["running", "finished", "stopped", "failed"]
    messages_total: int
    messages_sent: int
    bytes_sent: int
    acked: int
    seconds: float
    columns: tuple[str, ...]
    partitions: tuple[PartitionRange, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values, for ``json.dumps``."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """One line."""
        places = ", ".join(
            f"{part.partition}: {part.first_offset:,} to {part.next_offset:,}" for part in self.partitions
        )
        return (
            f"Replay of {self.session} into {self.topic}: {self.state}, "
            f"{self.messages_sent:,} of {self.messages_total:,} messages sent, {self.acked:,} acked, "
            f"{self.bytes_sent / 1e6:.1f} MB in {self.seconds:.1f} s" + (f" (offsets {places})" if places else "")
        )


def summarised(ranges: Mapping[int, Sequence[tuple[int, int]]]) -> tuple[PartitionRange, ...]:
    """First and next offset of each partition out of acked ranges."""
    return tuple(
        PartitionRange(partition, pairs[0][0], pairs[-1][1], sum(end - first for first, end in pairs))
        for partition, pairs in sorted(ranges.items())
        if pairs
    )


def write_sent(path: Path, topic: str, ranges: Mapping[int, Sequence[tuple[int, int]]]) -> None:
    """Write one JSON line per acked message: topic, partition, offset and its number of rows (1).

    Parameters
    ----------
    path
        Overwritten; its folder is made.
    topic
        Where they were sent.
    ranges
        Half-open offset ranges by partition.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii", newline="\n") as stream:
        for partition, pairs in sorted(ranges.items()):
            for first, end in pairs:
                stream.writelines(
                    f'{{"topic":"{topic}","partition":{partition},"offset":{offset},"rows":1}}\n'
                    for offset in range(first, end)
                )
