"""The journal behind the source's protocols, by the native module."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from neuralake_kernel import _bridge
from neuralake_kernel.source.ack_times import AckTimes
from neuralake_kernel.source.acks import AtRisk, check_acks
from neuralake_kernel.source.producer import Closing, Ranges, closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from neuralake_kernel.source.acks import Acks

__all__ = ["JournalDriver", "JournalProducer"]


class JournalDriver:
    """Topics of one journal.

    Parameters
    ----------
    directory
        The journal's folder.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def create_topic(self, topic: str, partitions: int) -> str:
        """Make a topic or find it made; returns its uuid."""
        return str(_bridge.journal_create_topic(self._directory, topic, partitions))

    def incarnation(self, topic: str) -> str:
        """Give the topic's uuid."""
        return str(_bridge.journal_describe(self._directory, topic)[0])

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """Give first and next synced offset of each partition."""
        places = _bridge.journal_describe(self._directory, topic)[1]
        return {partition: (first, end) for partition, first, end in sorted(places)}

    def is_read(self, topic: str, places: Mapping[int, int]) -> bool:
        """Tell whether a reader at the places meets the end before a message."""
        return all(
            len(pa.record_batch(_bridge.journal_read(self._directory, topic, partition, place, 1))) == 0
            for partition, place in places.items()
        )

    def open_producer(self, topic: str, *, acks: Acks = "durable") -> JournalProducer:
        """Open a producer on a topic."""
        return JournalProducer(self._directory, topic, acks=acks)


class JournalProducer(Closing):
    """Appends to a topic of the journal; each ``send`` is one append and acked when it returns.

    Parameters
    ----------
    directory
        The journal's folder.
    topic
        An existing topic.
    acks
        ``durable``: acked once on disk. ``buffered``: once the system has it, so that an end of this process loses
        nothing. ``none``: once it is in this process's queue. Readers see what is on disk, whatever is chosen.
    faults
        Plan of deaths for fault tests.

    Raises
    ------
    SourceError
        ``journal-locked``: another producer holds the partition.
    """

    def __init__(self, directory: str, topic: str, *, acks: Acks = "durable", faults: Path | None = None) -> None:
        check_acks(acks)
        self._directory = directory
        self._topic = topic
        self._acks = acks
        self._faults = faults
        self._writers: dict[int, Any] = {}
        self._acked = Ranges()
        self.ack_times = AckTimes()
        self._is_closed = False

    def send(
        self,
        values: Sequence[bytes] | pa.BinaryArray,
        partition: int = 0,
        *,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        """Append messages, with one key for all or one each."""
        if self._is_closed:
            raise closed(self._topic)
        array = values if isinstance(values, pa.Array) else pa.array(values, pa.binary())
        if len(array) == 0:
            return
        keys = None if key is None else pa.array([key] * len(array) if isinstance(key, bytes) else key, pa.binary())
        writer = self._writer(partition)
        began = time.perf_counter()
        first, end = writer.append(array, keys)
        self.ack_times.add((time.perf_counter() - began) * 1e3, end - first)
        self._acked.add(partition, first, end)

    def flush(self) -> int:
        """Wait until everything sent is on disk; returns how many were acked since it was opened."""
        for writer in self._writers.values():
            writer.flush()
        return self._acked.count

    @property
    def acked(self) -> int:
        """Messages acked so far."""
        return self._acked.count

    @property
    def at_risk(self) -> AtRisk:
        """What is acked and not yet on disk; always nothing with ``acks="durable"``."""
        found = [writer.at_risk() for writer in self._writers.values()]
        return AtRisk(sum(messages for messages, _ in found), sum(size for _, size in found))

    @property
    def ranges(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """Offsets acked so far, per partition, as ascending half-open ranges."""
        return self._acked.by_partition

    def close(self) -> None:
        """Bring everything to disk and release the partitions' locks; may be called twice."""
        self._is_closed = True
        with contextlib.ExitStack() as closing:
            for writer in self._writers.values():
                closing.callback(writer.close)
            self._writers.clear()

    def _writer(self, partition: int) -> Any:  # noqa: ANN401 - typed in _native.pyi
        if partition not in self._writers:
            self._writers[partition] = _bridge.JournalWriter(
                self._directory, self._topic, partition, acks=self._acks, faults=self._faults
            )
        return self._writers[partition]
