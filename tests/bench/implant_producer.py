"""Send sample packets of several implants to Kafka at a share of their rate.

Run as ``python -m tests.bench.implant_producer SPEC``; prints packets, bytes, seconds and CPU seconds as JSON. It is a
process of its own, so that what it costs is not taken from the program that is measured.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from neuralake_kernel.source import PacketStream, encode_packets
from tests.bench.usage import Meter

#: Where stream and first sample stand in a header.
STREAM, FIRST = slice(8, 24), slice(24, 32)
#: Seconds of distinct samples: longer than a block, so that no block repeats itself and compresses too well.
DISTINCT_S = 2
STEP_S = 0.002


def packets(spec: dict[str, Any]) -> list[bytes]:
    """Packets of noise on slow waves, as amplifiers see them; every implant sends these, from another one on."""
    rate_hz, channels = spec["rate_hz"], spec["channels"]
    dice = np.random.default_rng(20_262)
    times = np.arange(DISTINCT_S * rate_hz) / rate_hz
    waves = 120 * np.sin(2 * np.pi * 8 * times[:, None] + np.linspace(0, 6, channels))
    samples = (waves + dice.normal(0, 18, waves.shape)).astype(np.int16)
    return list(encode_packets(PacketStream(uuid.UUID(int=0), rate_hz, 0.195), samples, moments=spec["moments"]))


def run(spec: dict[str, Any]) -> dict[str, Any]:
    refused: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(str(error))

    made = packets(spec)
    streams = [uuid.UUID(name).bytes for name in spec["streams"]]
    # A packet is under way or it is not sent yet: the client's queue holds a second of all implants.
    bounds = {"queue.buffering.max.kbytes": 131_072, "linger.ms": 2, "batch.size": 4_194_304}
    producer = Producer({**bounds, **spec["options"]})
    packet_hz = spec["share"] * spec["rate_hz"] / spec["moments"]
    sent = size = 0
    meter = Meter()
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < spec["seconds"]:
        due = int(packet_hz * elapsed)
        while sent < due and time.perf_counter() - began < spec["seconds"]:
            for partition, stream in enumerate(streams):
                packet = bytearray(made[(sent + 17 * partition) % len(made)])
                packet[STREAM] = stream
                packet[FIRST] = (sent * spec["moments"]).to_bytes(8, "little")
                produce(producer, spec["topic"], bytes(packet), partition, delivered)
                size += len(packet)
            sent += 1
        producer.poll(0)
        time.sleep(STEP_S)
    producer.flush()
    if refused:
        sys.exit(f"{len(refused)} packets were refused, the first: {refused[0]}")
    return {"packets": sent * len(streams), "bytes": size, "ended_at": time.time(), **meter.read()}


def produce(producer: Producer, topic: str, packet: bytes, partition: int, delivered: Callable[..., None]) -> None:
    while True:
        try:
            producer.produce(topic, value=packet, partition=partition, on_delivery=delivered)
        except BufferError:
            producer.poll(0.01)
        else:
            return


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
