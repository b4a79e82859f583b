"""Topics, producers and replay, the same suite on the journal and on a real Kafka."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.source import (
    Broker,
    Recording,
    ReplayReport,
    create_topic,
    end_offsets,
    is_caught_up,
    open_producer,
    read,
    replay,
    topic_incarnation,
)
from neuralake_kernel.source import kafka as kafka_source
from neuralake_kernel.stack import BrokerSpec, Stack, StackPolicy

DATA = Path(__file__).parents[2] / "notebooks" / "data"
LOG = DATA / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
EDF = DATA / "eeg-motor-imagery-64ch" / "S001R04.edf"
TOPIC = "openbci.raw"


@pytest.fixture(scope="module")
def kafka() -> Iterator[BrokerSpec]:
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home", tools_dir=_tools_dir(), policy=StackPolicy(profile="local"))
        try:
            stack.start()
            yield stack.broker
        finally:
            stack.stop()


def _tools_dir() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("NEURALAKE_TOOLS_DIR") or cache / "neuralake" / "tools")


@pytest.fixture(params=["journal", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    if request.param == "journal":
        return BrokerSpec.journal(tmp_path / "journal")
    return request.getfixturevalue("kafka")


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """Give a name that no other test has used on the shared broker."""
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def second(tmp_path: Path) -> Recording:
    """Give the first second of the board's log."""
    path = tmp_path / "second.txt"
    path.write_text("\n".join(LOG.read_text().splitlines()[:256]) + "\n")
    return read(path)


