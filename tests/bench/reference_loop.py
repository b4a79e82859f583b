"""The peer: the loop a good Python programmer writes, one process, one thread.

Consume in lists, decode each list by one call of orjson, turn it into Arrow columns, append to Delta when enough rows
wait, then store the group's offsets. It does less than our worker: rows keep no identity, no contract is checked, no
bad message is put aside (it would raise), and a crash between append and offsets doubles rows.

Run as ``python -m tests.bench.reference_loop SPEC``; prints what it took as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition
from deltalake import write_deltalake

from tests.bench.usage import Meter

SCHEMA = pa.schema(
    {
        "session": pa.string(),
        "packet": pa.int16(),
        "event_time": pa.timestamp("us", tz="UTC"),
        "ch1_uv": pa.float32(),
        "ch2_uv": pa.float32(),
    }
)
LIST_MESSAGES = 10_000


def decoded(values: list[bytes]) -> pa.RecordBatch:
    rows = orjson.loads(b"[" + b",".join(values) + b"]")
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in SCHEMA]
    return pa.record_batch(columns, schema=SCHEMA)


def run(spec: dict[str, Any]) -> dict[str, float]:
    """Move the topic into the table; seconds count from the first line to the last commit."""
    meter = Meter()
    consumer = Consumer({**spec["consumer"], "group.id": spec["table_uri"]})
    consumer.assign([TopicPartition(spec["topic"], partition, 0) for partition in range(spec["partitions"])])
    waiting: list[pa.RecordBatch] = []
    rows = committed = commits = 0
    while committed < spec["messages"]:
        messages = consumer.consume(LIST_MESSAGES, timeout=0.05)
        values = [message.value() for message in messages if message.error() is None]
        if values:
            waiting.append(decoded(values))
            rows += len(values)
        is_last = committed + rows == spec["messages"]
        if rows >= spec["commit_rows"] or is_last:
            table = pa.Table.from_batches(waiting)
            write_deltalake(spec["table_uri"], table, mode="append", storage_options=spec["delta_options"])
            consumer.commit(asynchronous=True)
            committed, rows, waiting = committed + rows, 0, []
            commits += 1
    took = meter.read()
    consumer.close()
    return {"messages": committed, "commits": commits, **took}


if __name__ == "__main__":
    # The first conversion looks for pandas, which takes a second: an import, and imports are nobody's cost.
    decoded([b'{"session":"","packet":0,"event_time":0,"ch1_uv":0.0,"ch2_uv":0.0}'])
    sys.stdout.write(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
