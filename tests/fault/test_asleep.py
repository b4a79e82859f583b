"""Workers that sleep inside a flush while newer ones start: whatever they do when they wake, they land nothing."""

from collections.abc import Callable
from pathlib import Path

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.asleep import ASLEEP, is_asleep, sleepers, wake
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import Mixture, assert_law, declare, send
from tests.fault.workers import spec_of, worker

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.05), checkpoint_every=3)
FENCED, KILLED = 71, -9


def test_whoever_slept_over_a_newer_start_lands_nothing(lab: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    table = f"slept_{lab.settings.profile}"
    declared, topic, messages = declare(table), f"{table}.raw", Mixture(41)
    with lab.ingest(declared, policy=POLICY, restart=AT_ONCE) as job:
        sent = send(lab.broker, topic, messages.take(50))
        assert job.wait(60).caught_up
    with sleepers(lab, table, list(ASLEEP), messages, wait_until, tmp_path) as (older, sent_meanwhile):
        sent |= sent_meanwhile
        with lab.ingest(declared, policy=POLICY, restart=AT_ONCE) as newest:
            assert newest.wait(60).caught_up
            for one in older:
                wake(one)

            def have_ended() -> bool:
                # Whoever slept behind its put learns of the newer epoch when it commits next.
                sent.update(send(lab.broker, topic, messages.take(5)))
                return all(one.exit_code is not None for one in older)

            wait_until(have_ended, timeout_s=60, what="the end of every older worker")
            assert [one.exit_code for one in older] == [FENCED] * len(older), [one.log for one in older]
            assert newest.wait(60).caught_up
            assert (newest.status().restarts, newest.report().epoch) == (0, 2 + len(older))
            assert_law(lab, table, sent, tmp_path)


def test_a_start_takes_its_epoch_before_it_rolls_forward(embedded: Workbench, tmp_path: Path, wait_until: Wait) -> None:
    """Between the two an older worker could land rejects, and die, and nobody would roll them forward."""
    table = "rolled_first"
    topic, messages = f"{table}.raw", Mixture(42)
    with embedded.ingest(declare(table), policy=POLICY, restart=AT_ONCE) as job:
        sent = send(embedded.broker, topic, messages.take(20))
        assert job.wait(60).caught_up
    (tmp_path / "older plan").write_text("before_roll_forward 2\n")
    (tmp_path / "newer plan").write_text("after_roll_forward 1 stop\n")
    spec_older = spec_of(embedded.home, table, kill_plan=str(tmp_path / "older plan"))
    spec_newer = spec_of(embedded.home, table, kill_plan=str(tmp_path / "newer plan"))
    with worker(tmp_path / "older", spec_older) as older:
        wait_until(lambda: older.report.epoch == 2, timeout_s=60, what="the older worker")
        with worker(tmp_path / "newer", spec_newer) as newer:
            wait_until(lambda: is_asleep(newer), timeout_s=60, what="the newer one's sleep")
            sent |= send(embedded.broker, topic, messages.take(60))
            wait_until(lambda: older.exit_code is not None, timeout_s=60, what="the older one's end")
            assert older.exit_code == FENCED, "it landed, and died of its plan" if older.exit_code == KILLED else ""
            wake(newer)
            wait_until(lambda: newer.report.positions == {0: len(sent)}, timeout_s=60, what="the last message")
            assert newer.stop() == 0
    assert_law(embedded, table, sent, tmp_path)
