"""Rejects of a tight contract move into the table of a lax one: killed at every named point, and several at once.

The commit that adds the rows is the only decision. Whatever died after it, the next requeue or the next start of the
job completes; whatever died before it left nothing behind.
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle
from neuralake_kernel.source import create_topic
from neuralake_kernel.workbench import Workbench
from tests.fault import requeuing
from tests.fault.deaths import Death, DeathPlan
from tests.fault.traffic import Mixture, Sent, assert_law, declare, read, send

FLUSH = FlushPolicy(max_age_s=0.1)
# A message of four rows is over it, one of three is not.
TIGHT = IngestPolicy(flush=FLUSH, max_message_bytes=165)
LAX = IngestPolicy(flush=FLUSH)
MAX_PACKET = 99
# In the order one requeue passes them: the first roll-forward finds nothing, the second adds the attempt rows.
DEATHS = [
    Death("before_roll_forward", 1),
    Death("before_upload", 1),
    Death("after_reject_upload", 1),
    Death("after_upload", 1),
    Death("before_log_put", 1),
    Death("after_log_put", 1),
    Death("before_roll_forward", 2),
    Death("before_log_put", 2),
    Death("after_log_put", 2),
    Death("after_roll_forward", 2),
]


def relaxed(lab: Workbench, table: str) -> tuple[JobHandle, Mapping[tuple[int, int], Sent]]:
    """Fill a table under a tight contract, then let a job under a lax one go on."""
    topic = f"{table}.raw"
    create_topic(lab.broker, topic)
    mixture = Mixture(11)
    first = send(lab.broker, topic, mixture.take(300))
    with lab.ingest(declare(table, max_packet=MAX_PACKET), policy=TIGHT) as job:
        assert job.wait(60).caught_up
    held = lab.verify(table)
    assert held.ok
    sizes = lab.quarantine(table).reasons().filter(reason="message|size")
    assert sizes["rejects"].item() > 1, "no message was too large for the tight contract"
    assert held.quarantined_rows > 50
    job = lab.ingest(declare(table), policy=LAX)
    return job, first | send(lab.broker, topic, mixture.take(100))


def named(death: Death) -> str:
    return f"{death.point}_{death.nth}"


@pytest.mark.parametrize("death", DEATHS, ids=named)
def test_killed_anywhere_the_next_one_completes_it(embedded: Workbench, death: Death, tmp_path: Path) -> None:
    kill_and_complete(embedded, death, tmp_path)


# On a remote store the answer to a put is what can be lost.
@pytest.mark.parametrize("death", [death for death in DEATHS if death.point == "after_log_put"], ids=named)
def test_killed_on_minio_the_next_one_completes_it(local: Workbench, death: Death, tmp_path: Path) -> None:
    kill_and_complete(local, death, tmp_path)


def kill_and_complete(lab: Workbench, death: Death, tmp_path: Path) -> None:
    table = f"requeue_{death.point}_{death.nth}_{lab.settings.profile}"
    job, sent = relaxed(lab, table)
    with job:
        plan = DeathPlan(tmp_path / "deaths", [death])
        killed = requeuing.start(lab, table, plan.path)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        lab.requeue(table)
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)
        again = lab.requeue(table)
        assert (again.rows, again.commits) == (0, 0)
        assert job.status().restarts == 0, "a requeue must not stop the job"
    assert_law(lab, table, sent, tmp_path)


def test_several_at_once_move_each_reject_once(lab: Workbench, tmp_path: Path) -> None:
    table = f"requeues_{lab.settings.profile}"
    job, sent = relaxed(lab, table)
    with job:
        assert job.wait(60).caught_up
        before = read(lab, table).height
        racing = [requeuing.start(lab, table) for _ in range(3)]
        moved = [json.loads(each.communicate(timeout=60)[0])["rows"] for each in racing]
        assert [each.returncode for each in racing] == [0, 0, 0]
        assert sum(moved) == read(lab, table).height - before > 0
        assert_law(lab, table, sent, tmp_path)


def test_a_start_completes_what_a_requeue_decided(lab: Workbench, tmp_path: Path) -> None:
    table = f"requeue_start_{lab.settings.profile}"
    job, sent = relaxed(lab, table)
    assert job.wait(60).caught_up
    job.stop()
    killed = requeuing.start(lab, table, DeathPlan(tmp_path / "deaths", [Death("before_roll_forward", 2)]).path)
    killed.communicate(timeout=60)
    assert lab.verify(table).counts.get("quarantine-behind") == 1
    with lab.ingest(declare(table), policy=LAX) as job:
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)
