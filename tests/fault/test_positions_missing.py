"""Kafka does not hold a position of the table any more: a named error, and a jump by choice that the table tells of."""

import json
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest

from neuralake_kernel.catalog import VerifyReport
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle, JumpWarning
from neuralake_kernel.source import create_topic
from neuralake_kernel.workbench import Workbench
from tests.fault.broken_logs import cut_log, delete_before, halted, make_anew, remove_table
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import Mixture, Sent, assert_law, declare, read, send

Wait = Callable[..., None]
Choice = Literal["earliest", "latest"]
Messages = Mapping[tuple[int, int], Sent]
POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.05))
CHOICES = pytest.mark.parametrize("choice", ["earliest", "latest"])


def ingest(lab: Workbench, table: str, on_missing: Choice | None = None) -> JobHandle:
    return lab.ingest(declare(table), policy=POLICY, restart=AT_ONCE, on_missing=on_missing)


def read_first(lab: Workbench, table: str, *batches: list[Sent]) -> dict[tuple[int, int], Sent]:
    """A job that has read some batches and was stopped."""
    create_topic(lab.broker, f"{table}.raw")
    sent: dict[tuple[int, int], Sent] = {}
    for batch in batches:
        sent |= send(lab.broker, f"{table}.raw", batch)
    with ingest(lab, table) as job:
        assert job.wait(60).caught_up
    return sent


def assert_stops(job: JobHandle, code: str, wait_until: Wait) -> str:
    """The job stays down with a named error that names the choice."""
    wait_until(lambda: job.status().state == "fatal", timeout_s=60, what="the end")
    error = job.report().error
    assert error is not None
    assert error["code"] == code, error
    assert 'on_missing="earliest"' in error["hint"]
    return str(error["message"])


def goes_on(lab: Workbench, table: str, choice: Choice, messages: list[Sent]) -> dict[tuple[int, int], Sent]:
    """The same start with a choice: warned of once, and what comes after it is read. Gives what was sent then."""
    job = ingest(lab, table, choice)
    with pytest.warns(JumpWarning, match="by choice"):
        assert job.wait(60).caught_up
    sent = send(lab.broker, f"{table}.raw", messages)
    assert job.wait(60).caught_up
    job.stop()
    return sent


def assert_held(lab: Workbench, table: str, lives: list[Messages], held: list[Messages], folder: Path) -> VerifyReport:
    """The law over the lives of a topic: all that was sent in each, and what the table must hold of it."""
    sources = sorted(read(lab, table)["_source"].unique().to_list(), key=lambda name: ("~" in name, name))
    if len(lives) == 1:
        sources = sources[:1]
    numbers = sorted(chain.from_iterable(m.numbers for part in held for m in part.values()))
    assert read(lab, table)["number"].sort().to_list() == numbers
    newest = {row["_source"] for row in read(lab, table).filter(number=max(numbers)).iter_rows(named=True)}
    ordered = sorted(sources, key=lambda name: name in newest)
    lines = [
        json.dumps({"source": source, "partition": partition, "offset": offset, "rows": message.rows})
        for source, life in zip(ordered, lives, strict=True)
        for (partition, offset), message in life.items()
    ]
    path = folder / f"{table}.ndjson"
    path.write_text("\n".join(lines))
    report = lab.verify(table, expect=path)
    print(report)
    assert report.ok, report
    assert report.pending == 0
    assert report.messages == sum(map(len, held))
    assert report.left_out == sum(map(len, lives)) - sum(map(len, held))
    return report


