"""A job's figures as Prometheus text: nothing of the report is missing, nothing unknown is told as zero."""

import urllib.request
from dataclasses import fields, replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from neuralake_kernel.ingest import CpuUse, DiskSpace, Freshness, JobReport, StoreOperation, UnknownField, UnknownFields
from neuralake_kernel.ingest.metrics import ReportCollector, serve
from neuralake_kernel.stack import free_port

REPORT = JobReport(
    job="eeg",
    topics=("eeg.raw",),
    state="paused",
    epoch=3,
    offered=101,
    offered_bytes=102,
    decoded=103,
    rows=104,
    dead_letters=105,
    quarantined_rows=106,
    reasons={'value|max="9"': 107},
    warnings={"value|typical": 138},
    unknown_fields=UnknownFields(
        {"temperature": UnknownField(count=142, type="float64", examples=("36.5",))}, others=9
    ),
    buffered_messages=108,
    buffered_rows=109,
    buffered_bytes=110,
    committed_rows=111,
    committed_messages=112,
    commits=113,
    files=114,
    bytes=115,
    table_version=116,
    lag=117,
    commit_p50_ms=118.0,
    commit_p99_ms=119.0,
    started_at=120.0,
    last_commit_at=121.0,
    freshness=Freshness(event_s=122.0, arrival_s=123.0, commit_s=124.0),
    cpu=CpuUse(read_s=125.0, encode_s=126.0, commit_s=127.0, store_s=128.0, process_s=635.0),
    disk=DiskSpace(path="/lake", free_bytes=139, reserve_bytes=140, hours_left=141.0, is_full=True),
    store={
        "upload": StoreOperation(requests=130, retries=131, failures=132, bytes=133, waited_s=134.0, under_way=135),
        "list": StoreOperation(requests=136, circuit="open", circuit_opened=137),
    },
)

Told = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def told(text: str) -> Told:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def rendered(report: JobReport) -> Told:
    registry = CollectorRegistry()
    registry.register(ReportCollector(lambda: report))
    return told(generate_latest(registry).decode())


def test_every_figure_of_the_report_is_told_once() -> None:
    values = sorted(value for value in rendered(REPORT).values() if value >= 101)
    expected = [*range(101, 118), 0.118, 0.119, *range(120, 143)]
    # What is left of the process when the stages are taken away; and of 118 and 119 the seconds.
    expected = sorted([value for value in expected if value >= 101])
    assert values == pytest.approx(sorted({*expected, 129.0}))
    figures = rendered(REPORT)
    assert figures["neuralake_ingest_commit_seconds", (("quantile", "0.99"), ("table", "eeg"))] == 0.119
    assert figures["neuralake_ingest_cpu_seconds_total", (("stage", "other"), ("table", "eeg"))] == 129.0
    assert figures["neuralake_ingest_violations_total", (("rule", 'value|max="9"'), ("table", "eeg"))] == 107


def test_positions_are_told_by_topic_and_partition() -> None:
    name, table = "neuralake_ingest_position", ("table", "eeg")
    assert rendered(replace(REPORT, positions={1: 7}))[name, (("partition", "1"), table, ("topic", "eeg.raw"))] == 7
    several = replace(REPORT, topics=("left", "right"), positions={"left/0": 5, "right/0": 6})
    figures = rendered(several)
    assert [figures[name, (("partition", "0"), table, ("topic", topic))] for topic in several.topics] == [5, 6]
    assert JobReport.from_json(several.to_json()) == several


def test_one_state_and_one_circuit_state_is_set() -> None:
    figures = rendered(REPORT)
    states = {dict(labels)["state"] for (name, labels), value in figures.items() if name.endswith("_state") and value}
    assert states == {"paused"}
    circuits = {
        (dict(labels)["operation"], dict(labels)["state"])
        for (name, labels), value in figures.items()
        if name.endswith("_store_circuit") and value
    }
    assert circuits == {("upload", "closed"), ("list", "open")}


def test_what_is_not_known_is_absent() -> None:
    figures = rendered(replace(REPORT, last_commit_at=None, freshness=Freshness(), commit_p50_ms=None))
    names = {name for name, _ in figures}
    assert "neuralake_ingest_last_commit_time_seconds" not in names
    assert "neuralake_ingest_freshness_seconds" not in names


def test_the_port_answers_on_loopback_alone() -> None:
    address = serve(free_port(), lambda: REPORT)
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - an address of loopback
        assert told(answer.read().decode()) == rendered(REPORT)


def test_a_report_is_what_its_json_says() -> None:
    report = replace(REPORT, positions={0: 7}, error={"code": "store-unreachable"})
    assert JobReport.from_json(report.to_json()) == report
    newer = report.to_json()
    newer["cpu"]["gpu_s"] = newer["store"]["list"]["mood"] = 1
    assert JobReport.from_json(newer) == report
    assert {field.name for field in fields(JobReport)} == set(report.to_json())
