"""Sample packets through a job that dies again and again: every sample once, the first delivered, gaps explicit."""

import json
import random
import struct
import threading
import uuid
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import neuralake_kernel as nl
from neuralake_kernel import Workbench
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import PacketStream, create_topic, encode_packets, open_producer
from tests.fault.deaths import AT_ONCE, DeathPlan, mixed_deaths

RATE_HZ, CHANNELS, MOMENTS = 2000.0, 6, 40
TOPIC = "fault.packets"
#: Bytes that a lie puts over the header, and what it is told as.
LIES = {
    (0, b"XXXX"): "packet|header",
    (5, b"\x07"): "packet|dtype",
    (32, struct.pack("<d", 999.0)): "packet|rate_changed",
    (40, struct.pack("<H", CHANNELS - 1)): "packet|length",
    (48, struct.pack("<d", 8.0)): "packet|gain_changed",
}
Wait = Callable[..., None]


@nl.signals(topic=TOPIC, description="Packets of the fault tests.")
class FaultPackets:
    pass


class Device:
    """Sends packets of one stream out of order, twice or never, and remembers what was delivered first."""

    def __init__(self, chance: random.Random, dtype: str, layout: str) -> None:
        self.chance = chance
        self.stream = PacketStream(uuid.UUID(int=chance.getrandbits(128)), RATE_HZ, gain_to_uv=0.25, layout=layout)
        self.dtype = np.dtype(dtype)
        self.delivered: dict[int, NDArray[Any]] = {}
        self.at = self.jumps = 0

    def packet(self, index: int) -> bytes:
        first = index * MOMENTS
        bits = np.frombuffer(self.chance.randbytes(MOMENTS * CHANNELS * self.dtype.itemsize), dtype=self.dtype)
        samples = bits.reshape(MOMENTS, CHANNELS)
        if samples.dtype.kind == "f":
            # What is no number has no scale to be compared on.
            samples = np.nan_to_num(samples, posinf=1.0, neginf=-1.0)
        for place, moment in enumerate(samples):
            self.delivered.setdefault(first + place, moment)
        (packet,) = encode_packets(self.stream, samples, first=first, moments=MOMENTS)
        return packet

    def turn(self) -> bytes:
        """The next packet: sometimes one is left out before it, sometimes it is an old one."""
        dice = self.chance.random()
        if dice < 0.1:
            self.at += self.chance.randint(1, 3)
            # Before the first packet there is nothing that anything could be missing from.
            self.jumps += bool(self.delivered)
        if dice > 0.85 and self.at > 4:
            return self.packet(self.at - self.chance.randint(1, 4))
        self.at += 1
        return self.packet(self.at - 1)

    def lie(self) -> bytes:
        """A packet whose header lies; nothing of it is to be seen."""
        (packet,) = encode_packets(self.stream, np.ones((MOMENTS, CHANNELS), self.dtype), first=0, moments=MOMENTS)
        at, bytes_ = self.chance.choice(list(LIES))
        return packet[:at] + bytes_ + packet[at + len(bytes_) :]

    @property
    def extent(self) -> tuple[int, int]:
        return min(self.delivered), max(self.delivered) + 1

    def expected(self) -> NDArray[np.float64]:
        first, last = self.extent
        whole = np.full((last - first, CHANNELS), np.nan)
        for index, moment in self.delivered.items():
            whole[index - first] = moment * 0.25
        return whole


def described(packet: bytes) -> dict[str, object]:
    """What a packet says of itself, as the checker reads it."""
    first, moments = struct.unpack_from("<Q", packet, 24)[0], struct.unpack_from("<I", packet, 44)[0]
    return {"stream": str(uuid.UUID(bytes=packet[8:24])), "sample_start": first, "sample_stop": first + moments}


class Devices:
    """Devices that send until they are told to stop, each on its own partition, with a bad packet now and then."""

    def __init__(self, lab: Workbench, devices: list[Device]) -> None:
        self._lab = lab
        self._devices = devices
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.messages = self.poison = 0
        self.sent: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(90)

    def _run(self) -> None:
        with open_producer(self._lab.broker, TOPIC) as producer:
            for turn in count():
                for place, device in enumerate(self._devices):
                    packets = [device.turn() for _ in range(3)]
                    if turn % 5 == 0:
                        packets.append(device.lie())
                        self.poison += 1
                    producer.send(packets, place)
                    self.messages += len(packets)
                    self.sent += [{"partition": place, **described(packet)} for packet in packets]
                if self._stopping.wait(0.02):
                    break
            producer.flush()


