"""Messages that break the contract on purpose, so that the quarantine is seen at work."""

import json
from pathlib import Path
from typing import Final

from neuralake_kernel.source import Broker, open_producer

__all__ = ["POISON", "send_poison"]

_GOOD: Final = {"session": "poison", "packet": 1, "event_time": "2026-01-01T00:00:00Z", "ch1_uv": 1.5}


def _line(**changes: object) -> str:
    kept = {name: value for name, value in (_GOOD | changes).items() if value is not None}
    return json.dumps(kept)


#: What is wrong with a message, the message, and its rows.
POISON: Final[tuple[tuple[str, bytes, int], ...]] = (
    ("cut short", b'{"session": "poison", "packet": 1', 1),
    ("empty", b"", 1),
    ("no object", b"[1, 2, 3]", 1),
    ("a column is missing", _line(event_time=None).encode(), 1),
    ("text for a number", _line(ch1_uv="high").encode(), 1),
    ("out of bounds", _line(packet=300).encode(), 1),
    ("one of two rows is bad", f"{_line(packet=2)}\n{_line(packet=-1)}".encode(), 2),
)


def send_poison(broker: Broker, topic: str, *, sent_to: Path) -> int:
    """Send them, and add them to the list of what was sent.

    Parameters
    ----------
    broker, topic
        Where to.
    sent_to
        The list that a replay wrote.

    Returns
    -------
    int
        Messages acked.
    """
    with open_producer(broker, topic) as producer:
        producer.send([message for _, message, _ in POISON])
        producer.flush()
        offsets = [offset for first, end in producer.ranges[0] for offset in range(first, end)]
    with sent_to.open("a", encoding="ascii", newline="\n") as file:
        for offset, (_, _, rows) in zip(offsets, POISON, strict=True):
            file.write(f'{{"topic":"{topic}","partition":0,"offset":{offset},"rows":{rows}}}\n')
    return len(offsets)
