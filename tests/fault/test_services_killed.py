"""kill -9 of the supervisor and of Kafka while a job reads: all comes back, nothing is lost.

The store's death stands in ``test_store_away``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle
from neuralake_kernel.stack.procinfo import is_alive, pids_with_token
from neuralake_kernel.stack.state import SupervisorFiles
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare
from tests.fault.workers import kill

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=150, max_age_s=0.1))


@contextmanager
def reading(lab: Workbench, table: str, folder: Path, wait_until: Wait) -> Iterator[JobHandle]:
    """A job in full swing; whatever happened to it meanwhile, at the end it catches up and the law holds."""
    with (
        Traffic(lab.broker, f"{table}.raw", seed=8) as traffic,
        lab.ingest(declare(table), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE) as job,
    ):
        wait_until(lambda: job.report().commits > 2, what="the first commits")
        yield job
        sent = traffic.stop()
        assert job.wait(90).caught_up
        assert_law(lab, table, sent, folder)


def goes_on(lab: Workbench, job: JobHandle, wait_until: Wait) -> None:
    """More is committed than there was when this was called."""
    positions = lab.verify(job.table).positions
    wait_until(
        lambda: all(job.report().positions.get(int(key), 0) > place for key, place in positions.items()),
        timeout_s=60,
        what=f"more commits of {job}",
    )


def test_a_killed_supervisor_takes_all_with_it_and_the_next_call_brings_all_back(
    local: Workbench, tmp_path: Path, wait_until: Wait
) -> None:
    with reading(local, "supervisor_killed", tmp_path, wait_until) as job:
        epoch = job.report().epoch
        token, _ = SupervisorFiles(local.home).read_state()
        children = set(pids_with_token(token))
        assert children == {status.pid for status in local.stack.status().processes if status.pid is not None}
        assert len(children) == 3
        kill(local.stack.supervisor.pid)
        wait_until(lambda: not any(map(is_alive, children)), timeout_s=5, what="the death of all")
        assert list(pids_with_token(token)) == [], "a leftover process"
        # As the sidebar's poll would.
        assert {status.name for status in local.stack.status().processes if status.is_running} == {
            "minio",
            "kafka",
            job.table,
        }
        wait_until(lambda: job.report().epoch > epoch, timeout_s=60, what="the next worker")
        goes_on(local, job, wait_until)


def test_a_killed_broker_comes_back_and_the_job_goes_on(local: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    with reading(local, "broker_killed", tmp_path, wait_until) as job:
        before = local.stack.supervisor.find("kafka")
        assert before is not None
        kill(before.pid)
        wait_until(lambda: local.stack.supervisor.find("kafka").restarts == before.restarts + 1, what="a new broker")
        after = local.stack.supervisor.wait("kafka", timeout_s=60, states=["ready"])
        assert after.pid != before.pid
        goes_on(local, job, wait_until)
        assert job.status().is_ready


def test_a_stop_leaves_no_process(embedded: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    with reading(embedded, "stopped", tmp_path, wait_until) as job:
        token, _ = SupervisorFiles(embedded.home).read_state()
        embedded.stack.stop()
        assert list(pids_with_token(token)) == []
        assert job.status().state == "stopped"
        embedded.ingest(declare("stopped"), policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE)
