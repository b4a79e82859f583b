"""A table that gains a column: what readers see of old and new rows, what is refused, and what data proposes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.contract import compile_contract
from neuralake_kernel.errors import CommitError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, UnknownFields
from neuralake_kernel.source import create_topic, open_producer
from neuralake_kernel.workbench import Workbench

AT_ONCE = IngestPolicy(flush=FlushPolicy(max_age_s=0.1))
NOT_YET = IngestPolicy(flush=FlushPolicy(max_age_s=600))


def declare(**columns: dy.Column | None) -> type[dy.Schema]:
    body: dict[str, dy.Column | None] = {
        "number": dy.Int64(nullable=False),
        "value": dy.Float64(nullable=True),
        **columns,
    }
    kept = {name: column for name, column in body.items() if column is not None}
    schema = type("Grown", (dy.Schema,), {**kept, "__module__": __name__, "__qualname__": "declare.Grown"})
    return nl.table(topic="grown.raw", name="grown")(schema)


def send(lab: Workbench, *messages: str) -> None:
    create_topic(lab.broker, "grown.raw", 1)
    with open_producer(lab.broker, "grown.raw") as producer:
        producer.send([message.encode() for message in messages], 0)
        producer.flush()


def held(frame: pl.LazyFrame) -> list[tuple[Any, ...]]:
    return frame.select("number", "label").sort("number").collect().rows()


def test_readers_see_null_in_old_rows_wherever_they_ask(home: Path, wait_until: Callable[..., None]) -> None:
    with nl.open(profile="embedded", home=home) as lab:
        send(lab, '{"number":1,"value":0.5}', '{"number":2,"label":"early"}', '{"number":"three","label":"bad"}')
        with lab.ingest(declare(), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        before = lab.table("grown").lazy()
        grown = declare(label=dy.String(nullable=True))
        with lab.ingest(grown, policy=AT_ONCE) as job:
            wait_until(lambda: job.report().state == "running", timeout_s=60, what="the next worker")
            assert job.report().added_columns == ({"name": "label", "type": "string"},)
            assert "added label" in str(job.report())
            # Over old files alone, then over both.
            assert held(lab.table(grown).lazy()) == [(1, None), (2, None)]
            send(lab, '{"number":4,"label":"rest"}')
            assert job.wait(60).caught_up
        expected = [(1, None), (2, None), (4, "rest")]
        assert held(lab.table(grown).lazy()) == expected
        assert held(lab.table(grown).lazy().filter(pl.col("label") == "rest")) == expected[2:]
        # A frame that was made before keeps its version.
        assert before.collect_schema().names() == ["number", "value"]
        assert before.collect().height == 2
        asked = lab.sql("SELECT number, label FROM grown ORDER BY number").table
        assert list(zip(*asked.to_pydict().values(), strict=True)) == expected
        assert lab.sql("SELECT * FROM grown").table.column_names == ["number", "value", "label"]
        assert [column.name for column in lab.catalog["grown"].columns] == ["number", "value", "label"]
        assert lab.quarantine(grown).reasons().rows() == [("number|dtype", 1)]
        assert lab.verify("grown").ok

        with lab.ingest(grown, policy=NOT_YET) as job:
            wait_until(lambda: job.report().state == "running", timeout_s=60, what="the worker")
            send(lab, '{"number":5,"label":"live"}')
            wait_until(lambda: job.report().buffered_rows, timeout_s=60, what="a row on its way")
            live = [*expected, (5, "live")]
            assert held(lab.table(grown).lazy(freshness="live")) == live
            asked = lab.sql("SELECT number, label FROM grown ORDER BY number", freshness="live").table
            assert list(zip(*asked.to_pydict().values(), strict=True)) == live
        # A declaration may leave out what may be null: its rows are null there, on their way as in the table.
        with lab.ingest(declare(), policy=NOT_YET) as job:
            wait_until(lambda: job.report().state == "running", timeout_s=60, what="the worker")
            send(lab, '{"number":6,"label":"unseen"}')
            wait_until(lambda: job.report().buffered_rows, timeout_s=60, what="a row on its way")
            live = [*live, (6, None)]
            assert held(lab.table("grown").lazy(freshness="live")) == live
            asked = lab.sql("SELECT number, label FROM grown ORDER BY number", freshness="live").table
            assert list(zip(*asked.to_pydict().values(), strict=True)) == live
        assert held(lab.table("grown").lazy()) == live
        lab.stack.stop()


def test_a_requeue_adds_the_columns_of_what_it_moves(home: Path) -> None:
    with nl.open(profile="embedded", home=home) as lab:
        send(lab, '{"number":1}', '{"number":2,"value":"high","label":"late"}')
        with lab.ingest(declare(), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        lax = declare(label=dy.String(nullable=True))
        assert lab.requeue(lax).rows == 0
        assert lab.table(lax).version == lab.requeue(lax).table_version
        assert "label" not in lab.table(lax).lazy().collect_schema().names()
        send(lab, '{"number":-1,"label":"moved"}')
        with lab.ingest(declare(number=dy.Int64(nullable=False, min=0)), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        lax = declare(label=dy.String(nullable=True))
        assert lab.requeue(lax).rows == 1
        assert held(lab.table(lax).lazy()) == [(-1, "moved"), (1, None)]
        assert lab.verify("grown").ok
        lab.stack.stop()


DIFFERENCES: list[tuple[dict[str, dy.Column | None], str]] = [
    ({"value": dy.Float32(nullable=True)}, "value: the table has value float64, the declaration value float32;"),
    ({"value": dy.Float64(nullable=False)}, "value float64 not null; rows without a value may be there"),
    ({"label": dy.String(nullable=False)}, "label: the table has no such column, the declaration label string not"),
    ({"number": None, "count": dy.Int64(nullable=True)}, "number: the table has number int64 not null,"),
    ({"Value": dy.Float64(nullable=True), "value": None}, "names that differ in case alone are one: declare value"),
]


def test_anything_else_stops_with_a_diff_and_fences_nobody(home: Path) -> None:
    with nl.open(profile="embedded", home=home) as lab:
        send(lab, '{"number":1}')
        with lab.ingest(declare(), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        version = lab.table("grown").version
        for columns, said in DIFFERENCES:
            with pytest.raises(CommitError) as raised:
                lab.ingest(declare(**columns), policy=AT_ONCE).wait(60)
            assert raised.value.code == "table-mismatch"
            assert said in raised.value.message
            assert lab.table("grown").version == version
        lab.stack.stop()


FIELDS = {
    "temperature": ["36", "36.5", "null", "-0"],
    "count": ["1", "2", "3"],
    "day": ['"2026-11-21"'],
    "at": ['"2026-11-21T18:00:00Z"'],
    "columns": ['"a"', '"2026-11-21"'],
    "is_rest": ["true"],
    "raw": ["[1,2]"],
    "note": ['"a"', "1"],
    "nothing": ["null"],
    "Value": ["1"],
    "ch-1": ["1"],
}


def test_what_data_proposes_is_what_a_class_can_hold(home: Path) -> None:
    def unknown(lab: Workbench, policy: IngestPolicy) -> UnknownFields:
        with lab.ingest(declare(), policy=policy) as job:
            assert job.wait(60).caught_up
        proposals = job.proposals()
        by_name = {proposal.field: proposal for proposal in proposals}
        assert by_name["temperature"].declaration == "temperature = dy.Float64(nullable=True)"
        assert (by_name["temperature"].count, by_name["temperature"].examples) == (4, ("36", "36.5", "-0"))
        assert by_name["columns"].declaration == 'columns_ = dy.String(nullable=True, alias="columns")'
        problems = {name: proposal.problem for name, proposal in by_name.items() if proposal.problem}
        assert problems == {
            "Value": "differs from the column value in case alone",
            "ch-1": "no column can have this name",
            "note": "integer and text have no column in common",
            "nothing": "null and nothing else, which tells no type",
            "raw": "arrays and objects have no column",
        }
        # The text is a part of a class as it stands.
        body = "\n".join(f"    {line}" for line in repr(proposals).splitlines())
        space: dict[str, Any] = {"dy": dy}
        exec(f"class Proposed(dy.Schema):\n{body}", space)  # noqa: S102 - what a person would paste
        types = {column.name: column.type for column in compile_contract(space["Proposed"]).columns}
        assert types == {
            "at": "timestamp_us",
            "columns": "string",
            "count": "int64",
            "day": "date",
            "is_rest": "bool",
            "temperature": "float64",
        }
        told = job.report()
        assert type(told).from_json(told.to_json()) == told
        return told.unknown_fields

    messages = [
        f'{{"number":{number},"{name}":{value}}}'
        for name, values in FIELDS.items()
        for number, value in enumerate(values)
    ]
    told = []
    # The same messages in one flush and in many, alone and as lines of one message.
    for place, (max_rows, sent) in enumerate([(1_000_000, messages), (1, messages), (3, ["\n".join(messages)])]):
        with nl.open(profile="embedded", home=home / str(place)) as lab:
            send(lab, *sent)
            policy = IngestPolicy(flush=FlushPolicy(max_rows=max_rows, max_age_s=0.1))
            told.append(unknown(lab, policy))
            lab.stack.stop()
    assert told[0] == told[1] == told[2]


def test_fields_that_all_have_their_column_propose_nothing(home: Path) -> None:
    with nl.open(profile="embedded", home=home) as lab:
        send(lab, '{"number":1}', "{")
        with lab.ingest(declare(), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        assert not job.proposals()
        assert repr(job.proposals()) == "# every field of the messages has its column"
        lab.stack.stop()


def test_columns_of_arrow_messages_are_proposed_too(home: Path) -> None:
    import pyarrow as pa

    batch = pa.record_batch(
        {
            "number": pa.array([1, 2], pa.int64()),
            "temperature": pa.array([36.5, None], pa.float32()),
            "day": pa.array([20_000, 20_001], pa.int32()).cast(pa.date32()),
            "raw": pa.array([[1], [2]]),
            "label": pa.array(["a", "b"]),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)

    def declare_arrow(**columns: dy.Column) -> type[dy.Schema]:
        body = {"number": dy.Int64(nullable=False), **columns, "__module__": __name__, "__qualname__": "declare_arrow"}
        return nl.table(topic="arrow.raw", name="from_arrow", encoding="arrow")(type("FromArrow", (dy.Schema,), body))

    with nl.open(profile="embedded", home=home) as lab:
        create_topic(lab.broker, "arrow.raw", 1)
        with open_producer(lab.broker, "arrow.raw") as producer:
            producer.send([sink.getvalue().to_pybytes(), b"no stream"], 0)
            producer.flush()
        with lab.ingest(declare_arrow(), policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        assert [(proposal.field, proposal.count, proposal.declaration) for proposal in job.proposals()] == [
            ("day", 2, "day = dy.Date(nullable=True)"),
            ("label", 2, "label = dy.String(nullable=True)"),
            ("raw", 2, ""),
            ("temperature", 2, "temperature = dy.Float64(nullable=True)"),
        ]
        assert job.proposals()[3].examples == ("36.5",)
        # What is proposed can be declared, and messages without it stay welcome.
        grown = declare_arrow(temperature=dy.Float64(nullable=True), later=dy.String(nullable=True))
        with open_producer(lab.broker, "arrow.raw") as producer:
            producer.send([sink.getvalue().to_pybytes()], 0)
            producer.flush()
        with lab.ingest(grown, policy=AT_ONCE) as job:
            assert job.wait(60).caught_up
        rows = lab.table(grown).lazy().select("number", "temperature", "later").collect().rows()
        assert sorted(rows, key=str) == sorted(
            [(1, None, None), (2, None, None), (1, 36.5, None), (2, None, None)], key=str
        )
        assert lab.verify("from_arrow").ok
        lab.stack.stop()
