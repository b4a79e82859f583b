"""A disk of the lake that is really full: an ordered stop at the reserve, a wait where it fills all the same.

The lake stands on a small file system of its own, which only root can mount. CI is root: there a test that cannot mount
fails, elsewhere it is skipped.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import neuralake_kernel as nl
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobHandle
from neuralake_kernel.workbench import Workbench
from tests.fault.deaths import AT_ONCE
from tests.fault.traffic import PARTITIONS, Traffic, assert_law, declare

Wait = Callable[..., None]
FLUSH = FlushPolicy(max_rows=150, max_age_s=0.1)
DISK_MB = 64


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """The folder of the lake, on a disk of its own."""
    lake = home / "lake"
    lake.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "neuralake-test", str(lake)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        if os.environ.get("CI"):
            pytest.fail(f"cannot mount a small disk: {mounted.stderr}")
        pytest.skip("only root can mount a small disk")
    try:
        yield lake
    finally:
        subprocess.run(["umount", "--lazy", str(lake)], check=True)


@pytest.fixture
def lab(home: Path, small_disk: Path) -> Iterator[Workbench]:
    with nl.open(profile="embedded", home=home) as lab:
        yield lab
        lab.stack.stop()


def fill(disk: Path, *, leave_bytes: int) -> Path:
    """Take all room but some; a full disk ends the last write early."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        left = shutil.disk_usage(disk).free - leave_bytes
        while left > 0:
            try:
                left -= file.write(bytes(min(left, 1 << 20)))
            except OSError:
                break
    return filler


def started(lab: Workbench, table: str, policy: IngestPolicy, wait_until: Wait) -> JobHandle:
    job = lab.ingest(declare(table), policy=policy, partitions=PARTITIONS, restart=AT_ONCE)
    wait_until(lambda: job.report().commits > 2, what="the first commits")
    return job


def test_at_its_reserve_a_job_commits_what_it_holds_stops_reading_and_reads_on(
    lab: Workbench, small_disk: Path, tmp_path: Path, wait_until: Wait
) -> None:
    table, policy = "disk_reserve", IngestPolicy(flush=FLUSH, disk_reserve_bytes=16 * 10**6)
    with Traffic(lab.broker, f"{table}.raw", seed=21) as traffic, started(lab, table, policy, wait_until) as job:
        disk = job.report().disk
        assert disk is not None
        assert (disk.path, disk.reserve_bytes, disk.is_full) == (str(small_disk), 16 * 10**6, False)
        filler = fill(small_disk, leave_bytes=8 * 10**6)
        wait_until(lambda: job.report().state == "paused", what="the stop")
        told = job.report()
        assert told.error is not None
        assert told.error["code"] == "disk-full"
        assert str(small_disk) in told.error["message"]
        wait_until(lambda: job.report().buffered_messages == 0, what="the commit of what was held")
        wait_until(lambda: job.report().committed_messages == job.report().offered, what="the last commit")
        offered = job.report().offered
        # Messages go on arriving at the topic, and the job leaves them there.
        sent_before = len(traffic.sent)
        wait_until(lambda: job.report().updated_at > told.updated_at + 2, what="some more reports")
        assert job.report().offered == offered, sent_before
        assert (job.report().state, job.status().restarts) == ("paused", 0)
        assert f"disk of {small_disk}: no room" in str(job.report())
        filler.unlink()
        wait_until(lambda: job.report().offered > offered, what="reading again")
        assert job.report().error is None
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert job.status().restarts == 0
        assert_law(lab, table, sent, tmp_path)


def test_a_write_that_finds_no_room_is_waited_out_past_every_deadline(
    lab: Workbench, small_disk: Path, tmp_path: Path, wait_until: Wait
) -> None:
    table, policy = "disk_full", IngestPolicy(flush=FLUSH, disk_reserve_bytes=0, deadline_s=1)
    with Traffic(lab.broker, f"{table}.raw", seed=22) as traffic, started(lab, table, policy, wait_until) as job:
        filler = fill(small_disk, leave_bytes=0)
        wait_until(lambda: job.report().state == "paused", what="the pause")
        told = job.report()
        assert told.error is not None
        assert told.error["code"] == "disk-full"
        wait_until(lambda: job.report().updated_at > told.updated_at + 3, what="more time than its deadline")
        commits = job.report().commits
        assert job.report().state == "paused"
        filler.unlink()
        wait_until(lambda: job.report().commits > commits + 2, timeout_s=60, what="more commits")
        assert job.report().state == "running"
        sent = traffic.stop()
        assert job.wait(60).caught_up
        assert_law(lab, table, sent, tmp_path)


def test_a_start_on_a_full_disk_waits_for_room(
    lab: Workbench, small_disk: Path, tmp_path: Path, wait_until: Wait
) -> None:
    table, policy = "disk_start", IngestPolicy(flush=FLUSH, disk_reserve_bytes=16 * 10**6)
    with Traffic(lab.broker, f"{table}.raw", seed=23) as traffic:
        started(lab, table, policy, wait_until).stop()
        filler = fill(small_disk, leave_bytes=8 * 10**6)
        with lab.ingest(declare(table), policy=policy, partitions=PARTITIONS, restart=AT_ONCE) as job:
            wait_until(lambda: job.report().state == "paused", what="the wait")
            assert job.report().epoch == 0, "nothing was begun"
            filler.unlink()
            sent = traffic.stop()
            assert job.wait(60).caught_up
            assert job.status().restarts == 0
            assert_law(lab, table, sent, tmp_path)
