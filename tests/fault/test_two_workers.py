"""Two workers on one table: the newer epoch wins, the older stays down, and nothing is doubled."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import PARTITIONS, Mixture, Traffic, assert_law, declare, send
from tests.fault.workers import spec_of, worker

POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.05))
FENCED = 71
RACERS = 4


def test_the_newer_worker_wins_and_the_older_stays_down(
    lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    table = f"fenced_{lab.settings.profile}"
    declared = declare(table)
    with (
        Traffic(lab.broker, f"{table}.raw", seed=3) as traffic,
        lab.ingest(declared, policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE) as older,
    ):
        wait_until(lambda: older.report().commits > 2, what="the older worker's commits")
        with worker(tmp_path / "newer", spec_of(lab.home, table)) as newer:
            wait_until(lambda: older.status().state == "fenced", what="the fence")
            assert older.status().reason.startswith(f"exit code {FENCED}")
            said = older.report()
            assert said.state == "fenced"
            assert said.error is not None
            assert said.error["code"] == "fenced"
            wait_until(lambda: newer.report.commits > 2, what="the newer worker's commits")
            assert newer.report.epoch == said.epoch + 1
            # Whoever looks does not wake it: a fenced job is not restarted.
            assert (older.status().state, older.status().restarts) == ("fenced", 0)
            # Started again by hand it is the newest, and the other one goes.
            lab.ingest(declared, policy=POLICY, partitions=PARTITIONS, restart=AT_ONCE)
            wait_until(lambda: newer.exit_code is not None, what="the end of the other worker")
            assert newer.exit_code == FENCED, newer.log
        sent = traffic.stop()
        assert older.wait(60).caught_up
        assert assert_law(lab, table, sent, tmp_path).epoch == 3


def test_starts_at_once_take_different_epochs(lab: Workbench, tmp_path: Path, wait_until: Callable[..., None]) -> None:
    table = f"raced_{lab.settings.profile}"
    messages = Mixture(4)
    with lab.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        sent = send(lab.broker, f"{table}.raw", messages.take(300))
        assert job.wait(60).caught_up
    spec = spec_of(lab.home, table)
    with ExitStack() as stack:
        racers = [stack.enter_context(worker(tmp_path / str(number), spec)) for number in range(RACERS)]

        def has_one_won() -> bool:
            # A worker learns that it is fenced when it commits.
            sent.update(send(lab.broker, f"{table}.raw", messages.take(20)))
            return [racer.exit_code for racer in racers].count(FENCED) == RACERS - 1

        wait_until(has_one_won, timeout_s=60, what="one worker left")
        (winner,) = [racer for racer in racers if racer.exit_code is None]
        wait_until(lambda: winner.report.epoch == 1 + RACERS, what="the winner's word")
        assert winner.stop() == 0
    # The checker blames an epoch that was taken twice, so the last one counts the starts.
    assert assert_law(lab, table, sent, tmp_path).epoch == 1 + RACERS
