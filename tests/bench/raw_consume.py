"""The ceiling of the Python client: consume the topic and look at nothing but the number of messages.

Run as ``python -m tests.bench.raw_consume SPEC``; prints what it took as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.bench.usage import Meter

LIST_MESSAGES = 10_000


def run(spec: dict[str, Any]) -> dict[str, float]:
    meter = Meter()
    consumer = Consumer({**spec["consumer"], "group.id": "raw"})
    consumer.assign([TopicPartition(spec["topic"], partition, 0) for partition in range(spec["partitions"])])
    messages = 0
    while messages < spec["messages"]:
        messages += len(consumer.consume(LIST_MESSAGES, timeout=0.05))
    took = meter.read()
    consumer.close()
    return {"messages": messages, **took}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
