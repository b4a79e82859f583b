"""Rows into a topic: a frame, an Arrow stream, or an iterator of dicts or bytes.

Messages of one key, and without a key all of them, keep their order. What was acked before an error, a stop or an
interrupt stays sent, and the report, or the producer's error, says how much that is.
"""

from __future__ import annotations

import dataclasses
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neuralake_kernel.source.blocks import blocks
from neuralake_kernel.source.reach import reach
from neuralake_kernel.source.report import PartitionRange, summarised

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Sequence

    from neuralake_kernel.contract import Encoding
    from neuralake_kernel.source.acks import Acks
    from neuralake_kernel.source.blocks import Block
    from neuralake_kernel.source.broker import Broker
    from neuralake_kernel.source.producer import Producer

__all__ = ["ProduceReport", "produce"]

PROGRESS_S = 0.2


@dataclass(frozen=True, slots=True)
class ProduceReport:
    """What was sent.

    ``messages`` of ``bytes`` (keys not counted) were handed over, ``acked`` of them acked as the mode promises, after
    ``ack_p50_ms`` and ``ack_p99_ms``. ``ranges`` are the offsets acked, as half-open ranges by partition; Kafka tells
    none where nobody waits for its word (``acks="none"``).
    """

    topic: str
    state: Literal["running", "finished", "stopped"]
    acks: Acks
    messages: int
    bytes: int
    acked: int
    seconds: float
    ack_p50_ms: float
    ack_p99_ms: float
    partitions: tuple[PartitionRange, ...] = ()
    ranges: dict[int, tuple[tuple[int, int], ...]] = dataclasses.field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, object]:
        """Plain values, for ``json.dumps``."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.topic}: {self.state}, {self.messages:,} messages, {self.bytes / 1e6:.1f} MB, {self.acked:,} acked "
            f"({self.acks}) in {self.seconds:.1f} s; acks p50 {self.ack_p50_ms:.2f} ms, p99 {self.ack_p99_ms:.2f} ms"
        )


def produce(  # noqa: PLR0913 - each is a choice of the person who sends
    rows: object,
    topic: str,
    broker: Broker,
    *,
    columns: Sequence[str] | None = None,
    required: Collection[str] = (),
    encoding: Encoding = "json",
    acks: Acks = "durable",
    key: str | None = None,
    progress: Callable[[ProduceReport], None] | None = None,
    stop: threading.Event | None = None,
) -> ProduceReport:
    """Send rows to a topic and wait until they are acked.

    Parameters
    ----------
    rows
        Anything with ``__arrow_c_stream__`` (a polars or pandas frame, a pyarrow table), a polars lazy frame, or an
        iterable of dicts or of bytes (sent as they are). An iterable may be endless.
    topic
        An existing topic.
    broker
        Kafka or a journal.
    columns
        Columns of the table it is meant for; a frame's others stay behind. Without: all.
    required
        Columns that must be there.
    encoding
        What a message holds: ``json``, an object for each row; ``arrow``, an Arrow IPC stream of many rows of a
        frame or of dicts; ``packets``, which only bytes can be.
    acks
        ``durable``, ``buffered`` or ``none``, as `open_producer` has it.
    key
        Column whose value is the message's key (Kafka) and picks its partition; without: the first partition.
    progress
        Called with a report at most five times a second, and once at the end.
    stop
        An event that ends the sending when it is set.

    Returns
    -------
    ProduceReport
        ``state`` is ``finished`` or ``stopped``.

    Raises
    ------
    UsageError
        ``columns-missing``; ``rows-unknown``: neither frame nor dicts nor bytes; ``acks-unknown``.
    SourceError
        ``topic-missing`` (journal: ``journal-topic-missing``), ``broker-away``, or what the journal says.
    """
    driver = reach(broker)
    partitions = sorted(driver.offsets(topic))
    cut = blocks(rows, columns, required, key, encoding)
    with driver.open_producer(topic, acks=acks) as producer:
        work = _Work(topic, acks, producer, partitions)
        for block in cut:
            work.send(block)
            if progress is not None:
                work.tell(progress)
            if stop is not None and stop.is_set():
                work.state = "stopped"
                break
        else:
            work.state = "finished"
        producer.flush()
        report = work.report()
    if progress is not None:
        progress(report)
    return report


class _Work:
    """The sending of one call."""

    def __init__(self, topic: str, acks: Acks, producer: Producer, partitions: Sequence[int]) -> None:
        self.state: Literal["running", "finished", "stopped"] = "running"
        self._topic = topic
        self._acks = acks
        self._producer = producer
        self._partitions = partitions
        self._messages = 0
        self._bytes = 0
        self._began = self._told = time.monotonic()

    def send(self, block: Block) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if block.keys is None:
            self._producer.send(block.values, self._partitions[0])
        else:
            for partition, places in self._placed(block.keys).items():
                values = block.values.take(pa.array(places, pa.int64()))
                self._producer.send(values, partition, key=[block.keys[place] for place in places])
        self._messages += len(block.values)
        self._bytes += pc.sum(pc.binary_length(block.values)).as_py() or 0

    def tell(self, progress: Callable[[ProduceReport], None]) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_S:
            self._told = now
            progress(self.report())

    def report(self) -> ProduceReport:
        ranges = {partition: tuple(pairs) for partition, pairs in self._producer.ranges.items()}
        parts = summarised(ranges)
        times = self._producer.ack_times
        return ProduceReport(
            topic=self._topic,
            state=self.state,
            acks=self._acks,
            messages=self._messages,
            bytes=self._bytes,
            acked=self._producer.acked,
            seconds=time.monotonic() - self._began,
            ack_p50_ms=times.quantile_ms(0.5),
            ack_p99_ms=times.quantile_ms(0.99),
            partitions=parts,
            ranges=ranges,
        )

    def _placed(self, keys: Sequence[bytes]) -> dict[int, list[int]]:
        placed: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            partition = self._partitions[zlib.crc32(key) % len(self._partitions)]
            placed.setdefault(partition, []).append(place)
        return placed
