"""What people see of a quarantine, and that a requeue changes it."""

from pathlib import Path

import dataframely as dy
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import create_topic, open_producer

MESSAGES = [
    b'{"level": 1, "label": "rest"}',
    b'{"level": 7, "label": "task"}',
    b'{"level": 9, "label": "Task"}',
    b"\xff\xfe",
]


def declare(limit: int, *, strict: bool) -> type[dy.Schema]:
    @nl.table(topic="levels.raw", name="levels", warn=() if strict else ("label|regex",))
    class Levels(dy.Schema):
        level = dy.Int8(max=limit)
        label = dy.String(regex="^[a-z]+$")

    return Levels


def test_rejects_show_their_text_and_reasons_and_leave_when_they_may(home: Path) -> None:
    tight = declare(5, strict=True)
    with nl.open(profile="embedded", home=home) as lab:
        create_topic(lab.broker, "levels.raw", 1)
        with open_producer(lab.broker, "levels.raw") as producer:
            producer.send(MESSAGES, 0)
            producer.flush()
        policy = IngestPolicy(flush=FlushPolicy(max_age_s=0.1))
        with pytest.raises(UsageError, match="no job of it"):
            lab.requeue("levels")
        with lab.ingest(tight, policy=policy) as job:
            assert job.wait(60).caught_up
        held = lab.quarantine(tight)
        assert held.lazy().select("text", "reasons", "_offset", "_row").collect().rows() == [
            (MESSAGES[1].decode(), ["level|max"], 1, 0),
            (MESSAGES[2].decode(), ["level|max", "label|regex"], 2, 0),
            (None, ["message|utf8"], 3, None),
        ]
        assert held.reasons().rows() == [("level|max", 2), ("label|regex", 1), ("message|utf8", 1)]
        said = repr(held)
        assert "3 rejects" in said
        assert "2 x level|max" in said
        assert r"offset 3: message|utf8: b'\xff\xfe'" in said

        lax = declare(9, strict=False)
        report = lab.requeue(lax)
        assert (report.rows, report.dead_letters, report.commits) == (2, 0, 1)
        assert "2 rows moved" in str(report)
        assert lab.requeue(lax).rows == 0
        assert lab.table(lax).lazy().select(pl.col("level").sort()).collect()["level"].to_list() == [1, 7, 9]
        assert held.reasons().rows() == [("message|utf8", 1)]
        assert lab.verify(lax).ok
        # The next job goes on from where the first one was, and counts what the lax contract lets pass.
        with open_producer(lab.broker, "levels.raw") as producer:
            producer.send([b'{"level": 2, "label": "X"}'], 0)
            producer.flush()
        with lab.ingest(lax, policy=policy) as job:
            report = job.wait(60)
            assert report.caught_up
            assert report.warnings == {"label|regex": 1}
            assert "1 warnings" in str(report)
        assert lab.verify(lax).ok
        lab.stack.stop()