@CHOICES
def test_deleted_messages_are_passed_by_choice_alone(
    local: Workbench, choice: Choice, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = f"deleted_{choice}", Mixture(21)
    sent = read_first(local, table, messages.take(20))
    sent |= send(local.broker, f"{table}.raw", messages.take(80))
    delete_before(local.broker, f"{table}.raw", 30)
    assert "10 messages are gone" in assert_stops(ingest(local, table), "position-deleted", wait_until)
    sent |= goes_on(local, table, choice, messages.take(20))
    begin = 30 if choice == "earliest" else 100
    kept = {place: message for place, message in sent.items() if not 20 <= place[1] < begin}
    report = assert_held(local, table, [sent], [kept], tmp_path)
    assert [(jump.start, jump.stop, jump.cause) for jump in report.jumps] == [(20, begin, "position-deleted")]
    # A supervised restart of the same spec meets another cause: the choice is spent.
    send(local.broker, f"{table}.raw", messages.take(20))
    delete_before(local.broker, f"{table}.raw", 130)
    local.stack.supervisor.restart(table)
    assert_stops(ingest_handle(local, table), "position-deleted", wait_until)


def ingest_handle(lab: Workbench, table: str) -> JobHandle:
    """The handle of a job that is there already."""
    return JobHandle(lab.home, lab.stack.supervisor, table, [f"{table}.raw"], lab.broker)


def test_messages_deleted_under_a_running_job_stop_it(local: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    table, messages = "deleted_running", Mixture(22)
    create_topic(local.broker, f"{table}.raw")
    sent = send(local.broker, f"{table}.raw", messages.take(20))
    job = ingest(local, table)
    assert job.wait(60).caught_up
    with halted(job):
        send(local.broker, f"{table}.raw", messages.take(80))
        delete_before(local.broker, f"{table}.raw", 90)
    said = assert_stops(job, "position-deleted", wait_until)
    assert "from offset 90 on" in said
    assert "continues at 20" in said
    assert_law(local, table, sent, tmp_path)


@CHOICES
def test_a_log_that_was_cut_and_written_again_is_noticed(
    local: Workbench, choice: Choice, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = f"cut_{choice}", Mixture(23)
    old = read_first(local, table, messages.take(50), messages.take(50))
    cut_log(local, f"{table}.raw", 50)
    new = send(local.broker, f"{table}.raw", messages.take(60))
    assert min(new) == (0, 50), "the log was not cut"
    said = assert_stops(ingest(local, table), "position-truncated", wait_until)
    assert "cut at offset 50" in said
    late = goes_on(local, table, choice, messages.take(20))
    life = new | late
    kept = life if choice == "earliest" else late
    report = assert_held(local, table, [old, life], [old, kept], tmp_path)
    (jump,) = report.jumps
    assert (jump.start, jump.stop) == (100, 50 if choice == "earliest" else 110)
    assert jump.source.endswith("~1")


def test_a_log_cut_under_a_running_job_stops_it(local: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    table, messages = "cut_running", Mixture(24)
    create_topic(local.broker, f"{table}.raw")
    sent = send(local.broker, f"{table}.raw", messages.take(50))
    sent |= send(local.broker, f"{table}.raw", messages.take(50))
    job = ingest(local, table)
    assert job.wait(60).caught_up
    with halted(job):
        cut_log(local, f"{table}.raw", 50)
        send(local.broker, f"{table}.raw", messages.take(60))
    assert_stops(job, "position-truncated", wait_until)
    assert_law(local, table, sent, tmp_path)


@CHOICES
def test_a_log_that_ends_before_the_position_is_noticed(
    local: Workbench, choice: Choice, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = f"past_end_{choice}", Mixture(25)
    old = read_first(local, table, messages.take(50), messages.take(50))
    cut_log(local, f"{table}.raw", 50)
    said = assert_stops(ingest(local, table), "position-past-end", wait_until)
    assert "ends at offset 50" in said
    # What was read is not read again: the leader epoch tells where the log was cut.
    new = goes_on(local, table, choice, messages.take(20))
    assert_held(local, table, [old, new], [old, new], tmp_path)


@CHOICES
def test_a_topic_made_anew_is_read_by_choice_alone(
    local: Workbench, choice: Choice, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = f"anew_{choice}", Mixture(26)
    old = read_first(local, table, messages.take(40))
    make_anew(local.broker, f"{table}.raw", wait_until)
    new = send(local.broker, f"{table}.raw", messages.take(60))
    assert_stops(ingest(local, table), "source-replaced", wait_until)
    late = goes_on(local, table, choice, messages.take(20))
    kept = new | late if choice == "earliest" else late
    assert_held(local, table, [old, new | late], [old, kept], tmp_path)


def test_a_topic_made_anew_under_a_running_job_lands_nothing(
    local: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = "anew_running", Mixture(27)
    create_topic(local.broker, f"{table}.raw")
    sent = send(local.broker, f"{table}.raw", messages.take(40))
    job = ingest(local, table)
    assert job.wait(60).caught_up
    with halted(job):
        make_anew(local.broker, f"{table}.raw", wait_until)
        # Beyond the position, where the client finds messages and goes on without a word.
        send(local.broker, f"{table}.raw", messages.take(100))
    assert_stops(job, "source-replaced", wait_until)
    assert_law(local, table, sent, tmp_path)


@CHOICES
def test_a_table_that_was_deleted_is_not_filled_again_unasked(
    local: Workbench, choice: Choice, tmp_path: Path, wait_until: Wait
) -> None:
    table, messages = f"forgotten_{choice}", Mixture(28)
    sent = read_first(local, table, messages.take(40))
    remove_table(local, table)
    said = assert_stops(ingest(local, table), "position-unknown", wait_until)
    assert "read to offset 40" in said
    late = goes_on(local, table, choice, messages.take(20))
    report = assert_held(local, table, [sent | late], [sent | late if choice == "earliest" else late], tmp_path)
    assert report.first_positions == {"0": 0 if choice == "earliest" else 40}