def _messages(broker: Broker, topic: str, partition: int = 0) -> list[bytes]:
    end = end_offsets(broker, topic)[partition]
    if broker.kind == "journal":
        from neuralake_kernel import _bridge

        batch = pa.record_batch(_bridge.journal_read(str(broker.directory), topic, partition, 0, end + 1))
        return batch.column("value").to_pylist()
    consumer = Consumer({**broker.options, "group.id": "test", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < end and time.monotonic() < deadline:
        found += [message.value() for message in consumer.consume(1000, 0.2)]
    consumer.close()
    return found


def test_a_topic_is_made_once(broker: Broker, topic: str) -> None:
    made = create_topic(broker, topic, 2)
    assert made == create_topic(broker, topic, 2) == topic_incarnation(broker, topic)
    assert end_offsets(broker, topic) == {0: 0, 1: 0}
    assert create_topic(broker, f"{topic}x", 1) != made
    with pytest.raises(SourceError):
        create_topic(broker, topic, 3)


def test_a_topic_that_is_not_there_is_named(broker: Broker) -> None:
    for ask in (topic_incarnation, end_offsets):
        with pytest.raises(SourceError) as caught:
            ask(broker, "never.made")
        assert "never.made" in str(caught.value)
        assert caught.value.hint


def test_what_is_sent_is_there_in_order(broker: Broker, topic: str) -> None:
    create_topic(broker, topic, 2)
    values = [b"%d" % number for number in range(5000)]
    with open_producer(broker, topic) as producer:
        producer.send(values[:2000])
        producer.send(values[2000:])
        producer.send([b"other"], 1)
        producer.send([])
        assert producer.flush() == 5001
        assert {partition: list(pairs) for partition, pairs in producer.ranges.items()} == {0: [(0, 5000)], 1: [(0, 1)]}
    producer.close()
    assert _messages(broker, topic) == values
    assert _messages(broker, topic, 1) == [b"other"]


def test_caught_up_means_the_end_without_a_message(broker: Broker, topic: str) -> None:
    create_topic(broker, topic, 2)
    assert is_caught_up(broker, topic, {})
    with open_producer(broker, topic) as producer:
        producer.send([b"a", b"b", b"c"])
        producer.flush()
    assert not is_caught_up(broker, topic, {})
    assert not is_caught_up(broker, topic, {0: 2, 1: 0})
    assert is_caught_up(broker, topic, {0: 3})
    assert is_caught_up(broker, topic, {0: 3, 1: 0})


@pytest.mark.parametrize(("positions", "code"), [({0: 4}, "position-out-of-range"), ({7: 0}, "topic-missing")])
def test_positions_of_another_life_are_named(broker: Broker, topic: str, positions: dict[int, int], code: str) -> None:
    create_topic(broker, topic, 1)
    with open_producer(broker, topic) as producer:
        producer.send([b"a", b"b", b"c"])
        producer.flush()
    with pytest.raises(SourceError) as caught:
        is_caught_up(broker, topic, positions)
    assert caught.value.code == code


def test_a_marker_as_last_entry_is_no_message(kafka: BrokerSpec, topic: str, wait_until: Callable[..., None]) -> None:
    create_topic(kafka, topic)
    producer = Producer({**kafka.options, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"kept", partition=0)
    producer.commit_transaction(30)
    # The coordinator answers before its marker stands in the partition.
    wait_until(lambda: end_offsets(kafka, topic) == {0: 2}, what="the marker")
    assert is_caught_up(kafka, topic, {0: 1})
    assert not is_caught_up(kafka, topic, {0: 0})
    producer.begin_transaction()
    producer.produce(topic, b"dropped", partition=0)
    producer.flush(30)
    assert is_caught_up(kafka, topic, {0: 2}), "an open transaction is nothing to read yet"
    producer.abort_transaction(30)
    assert is_caught_up(kafka, topic, {0: 2}), "an aborted one never will be"


def test_a_replay_sends_each_row_once(broker: Broker, topic: str, tmp_path: Path) -> None:
    create_topic(broker, topic)
    recording = read(LOG)
    sent_to = tmp_path / "made" / "sent.ndjson"
    reports: list[ReplayReport] = []
    handle = replay(recording, topic, broker, speed=None, sent_to=sent_to, progress=reports.append)
    report = handle.wait(120)
    assert (report.state, report.messages_sent, report.acked) == ("finished", 22_490, 22_490)
    (part,) = report.partitions
    assert (part.partition, part.first_offset, part.next_offset, part.messages) == (0, 0, 22_490, 22_490)
    assert reports[-1] == report == handle.status()
    messages = _messages(broker, topic)
    assert report.bytes_sent == sum(map(len, messages))
    expected = recording.rows()
    first = json.loads(messages[0])
    assert list(first) == expected.columns
    assert first["event_time"] == 1_557_936_053_329_000
    assert [json.loads(message)["ch8_uv"] for message in messages] == expected.get_column("ch8_uv").to_list()
    listed = [json.loads(line) for line in sent_to.read_text().splitlines()]
    assert listed == [{"topic": topic, "partition": 0, "offset": offset, "rows": 1} for offset in range(22_490)]


def test_a_replay_keeps_the_rhythm(broker: Broker, topic: str, second: Recording) -> None:
    create_topic(broker, topic)
    report = replay(second, topic, broker, speed=2).wait(60)
    assert report.state == "finished"
    times = second.rows().get_column("event_time")
    assert report.seconds >= (times[-1] - times[0]).total_seconds() / 2


def test_a_rebased_replay_begins_now(broker: Broker, topic: str, second: Recording) -> None:
    create_topic(broker, topic)
    before_us = time.time_ns() // 1000
    replay(second, topic, broker, speed=None, event_time="rebased").wait(60)
    after_us = time.time_ns() // 1000
    found = [json.loads(message)["event_time"] for message in _messages(broker, topic)]
    original = second.rows().get_column("event_time").dt.epoch("us").to_list()
    assert before_us <= found[0] <= after_us
    assert [time_us - found[0] for time_us in found] == [time_us - original[0] for time_us in original]


@pytest.mark.parametrize("outside", [False, True])
def test_a_stopped_replay_says_how_far_it_came(
    broker: Broker, topic: str, outside: bool, wait_until: Callable[..., None]
) -> None:
    create_topic(broker, topic)
    event = threading.Event()
    handle = replay(read(LOG), topic, broker, speed=1, stop=event)
    wait_until(lambda: handle.status().messages_sent > 10, what="the first packets")
    if outside:
        event.set()
        report = handle.wait(30)
    else:
        report = handle.stop()
    assert report.state == "stopped"
    assert 10 < report.acked == report.messages_sent < 22_490
    assert end_offsets(broker, topic) == {0: report.messages_sent}
    assert handle.stop() == report


def test_columns_are_matched_before_anything_is_sent(broker: Broker, topic: str, second: Recording) -> None:
    create_topic(broker, topic)
    wanted = ["session", "packet", "ch1_uv", "impedance_ohm"]
    with pytest.raises(UsageError) as caught:
        replay(second, topic, broker, columns=wanted, required=["session", "impedance_ohm"])
    assert caught.value.code == "columns-missing"
    assert "impedance_ohm" in str(caught.value)
    with pytest.raises(UsageError):
        replay(second, topic, broker, columns=["spikes"])
    assert end_offsets(broker, topic) == {0: 0}
    replay(second, topic, broker, columns=wanted, required=["session"], speed=None, session="s1").wait(60)
    assert json.loads(_messages(broker, topic)[0]) == {"session": "s1", "packet": 0, "ch1_uv": 61379.36}


def test_a_key_keeps_a_recording_on_one_partition(broker: Broker, topic: str, second: Recording) -> None:
    create_topic(broker, topic, 4)
    for _ in range(2):
        replay(second, topic, broker, speed=None, key="subject-7").wait(60)
    assert sorted(end_offsets(broker, topic).values()) == [0, 0, 0, 2 * second.n_samples]


def test_an_edf_replays_by_its_sample_clock(broker: Broker, topic: str) -> None:
    create_topic(broker, topic)
    columns = ["session", "sample_index", "event_time", "c3_uv", "cz_uv"]
    report = replay(read(EDF), topic, broker, columns=columns, speed=None).wait(120)
    assert report.columns == tuple(columns)
    message = json.loads(_messages(broker, topic)[160])
    assert (message["sample_index"], message["event_time"]) == (160, 1_250_093_701_000_000)


@pytest.mark.parametrize("arguments", [{"speed": 0}, {"speed": -1}, {"event_time": "tomorrow"}])
def test_a_wrong_wish_is_named(broker: Broker, second: Recording, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        replay(second, TOPIC, broker, **arguments)
    assert caught.value.hint


def test_a_missing_topic_ends_a_replay_before_it_begins(broker: Broker, second: Recording) -> None:
    with pytest.raises(SourceError):
        replay(second, "never.made", broker)


@pytest.fixture
def nowhere(unused_port: int) -> BrokerSpec:
    options = {"bootstrap.servers": f"127.0.0.1:{unused_port}", "message.timeout.ms": "500"}
    return BrokerSpec(kind="kafka", options=options)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_broker_that_is_away_is_named(
    nowhere: BrokerSpec, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kafka_source, "ANSWER_TIMEOUT_S", 1.0)
    for ask in (topic_incarnation, end_offsets, create_topic):
        with pytest.raises(SourceError) as caught:
            ask(nowhere, TOPIC)
        assert (caught.value.code, caught.value.retryable) == ("broker-away", True)
    with open_producer(nowhere, TOPIC) as producer:
        producer.send([b"lost"])
        with pytest.raises(SourceError) as caught:
            producer.flush()
    assert caught.value.code == "broker-away"
    assert producer.ranges == {}
    assert capfd.readouterr().err == "", "librdkafka must not print"


def test_a_producer_of_a_missing_topic_says_so(kafka: BrokerSpec) -> None:
    with open_producer(kafka, "never.made") as producer:
        producer.send([b"lost"])
        with pytest.raises(SourceError) as caught:
            producer.flush()
    assert caught.value.code == "topic-missing"


def test_a_closed_producer_refuses(broker: Broker, topic: str) -> None:
    create_topic(broker, topic)
    producer = open_producer(broker, topic)
    producer.close()
    with pytest.raises(UsageError):
        producer.send([b"late"])


def test_a_broker_without_an_address_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        end_offsets(BrokerSpec(kind="kafka", options={"client.id": "x"}), TOPIC)
