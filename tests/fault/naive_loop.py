"""The loop that everybody writes first: consume, write, commit the offset. Not exactly once, on purpose.

``python naive_loop.py SPEC``. The spec is JSON: ``options`` (of the Kafka client), ``topic``, ``uri`` and
``storage_options`` of the table, ``commit`` (``before`` or ``after`` the write), ``batch`` (messages), ``plan`` (a file
of deaths as the workers take them; the loop knows one point, ``between`` write and commit). Ends with 0 at the end of
the topic. The judge of the fault tests: a checker that finds nothing here is worth nothing.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from deltalake import write_deltalake


def next_death(plan: Path) -> Callable[[], None]:
    """Take the first line of the plan; gives what to call at the point."""
    line, _, rest = plan.read_text().partition("\n")
    plan.write_text(rest)
    point, _, nth = line.partition(" ")
    passed = 0

    def between() -> None:
        nonlocal passed
        passed += 1
        if point == "between" and passed == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)

    return between


def resume(consumer: Consumer, topic: str) -> int:
    """Assign every partition at its committed offset; gives how many there are.

    By hand: a group would wait for the session of the killed member to expire.
    """
    partitions = consumer.list_topics(topic, 30).topics[topic].partitions
    committed = consumer.committed([TopicPartition(topic, partition) for partition in partitions], 30)
    for place in committed:
        place.offset = place.offset if place.offset >= 0 else OFFSET_BEGINNING
    consumer.assign(committed)
    return len(committed)


def write(spec: dict[str, Any], messages: list[Message]) -> None:
    """Append the rows of some messages."""
    rows = [
        json.loads(message.value()) | {"_partition": message.partition(), "_offset": message.offset()}
        for message in messages
    ]
    write_deltalake(spec["uri"], pa.Table.from_pylist(rows), mode="append", storage_options=spec["storage_options"])


def main(spec: dict[str, Any]) -> int:
    """Run the loop to the end of the topic."""
    between = next_death(Path(spec["plan"]))
    consumer = Consumer(
        {**spec["options"], "group.id": spec["uri"], "enable.auto.commit": False, "enable.partition.eof": True}
    )
    left = resume(consumer, spec["topic"])
    while left > 0:
        consumed = consumer.consume(spec["batch"], 0.5)
        left -= sum(m.error() is not None and m.error().code() == KafkaError._PARTITION_EOF for m in consumed)
        messages = [message for message in consumed if message.error() is None]
        if not messages:
            continue
        if spec["commit"] == "before":
            consumer.commit(asynchronous=False)
            between()
            write(spec, messages)
        else:
            write(spec, messages)
            between()
            consumer.commit(asynchronous=False)
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
