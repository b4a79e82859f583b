"""What every table on a topic has committed of it: below the lowest of these positions nobody needs the messages.

A table counts if it is declared on the topic, was once started on it here, or holds a position in it. One that holds
none yet, or positions of another life of the topic, needs every message.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from neuralake_kernel.errors import CatalogError, UsageError
from neuralake_kernel.source import (
    Broker,
    delete_before,
    end_offsets,
    first_offsets,
    incarnation_bits,
    topic_incarnation,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from neuralake_kernel.catalog.catalog import Catalog

__all__ = ["TopicRetention", "TopicTrim", "trim_topic"]

#: What may go: what every table on the topic has committed.
TopicRetention = Literal["committed"]


@dataclass(frozen=True, slots=True)
class TopicTrim:
    """What was deleted of a topic.

    Parameters
    ----------
    topic
        Its name.
    deleted
        Offsets that are gone, over all partitions.
    first
        First offset held now, by partition.
    held_by
        Table with the lowest position, by partition; empty where all are level with the end.
    """

    topic: str
    deleted: int
    first: Mapping[int, int]
    held_by: Mapping[int, str]

    def __str__(self) -> str:
        """One line."""
        holders = ", ".join(sorted(set(self.held_by.values()))) or "nobody"
        return f"{self.topic}: {self.deleted:,} offsets deleted, the rest is held by {holders}"


def trim_topic(
    catalog: "Catalog", broker: Broker, topic: str, *, retention: TopicRetention, started: Iterable[str]
) -> TopicTrim:
    """Delete the messages of a Kafka topic below the lowest position of every table on it.

    Positions only grow, so one that is read here is still safe when the broker deletes.

    Parameters
    ----------
    catalog
        Tables of the lake and declarations.
    broker
        Kafka.
    topic
        Which topic.
    retention
        What may go.
    started
        Tables that were once started on it here.

    Raises
    ------
    UsageError
        ``kafka-only``, or ``retention-invalid``.
    CatalogError
        The store is away: then nothing is deleted.
    SourceError
        ``topic-missing``, ``broker-away`` or ``broker-refused``.
    """
    if retention not in get_args(TopicRetention):
        message = f"Cannot trim by retention={retention!r}: expected 'committed'."
        raise UsageError(message, code="retention-invalid")
    incarnation = incarnation_bits(topic_incarnation(broker, topic))
    before, end = first_offsets(broker, topic), end_offsets(broker, topic)
    lowest = _lowest(catalog, topic, incarnation, tuple(before), set(started))
    # A position past the end is an error of its own, for its job to tell.
    places = {part: min(place, end[part]) for part, (place, _) in lowest.items() if place > before[part]}
    first = before | (delete_before(broker, topic, places) if places else {})
    deleted = sum(first[part] - before[part] for part in first)
    held_by = {part: name for part, (place, name) in lowest.items() if place < end[part]}
    return TopicTrim(topic=topic, deleted=deleted, first=first, held_by=held_by)


def _lowest(
    catalog: "Catalog", topic: str, incarnation: int, partitions: Collection[int], started: set[str]
) -> dict[int, tuple[int, str]]:
    """Lowest position of each partition and its table; 0 where a table has none, empty where no table is on it."""
    wanted = {name for name, declared in catalog.declarations.items() if topic in declared.topics} | started
    lowest: dict[int, tuple[int, str]] = {}
    for name in sorted(set(catalog.names()) | wanted):
        table = _opened(catalog, name)
        found = {} if table is None else _positions(table, name, topic, incarnation, partitions)
        if not found and name not in wanted:
            continue
        for partition in partitions:
            place = (found.get(partition, 0), name)
            lowest[partition] = min(lowest.get(partition, place), place)
    return lowest


def _opened(catalog: "Catalog", name: str) -> "DeltaTable | None":
    try:
        return catalog.snapshots.at(name)
    except CatalogError as error:
        if error.code == "table-not-created":
            return None
        raise


def _positions(
    table: "DeltaTable", name: str, topic: str, incarnation: int, partitions: Collection[int]
) -> dict[int, int]:
    """Positions of one table; those of another life of the topic are none."""
    if table.transaction_version(f"{name}/{topic}/id") not in {incarnation, None}:
        return dict.fromkeys(partitions, 0)
    found = {partition: table.transaction_version(f"{name}/{topic}/{partition}") for partition in partitions}
    return {partition: position for partition, position in found.items() if position is not None}
