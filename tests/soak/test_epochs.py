"""Workers of older epochs that slept for longer than the log is kept: none of them lands anything."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralake_kernel.ingest import FlushPolicy, IngestPolicy
from neuralake_kernel.workbench import Workbench
from tests.fault.asleep import ASLEEP, sleepers, wake
from tests.fault.broken_logs import clean_log
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import Mixture, assert_law, declare, send, write_expectation
from tests.soak.conftest import KILLS, Soaked

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.05), checkpoint_every=3)
#: Past this a writer concludes nothing from what it knew before it slept.
ASLEEP_S = 620
pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("profile", ["embedded", "local"])
def test_older_epochs_that_slept_over_a_clean_up_land_nothing(
    request: pytest.FixtureRequest, profile: str, tmp_path: Path, wait_until: Wait, keep: Callable[[Soaked], None]
) -> None:
    lab: Workbench = request.getfixturevalue(profile)
    table = f"soak_slept_{profile}"
    declared, topic, messages = declare(table), f"{table}.raw", Mixture(71)
    points = list(ASLEEP) * max(KILLS // 40, 1)
    with lab.ingest(declared, policy=POLICY, restart=AT_ONCE) as job:
        sent = send(lab.broker, topic, messages.take(50))
        assert job.wait(60).caught_up
    with sleepers(lab, table, points, messages, wait_until, tmp_path) as (older, sent_meanwhile):
        sent |= sent_meanwhile
        slept_from = time.clock_gettime(time.CLOCK_BOOTTIME)
        with lab.ingest(declared, policy=POLICY, restart=AT_ONCE) as newest:

            def is_over() -> bool:
                if len(sent) < 2000:
                    sent.update(send(lab.broker, topic, messages.take(20)))
                return time.clock_gettime(time.CLOCK_BOOTTIME) - slept_from > ASLEEP_S

            wait_until(is_over, timeout_s=2 * ASLEEP_S, what="a sleep longer than a snapshot is good for")
            assert newest.wait(60).caught_up
            cleaned = clean_log(lab, table)
            for one in older:
                wake(one)
            wait_until(lambda: all(one.exit_code is not None for one in older), timeout_s=120, what="their ends")
            assert newest.wait(60).caught_up
            newest_epoch = newest.report().epoch
        found = lab.verify(table, expect=write_expectation(sent, tmp_path / "expected.ndjson"))
    refused = sum(one.exit_code not in {0, None} for one in older)
    keep(
        Soaked(
            case=f"workers of older epochs, asleep for {ASLEEP_S} s, the log below a checkpoint cleaned",
            profile=profile,
            kills=0,
            rows=found.rows + found.quarantined_rows,
            lost=found.missing,
            doubled=found.doubled,
            remark=f"{refused} of {len(older)} refused",
        )
    )
    assert cleaned > 0, "no name in the log was free again"
    assert refused == len(older)
    assert newest_epoch == 2 + len(older), "nobody else took the table"
    assert_law(lab, table, sent, tmp_path)
