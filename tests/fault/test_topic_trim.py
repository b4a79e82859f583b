"""Messages that every table on a topic has committed may go by choice, and none that a table has yet to read."""

from collections.abc import Callable
from pathlib import Path

import dataframely as dy
import pytest

import neuralake_kernel as nl
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import create_topic, end_offsets, first_offsets
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import Mixture, Sent, assert_law, declare, send

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=150, max_age_s=0.1))
TOPIC = "trimmed.raw"


def on_the_topic(name: str) -> type[dy.Schema]:
    """The table of the other tests, on a topic that several share."""
    return nl.table(topic=TOPIC, name=name, description="One of several on a topic.")(
        type(name, (declare(f"{name}_alone"),), {})
    )


def test_no_message_goes_that_a_table_has_yet_to_read(local: Workbench, tmp_path: Path) -> None:
    fast, slow = on_the_topic("trim_fast"), on_the_topic("trim_slow")
    create_topic(local.broker, TOPIC, 1)
    mixture = Mixture(41)
    sent: dict[tuple[int, int], Sent] = dict(send(local.broker, TOPIC, mixture.take(120)))
    with (
        local.ingest(fast, policy=POLICY, restart=AT_ONCE) as reads_on,
        local.ingest(slow, policy=POLICY, restart=AT_ONCE) as stops,
    ):
        assert reads_on.wait(60).caught_up
        assert stops.wait(60).caught_up
        stops.stop()
        position = stops.report().positions[0]
        sent |= send(local.broker, TOPIC, mixture.take(80))
        assert reads_on.wait(60).caught_up
        assert reads_on.report().positions[0] > position

        trimmed = local.trim(fast, retention="committed")
        assert (trimmed.first, trimmed.deleted) == ({0: position}, position)
        assert trimmed.held_by == {0: "trim_slow"}
        assert first_offsets(local.broker, TOPIC) == {0: position}

        # Declared on the topic and never started: it may be, and then it begins with what is there.
        waits = on_the_topic("trim_waits")
        again = local.ingest(slow, policy=POLICY, restart=AT_ONCE)
        assert again.wait(60).caught_up
        trimmed = local.trim(slow, retention="committed")
        assert (trimmed.deleted, trimmed.held_by) == (0, {0: "trim_waits"})

        with local.ingest(waits, policy=POLICY, restart=AT_ONCE) as begins:
            assert begins.wait(60).caught_up
        trimmed = local.trim("trim_slow", retention="committed")
        assert trimmed.first == end_offsets(local.broker, TOPIC)
        assert (trimmed.held_by, trimmed.deleted) == ({}, trimmed.first[0] - position)
        again.stop()
    # What is gone from the topic is in the tables.
    for table in ("trim_fast", "trim_slow"):
        assert_law(local, table, sent, tmp_path)


def test_positions_of_another_life_of_the_topic_let_nothing_go(local: Workbench) -> None:
    from confluent_kafka.admin import AdminClient

    table = nl.table(topic="trim.anew", name="trim_anew", description="On a topic that is made anew.")(
        type("trim_anew", (declare("trim_anew_alone"),), {})
    )
    create_topic(local.broker, "trim.anew", 1)
    send(local.broker, "trim.anew", Mixture(42).take(50))
    with local.ingest(table, policy=POLICY, restart=AT_ONCE) as job:
        assert job.wait(60).caught_up
    admin = AdminClient(dict(local.broker.options))
    admin.delete_topics(["trim.anew"])["trim.anew"].result(30)
    create_topic(local.broker, "trim.anew", 1)
    send(local.broker, "trim.anew", Mixture(43).take(50))
    trimmed = local.trim(table, retention="committed")
    assert (trimmed.deleted, trimmed.held_by) == (0, {0: "trim_anew"})


def test_a_journal_is_trimmed_elsewhere(embedded: Workbench) -> None:
    table = declare("trim_journal")
    create_topic(embedded.broker, "trim_journal.raw", 1)
    send(embedded.broker, "trim_journal.raw", Mixture(44).take(5))
    with embedded.ingest(table, policy=POLICY) as job:
        assert job.wait(60).caught_up
    with pytest.raises(UsageError) as refused:
        embedded.trim(table, retention="committed")
    assert refused.value.code == "kafka-only"
