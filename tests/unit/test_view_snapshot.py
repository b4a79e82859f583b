import json
from dataclasses import dataclass

import pytest

from neuralake_kernel.errors import StackError
from neuralake_kernel.view import (
    RateHistory,
    build_snapshot,
    failed_snapshot,
    read_reports,
    stable_text,
    static_html,
)

pytestmark = pytest.mark.unit


@dataclass(frozen=True, slots=True)
class Status:
    name: str
    kind: str = "service"
    state: str = "ready"
    pid: int | None = 4
    restarts: int = 0
    started_at: float | None = 1.0
    endpoint: str = "http://127.0.0.1:9001"
    rss_bytes: int | None = 133_000_000
    reason: str = ""


REPORT = {
    "job": "eeg",
    "topics": ["board.raw"],
    "epoch": 3,
    "state": "running",
    "offered": 1_200,
    "rows": 1_190,
    "dead_letters": 2,
    "reasons": {"value|max": 8, "message|json": 2},
    "buffered_rows": 90,
    "committed_rows": 1_100,
    "commits": 4,
    "table_version": 7,
    "positions": {"0": 1_110},
    "lag": 90,
    "last_commit_at": 99.5,
    "updated_at": 100.0,
    "error": None,
}


def snapshot(**given):
    return build_snapshot(profile="local", now_s=100.5, history=RateHistory(), **given)


def test_services_and_jobs_are_told_apart():
    found = snapshot(processes=[Status("minio"), Status("eeg", kind="job")], reports={"eeg": REPORT})

    assert [service["name"] for service in found["services"]] == ["minio"]
    (job,) = found["jobs"]
    assert (job["name"], job["state"], job["rss_bytes"]) == ("eeg", "running", 133_000_000)
    assert job["report"]["committed_rows"] == 1_100
    assert job["committed_age_s"] == 1.0
    assert job["report_age_s"] == 0.5


@pytest.mark.parametrize(
    ("process", "shown"),
    [("fatal", "failed"), ("fenced", "fenced"), ("backoff", "backoff"), ("stopped", "stopped")],
)
def test_the_process_overrules_what_the_worker_last_said(process, shown):
    worker = Status("eeg", kind="job", state=process, reason="exit 70")
    (job,) = snapshot(processes=[worker], reports={"eeg": REPORT})["jobs"]

    assert job["state"] == shown
    assert job["reason"] == "exit 70"


def test_a_worker_that_never_reported_is_shown():
    (job,) = snapshot(processes=[Status("eeg", kind="job", state="fatal")])["jobs"]

    assert (job["state"], job["report"]) == ("failed", None)


def test_a_snapshot_is_plain_json_whatever_a_report_holds():
    odd = {
        **REPORT,
        "lag": float("nan"),
        "reasons": None,
        "positions": {"0": "x"},
        "last_commit_at": "1970-01-01T00:01:39Z",
        "state": "dancing",
    }
    found = snapshot(reports={"eeg": odd})

    assert json.loads(json.dumps(found, allow_nan=False))["jobs"][0]["report"]["lag"] is None
    assert found["jobs"][0]["state"] == "starting"
    assert found["jobs"][0]["committed_age_s"] == 1.5


def test_reports_are_read_from_the_state_folder(tmp_path):
    for name, text in {"eeg": json.dumps(REPORT), "torn": '{"job": "to', "list": "[]"}.items():
        folder = tmp_path / "jobs" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(text)
    (tmp_path / "jobs" / "new").mkdir()

    assert read_reports(tmp_path) == {"eeg": REPORT, "list": {}, "new": {}, "torn": {}}
    assert read_reports(tmp_path / "nothing") == {}


def test_an_error_keeps_the_last_numbers():
    last = snapshot(reports={"eeg": REPORT})
    error = StackError("Cannot reach the store.", code="store-away", hint="neuralake up")

    shown = failed_snapshot(last, error, now_s=101.0)

    assert shown["error"] == {
        "code": "store-away",
        "message": "Cannot reach the store.",
        "hint": "neuralake up",
    }
    assert shown["jobs"] == last["jobs"]
    assert failed_snapshot(None, error, now_s=101.0)["jobs"] == []


def test_text_is_the_same_for_other_numbers():
    later = {**REPORT, "offered": 9_999, "state": "stopped"}

    assert stable_text(snapshot(reports={"eeg": REPORT})) == stable_text(snapshot(reports={"eeg": later}))


def test_static_html_shows_numbers_and_no_markup_of_others():
    hostile = {**REPORT, "table": "<script>alert(1)</script>"}
    html = static_html(snapshot(processes=[Status("minio")], reports={"eeg": hostile}))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "1,100" in html
    assert "http://127.0.0.1:9001" in html


def test_static_html_says_what_to_do_first():
    assert "lab.ingest(Table)" in static_html(snapshot())
