"""Send numbered JSON rows to Kafka at given rates; each row says when it was handed to the client.

Run as ``python -m tests.bench.paced_producer SPEC``; prints the messages sent and the seconds of each stretch as JSON.
A process of its own: what it costs is not taken from the program that is measured.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

STEP_S = 0.005


def run(spec: dict[str, Any]) -> dict[str, Any]:
    refused: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(str(error))

    producer = Producer({"linger.ms": 1, "queue.buffering.max.messages": 2_000_000, **spec["options"]})
    sent, took = 0, []
    for rate_hz, seconds in spec["stretches"]:
        began, first = time.perf_counter(), sent
        while (elapsed := time.perf_counter() - began) < seconds:
            due = first + int(rate_hz * elapsed)
            now_us = time.time_ns() // 1000
            while sent < due:
                value = b'{"number":%d,"sent_us":%d,"ch1_uv":%.2f,"ch2_uv":%.2f}' % (sent, now_us, sent % 97, sent % 89)
                producer.produce(spec["topic"], value=value, partition=sent % spec["partitions"], on_delivery=delivered)
                sent += 1
            producer.poll(0)
            time.sleep(STEP_S)
        took.append(time.perf_counter() - began)
    producer.flush()
    if refused:
        sys.exit(f"{len(refused)} messages were refused, the first: {refused[0]}")
    return {"messages": sent, "seconds": took}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
