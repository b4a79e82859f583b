"""A job registers on its topic, and what it has committed is let go when the topic says so."""

import json
from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel.errors import SourceError, UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import (
    Journal,
    RetentionPolicy,
    create_topic,
    end_offsets,
    open_producer,
    topic_incarnation,
)
from neuralake_kernel.stack import BrokerSpec

TOPIC = "keeping"
MESSAGES = 140
# Segments end at 64 MiB.
MESSAGE_BYTES = 1_000_000


@nl.table(topic=TOPIC, name="keeping", description="Large messages, so that segments end soon.")
class Keeping(dy.Schema):
    number = dy.Int64(nullable=False)


def fill(broker: BrokerSpec, first: int = 0) -> None:
    with open_producer(broker, TOPIC) as producer:
        for number in range(first, first + MESSAGES):
            producer.send([json.dumps({"number": number}).encode().ljust(MESSAGE_BYTES)])


def test_a_job_holds_what_it_has_yet_to_read_and_lets_go_what_it_committed(
    home: Path, wait_until: Callable[..., None]
) -> None:
    policy = IngestPolicy(flush=FlushPolicy(max_age_s=0.05))
    with nl.open(profile="embedded", home=home) as lab:
        create_topic(lab.broker, TOPIC)
        incarnation = topic_incarnation(lab.broker, TOPIC)
        fill(lab.broker)
        job = lab.ingest(Keeping, policy=policy)
        assert job.wait(60).caught_up
        assert [(c.name, c.positions, c.lag) for c in lab.journal.consumers(TOPIC)] == [
            ("keeping", {0: MESSAGES}, {0: 0})
        ]
        assert lab.journal.retention(TOPIC) is None
        job.stop()
        fill(lab.broker, MESSAGES)
        # The job is away: what it has not read stays, whoever asks.
        said = lab.journal.trim(TOPIC, RetentionPolicy(bytes=0), dry_run=True)
        assert 0 < said[0].first_after <= MESSAGES
        assert lab.journal.consumers(TOPIC)[0].lag == {0: MESSAGES}
        lab.journal.retain(TOPIC, RetentionPolicy(committed=True))
        assert lab.ingest(Keeping, policy=policy).wait(60).caught_up
        segments = home / "journal" / TOPIC / "0"
        wait_until(lambda: len(list(segments.glob("*.seg"))) == 1, what="the committed segments to go")
        assert lab.verify(Keeping).rows == 2 * MESSAGES
        assert topic_incarnation(lab.broker, TOPIC) == incarnation
        assert end_offsets(lab.broker, TOPIC) == {0: 2 * MESSAGES}
        assert lab.ingest(Keeping, policy=policy).wait(60).caught_up
        lab.stack.stop()


def test_the_journal_of_a_kafka_is_kafkas() -> None:
    with pytest.raises(UsageError) as caught:
        Journal(BrokerSpec(kind="kafka", options={"bootstrap.servers": "127.0.0.1:1"}))
    assert caught.value.code == "journal-only"


def test_what_cannot_be_kept_or_dropped_is_named(tmp_path: Path) -> None:
    broker = BrokerSpec.journal(tmp_path)
    create_topic(broker, TOPIC)
    with pytest.raises(UsageError) as caught:
        RetentionPolicy(bytes=-1)
    assert caught.value.code == "retention-invalid"
    with pytest.raises(SourceError) as missing:
        Journal(broker).drop(TOPIC, "nobody")
    assert missing.value.code == "journal-consumer-unknown"
    with pytest.raises(SourceError) as absent:
        Journal(broker).consumers("never.made")
    assert absent.value.code == "journal-topic-missing"