def test_a_stream_survives_the_deaths_of_its_job(embedded: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    lab, chance = embedded, random.Random(5)
    kinds = (("int16", "time"), ("int32", "channel"), ("float32", "time"))
    devices = [Device(chance, dtype, layout) for dtype, layout in kinds]
    plan = DeathPlan(tmp_path / "plan", mixed_deaths(chance, per_point=1, at_random=3))
    create_topic(lab.broker, TOPIC, len(devices))
    policy = IngestPolicy(flush=FlushPolicy(max_rows=60, max_age_s=0.05), checkpoint_every=3)
    with (
        Devices(lab, devices) as sending,
        lab.ingest(FaultPackets, policy=policy, partitions=3, restart=AT_ONCE, faults=plan.path) as job,
    ):
        plan.carry_out(job, wait_until)
        sending.__exit__()
        assert job.wait(60).caught_up
        assert job.status().restarts == len(plan.deaths)
    for device in devices:
        stored = lab.recording(str(device.stream.id))
        np.testing.assert_array_equal(stored.samples().to_numpy(), device.expected())
        with pytest.raises(UsageError) as refused:
            stored.samples(units="counts").to_numpy()
        assert refused.value.code == ("no-counts" if device.dtype.kind == "f" else "gap-in-window")
        gaps = stored.intervals().filter(pl.col("kind") == "gap")
        assert gaps.height == device.jumps
        assert gaps.unique(["sample_start", "sample_stop"]).height == gaps.height
    letters = pl.read_delta(lab.store.table_uri("fault_packets__quarantine"))
    assert letters.height == sending.poison
    assert set(letters["reasons"].explode()) == set(LIES.values())
    assert lab.table("recordings").lazy().select(pl.len()).collect().item() == len(devices)
    assert lab.table("channels").lazy().select(pl.len()).collect().item() == len(devices) * CHANNELS
    sent_to = tmp_path / "sent.ndjson"
    sent_to.write_text("\n".join(map(json.dumps, sending.sent)))
    report = lab.verify(FaultPackets, expect=sent_to)
    print(report)
    assert report.ok, report
    assert (report.expected, report.pending, report.dead_letters) == (len(sending.sent), 0, sending.poison)
    assert report.samples is not None
    assert report.samples.held + report.samples.behind == (len(sending.sent) - sending.poison) * MOMENTS
    marked = lab.table(FaultPackets).lazy().filter(pl.col("mark") == "behind", pl.col("channel") == 0).collect()
    assert marked.height > 0


def test_a_commit_has_one_block_of_each_channel(embedded: Workbench, wait_until: Wait) -> None:
    stream = PacketStream(uuid.UUID(int=7), RATE_HZ)
    samples = np.arange(2000 * CHANNELS, dtype=np.int16).reshape(-1, CHANNELS)
    create_topic(embedded.broker, TOPIC, 1)
    with open_producer(embedded.broker, TOPIC) as producer:
        producer.send(list(encode_packets(stream, samples, moments=MOMENTS, device_time_us=1_700_000_000_000_000)))
        producer.flush()
    with embedded.ingest(FaultPackets, policy=IngestPolicy(flush=FlushPolicy(max_age_s=1.0))) as job:
        assert job.wait(60).caught_up
        report = job.report()
    assert report.committed_messages == 50
    blocks = embedded.table(FaultPackets).lazy(identity=True).collect()
    per_commit = blocks.group_by("channel", "_offset_first").len()
    assert blocks.height <= report.commits * CHANNELS
    assert per_commit["len"].max() == 1
    stored = embedded.recording(str(stream.id))
    assert stored.state == "live"
    np.testing.assert_array_equal(stored.samples(units="counts").to_numpy(), samples)
    assert blocks["event_time_start"].min() == stored.start_time
