"""Ack modes of the journal's producer, as Python sees them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from neuralake_kernel import _bridge
from neuralake_kernel.errors import UsageError
from neuralake_kernel.source import JournalProducer, create_topic, end_offsets, open_producer
from neuralake_kernel.source.acks import Acks, AtRisk
from neuralake_kernel.stack import BrokerSpec

TOPIC = "acks"


@pytest.fixture
def broker(tmp_path: Path) -> BrokerSpec:
    broker = BrokerSpec.journal(tmp_path / "journal")
    create_topic(broker, TOPIC, 2)
    return broker


@pytest.mark.parametrize("acks", get_args(Acks))
def test_every_mode_gives_offsets_and_leaves_nothing_at_risk(broker: BrokerSpec, acks: Acks) -> None:
    with open_producer(broker, TOPIC, acks=acks) as producer:
        for number in range(30):
            producer.send([b"%d" % number] * 5, number % 2)
        assert producer.flush() == 150
        assert producer.at_risk == AtRisk(0, 0)
        producer.send([b"last"])
    assert end_offsets(broker, TOPIC) == {0: 76, 1: 75}
    assert producer.ranges == {0: [(0, 76)], 1: [(0, 75)]}


def test_durable_leaves_nothing_at_risk_at_any_time(broker: BrokerSpec) -> None:
    with open_producer(broker, TOPIC) as producer:
        for number in range(20):
            producer.send([b"x"] * 7)
            assert producer.at_risk == AtRisk(0, 0)
            assert end_offsets(broker, TOPIC)[0] == 7 * (number + 1)


def test_what_waits_for_its_sync_is_told(broker: BrokerSpec) -> None:
    with JournalProducer(str(broker.directory), TOPIC, acks="none") as producer:
        producer.send([b"x" * 100] * 50_000)
        at_once = producer.at_risk
        producer.flush()
        assert producer.at_risk == AtRisk(0, 0)
    # The background thread may have been quicker; it cannot have told of more than there was.
    assert at_once in {AtRisk(0, 0), AtRisk(50_000, at_once.bytes)}


def test_threads_share_a_writer(broker: BrokerSpec) -> None:
    values = [pa.array([b"%d" % thread] * 10, pa.binary()) for thread in range(8)]
    with _bridge.JournalWriter(str(broker.directory), TOPIC, 0) as writer, ThreadPoolExecutor(8) as pool:
        ranges = list(pool.map(writer.append, values * 10))
    offsets = sorted(ranges)
    assert offsets == [(first, first + 10) for first in range(0, 800, 10)]
    stored = pa.record_batch(_bridge.journal_read(str(broker.directory), TOPIC, 0, 0, 1000)).column("value").to_pylist()
    for (first, end), value in zip(ranges, values * 10, strict=True):
        assert stored[first:end] == value.to_pylist()


def test_a_mode_that_there_is_not_is_a_usage_error(broker: BrokerSpec) -> None:
    with pytest.raises(UsageError) as caught:
        open_producer(broker, TOPIC, acks="fast")  # type: ignore[arg-type] # the point of the test
    assert caught.value.code == "acks-unknown"
