"""What a job says of itself adds up at every moment, costs what it says, and is served on a port that stays."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import neuralake_kernel as nl
from neuralake_kernel.cli import main
from neuralake_kernel.ingest import FlushPolicy, IngestPolicy, JobReport
from neuralake_kernel.workbench import Workbench
from tests.fault.traffic import PARTITIONS, Traffic, declare

Wait = Callable[..., None]
POLICY = IngestPolicy(flush=FlushPolicy(max_rows=100, max_age_s=0.1))
TABLE = "adds_up"


@pytest.fixture
def lab(home: Path) -> Iterator[Workbench]:
    with nl.open(profile="embedded", home=home) as lab:
        yield lab
        lab.stack.stop()


def scrape(report: JobReport) -> dict[str, float]:
    with urllib.request.urlopen(report.metrics) as answer:  # noqa: S310 - an address of loopback
        text = answer.read().decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if set(sample.labels) == {"table"}
    }


def assert_adds_up(report: JobReport) -> None:
    assert report.offered == report.decoded + report.dead_letters + report.buffered_messages
    assert report.committed_messages <= report.decoded + report.dead_letters
    assert report.committed_rows <= report.rows
    assert report.dead_letters <= report.quarantined_rows <= sum(report.reasons.values())
    cpu = report.cpu
    assert cpu.read_s + cpu.encode_s + cpu.commit_s + cpu.store_s + cpu.other_s == pytest.approx(cpu.process_s)
    for operation in report.store.values():
        assert operation.retries <= operation.failures <= operation.requests


def test_counts_add_up_while_it_runs_and_at_the_end(
    lab: Workbench, wait_until: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[JobReport] = []

    def look(report: JobReport) -> None:
        assert_adds_up(report)
        seen.append(report)

    with Traffic(lab.broker, f"{TABLE}.raw", seed=31) as traffic:
        with lab.ingest(declare(TABLE), policy=POLICY, partitions=PARTITIONS) as job:
            wait_until(lambda: look(job.report()) or seen[-1].commits > 5, what="some commits")
            sent = traffic.stop()
            assert job.wait(60, progress=look).caught_up
            wait_until(lambda: look(job.report()) or seen[-1].caught_up, what="the last word")
            last = seen[-1]
            assert last.offered == last.committed_messages == len(sent)
            assert last.committed_rows == last.rows == sum(len(message.numbers) for message in sent.values())
            assert last.buffered_messages == last.buffered_rows == last.lag == 0
            assert last.quarantined_rows == sum(len(message.rejects) for message in sent.values())

            assert last.store["commit"].requests >= last.commits
            assert last.store["upload"].requests >= last.files
            assert last.store["upload"].bytes >= last.bytes
            assert last.cpu.read_s > 0
            assert last.cpu.encode_s > 0
            assert last.cpu.commit_s > 0
            assert last.freshness.arrival_p99_s is not None
            assert 0 < last.freshness.arrival_p99_s < 30
            assert (last.freshness.commit_s or 0) >= 0

            figures = scrape(last)
            assert figures["neuralake_ingest_offered_messages_total"] == last.offered
            assert figures["neuralake_ingest_committed_rows_total"] == last.committed_rows
            assert main(["status", "--json", "--home", str(lab.home)]) == 0
            told = json.loads(capsys.readouterr().out)
            assert [job["report"]["metrics"] for job in told["jobs"]] == [last.metrics]
        job.stop()
        again = lab.ingest(declare(TABLE), policy=POLICY, partitions=PARTITIONS)
        wait_until(lambda: again.report().epoch > last.epoch, what="the next worker")
        assert again.report().metrics == last.metrics, "the port stays across restarts"
        assert scrape(again.report())["neuralake_ingest_epoch"] == last.epoch + 1
