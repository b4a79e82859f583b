"""Killed after the main commit and before its rejects reached the quarantine; the next worker has a tighter contract.

The main commit is the only decision: what it judged stays as it was judged, under the contract of that time.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from neuralake_kernel.catalog import declaration_of
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.source import create_topic
from neuralake_kernel.stack import RestartPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import Death, DeathPlan
from tests.fault.traffic import Mixture, assert_law, declare, read, send

POLICY = IngestPolicy(flush=FlushPolicy(max_age_s=0.2))
# The dead worker stays down until the tighter declaration starts the next one.
NOT_YET = RestartPolicy(initial_s=600, max_s=600)
TIGHT = 99


@pytest.mark.parametrize(
    "death",
    [
        # The first life puts: both tables, the epoch, the quarantine's start, the first positions, the flush.
        Death("after_log_put", 6),
        # The first pass is the start's.
        Death("before_roll_forward", 2),
    ],
    ids=lambda death: death.point,
)
def test_nothing_is_lost_or_judged_twice(
    lab: Workbench, death: Death, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    table = f"tightened_{death.point}_{lab.settings.profile}"
    loose, topic = declare(table), f"{table}.raw"
    loose_id = declaration_of(loose).contract.id
    create_topic(lab.broker, topic)
    first = send(lab.broker, topic, Mixture(5).take(400))
    plan = DeathPlan(tmp_path / "deaths", [death])

    job = lab.ingest(loose, policy=POLICY, restart=NOT_YET, faults=plan.path)
    wait_until(lambda: job.status().state == "backoff", what="the death")
    assert job.status().reason.startswith("killed by SIGKILL")
    decided = lab.verify(table)
    assert decided.rows > 0
    assert decided.counts.get("quarantine-behind") == 1, "the death came before or after the gap it is for"
    judged_loosely = sum(decided.positions.values())
    assert read(lab, table).filter(pl.col("packet") > TIGHT).height > 0

    tight = declare(table, max_packet=TIGHT)
    tight_id = declaration_of(tight).contract.id
    assert tight_id != loose_id
    messages = Mixture(6, max_packet=TIGHT)
    with lab.ingest(tight, policy=POLICY, restart=NOT_YET) as job:
        # By the start alone: there is nothing more to read yet.
        wait_until(lambda: job.report().state == "running", what="the next worker")
        assert_law(lab, table, first, tmp_path)
        second = send(lab.broker, topic, messages.take(400))
        assert job.wait(60).caught_up
        assert job.status().restarts == 0
        assert_law(lab, table, {**first, **second}, tmp_path)
    assert judged_loosely == len(first)
    rejects = read(lab, f"{table}__quarantine").select("contract_id", is_first=pl.col("_offset") < judged_loosely)
    assert set(rejects.unique().iter_rows()) == {(loose_id, True), (tight_id, False)}
