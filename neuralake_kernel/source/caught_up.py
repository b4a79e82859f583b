"""Is there anything left to read? A read-committed consumer at the positions reaches the end without a message, or not.

Positions are compared with no watermark: the last entry of a topic may be a transaction's marker,
and offsets have gaps after compaction, so only reading tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.reach import reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuralake_kernel.source.broker import Broker

__all__ = ["is_caught_up"]


def is_caught_up(broker: Broker, topic: str, positions: Mapping[int, int]) -> bool:
    """Tell whether a consumer at these positions has read all that is committed.

    Parameters
    ----------
    broker
        Kafka or a journal.
    topic
        Its name.
    positions
        Next offset to read, by partition. A partition of the topic that is not named counts from
        its first message.

    Returns
    -------
    bool
        True when every partition's end is reached without a message.

    Raises
    ------
    SourceError
        ``position-out-of-range``: the position lies before the first message held, or past the end.
        ``topic-missing``, ``broker-away``.
    """
    driver = reach(broker)
    held = driver.offsets(topic)
    unknown = sorted(set(positions) - set(held))
    if unknown:
        msg = f"Cannot compare positions with topic {topic!r}: it has no partition {unknown[0]}, only {sorted(held)}."
        raise SourceError(
            msg,
            code="topic-missing",
            hint="The topic was made anew with fewer partitions; choose where to go on.",
        )
    places = {partition: positions.get(partition, first) for partition, (first, _) in held.items()}
    for partition, place in places.items():
        first, end = held[partition]
        if not first <= place <= end:
            raise SourceError(
                f"Cannot go on at offset {place} of {topic}/{partition}: the broker holds {first} to {end}.",
                code="position-out-of-range",
                hint="Messages were deleted, or the topic is a new one of the same name; choose earliest or latest.",
                context={
                    "topic": topic,
                    "partition": partition,
                    "position": place,
                    "first": first,
                    "end": end,
                },
            )
    return driver.is_read(topic, places)
