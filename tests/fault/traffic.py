"""What the fault tests send: good, bad and unreadable messages, and what the lake must hold of them.

Every row carries a number of its own, so that a table is compared with what was sent by its values as well as by its
offsets, and every reject is known by its bytes and its reasons.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Self

import dataframely as dy
import polars as pl

import neuralake_kernel as nl
from neuralake_kernel.catalog import VerifyReport
from neuralake_kernel.contract import RowEncoding
from neuralake_kernel.source import Broker, create_topic, open_producer
from neuralake_kernel.workbench import Workbench

PARTITIONS = 2
BATCH = 12
PAUSE_S = 0.02
Reject = tuple[bytes, tuple[str, ...]]
POISON = {
    b"": "message|empty",
    b"  \n": "message|empty",
    b'{"number": 1': "message|json",
    b"[1, 2]": "message|object",
    b"\xff\xfe{}": "message|utf8",
}


def declare(
    name: str, *, max_packet: int = 255, encoding: RowEncoding = "json", topics: Sequence[str] = ()
) -> type[dy.Schema]:
    """Declare a table; again under the same name replaces its contract."""

    @nl.table(
        topics=topics or [f"{name}.raw"],
        name=name,
        encoding=encoding,
        description="Packets of a board that is never there.",
    )
    class Packets(dy.Schema):
        number = dy.Int64(nullable=False)
        packet = dy.Int16(nullable=False, min=0, max=max_packet)
        value = dy.Float64(nullable=True)

    return Packets


@dataclass(frozen=True)
class Sent:
    """One message and what becomes of it: rows that hold the contract, rejects that do not."""

    value: bytes
    rows: int | None
    numbers: tuple[int, ...] = ()
    rejects: tuple[Reject, ...] = ()


@dataclass
class Mixture:
    """An endless, seeded stream of messages."""

    seed: int
    max_packet: int = 255
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def take(self, messages: int) -> list[Sent]:
        """Give the next messages."""
        return [self._message() for _ in range(messages)]

    def _message(self) -> Sent:
        dice = self.chance.random()
        if dice < 0.1:
            value, reason = self.chance.choice(sorted(POISON.items()))
            return Sent(value, None, rejects=((value, (reason,)),))
        rows = [self._row() for _ in range(1 if dice < 0.8 else self.chance.randint(2, 4))]
        return Sent(
            b"\n".join(line for line, _, _ in rows),
            len(rows),
            tuple(number for _, number, reasons in rows if not reasons),
            tuple((line, reasons) for line, _, reasons in rows if reasons),
        )

    def _row(self) -> tuple[bytes, int, tuple[str, ...]]:
        number = next(self.numbers)
        row: dict[str, object] = {"number": number, "packet": number % (self.max_packet + 1), "value": number / 8}
        dice = self.chance.random()
        reasons: tuple[str, ...] = ()
        if dice < 0.03:
            row["packet"], reasons = self.max_packet + 1, ("packet|max",)
        elif dice < 0.06:
            row["packet"], reasons = "seven", ("packet|dtype",)
        elif dice < 0.09:
            del row["packet"]
            reasons = ("packet|nullability",)
        return json.dumps(row).encode(), number, reasons


class Traffic:
    """A producer that keeps sending until it is told to stop; a context manager.

    Parameters
    ----------
    broker
        Kafka or a journal.
    topic
        Made with two partitions if it is not there.
    seed
        Of the messages.
    mixture
        What kind they are of.
    """

    def __init__(self, broker: Broker, topic: str, *, seed: int, mixture: Callable[[int], Mixture] = Mixture) -> None:
        self._broker = broker
        self._topic = topic
        self._mixture = mixture(seed)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._stopping = threading.Event()
        self._error: Exception | None = None
        self.sent: dict[tuple[int, int], Sent] = {}

    def __enter__(self) -> Self:
        create_topic(self._broker, self._topic, PARTITIONS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(90)

    def stop(self) -> Mapping[tuple[int, int], Sent]:
        """End it; gives every acked message by partition and offset."""
        self.__exit__()
        assert not self._thread.is_alive(), "the producer does not end"
        if self._error is not None:
            raise self._error
        return self.sent

    def _run(self) -> None:
        try:
            queued: dict[int, list[Sent]] = {partition: [] for partition in range(PARTITIONS)}
            with open_producer(self._broker, self._topic) as producer:
                for turn in count():
                    batch = self._mixture.take(BATCH)
                    producer.send([message.value for message in batch], turn % PARTITIONS)
                    queued[turn % PARTITIONS] += batch
                    if self._stopping.wait(PAUSE_S):
                        break
                producer.flush()
                for partition, messages in queued.items():
                    self.sent |= placed(partition, messages, producer.ranges.get(partition, []))
        except Exception as error:  # noqa: BLE001 - carried to whoever stops it; a thread has no caller
            self._error = error


def placed(partition: int, messages: Sequence[Sent], ranges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Sent]:
    """Messages by partition and offset: a producer keeps the order of each partition."""
    offsets = list(chain.from_iterable(range(first, end) for first, end in ranges))
    return {(partition, offset): message for offset, message in zip(offsets, messages, strict=True)}


def send(broker: Broker, topic: str, messages: Sequence[Sent], *, partition: int = 0) -> dict[tuple[int, int], Sent]:
    """Send some messages to an existing topic and wait until they are acked."""
    with open_producer(broker, topic) as producer:
        producer.send([message.value for message in messages], partition)
        producer.flush()
        return placed(partition, messages, producer.ranges[partition])


def write_expectation(sent: Mapping[tuple[int, int], Sent], path: Path) -> Path:
    """Write what was sent as the checker reads it; a partition of one of several topics is ``topic/number``."""
    lines = []
    for (partition, offset), message in sent.items():
        topic, _, number = str(partition).rpartition("/")
        said = {"partition": int(number), "offset": offset, "rows": message.rows}
        lines.append(json.dumps(said | {"topic": topic} if topic else said))
    path.write_text("\n".join(lines))
    return path


def assert_law(lab: Workbench, table: str, sent: Mapping[tuple[int, int], Sent], folder: Path) -> VerifyReport:
    """The law of the message, by the checker and by the values themselves; prints the checker's words."""
    report = lab.verify(table, expect=write_expectation(sent, folder / f"{table}.ndjson"))
    print(report)
    assert report.ok, report
    assert (report.expected, report.pending, report.messages) == (len(sent), 0, len(sent))
    numbers = read(lab, table).get_column("number").sort().to_list()
    assert numbers == sorted(chain.from_iterable(message.numbers for message in sent.values()))
    assert held_rejects(lab, table) == Counter(chain.from_iterable(message.rejects for message in sent.values()))
    return report


def read(lab: Workbench, table: str) -> pl.DataFrame:
    """The whole table with its columns of identity."""
    return pl.read_delta(lab.store.table_uri(table), storage_options=lab.store.delta_options() or None)


def held_rejects(lab: Workbench, table: str) -> Counter[Reject]:
    """What the quarantine holds by now, by reasons and bytes; a row that was Arrow by what it said."""
    frame = lab.quarantine(table).lazy().select("raw", "text", "reasons", "_row").collect()
    return Counter(
        (raw if row is None else text.encode(), tuple(reasons)) for raw, text, reasons, row in frame.iter_rows()
    )
