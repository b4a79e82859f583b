"""Builds the snapshot that every host draws from process states, worker reports and table facts.

Pure but for the rate history it is handed: no I/O, no clock of its own. What a worker says of
itself may be older than what the supervisor sees, so the process decides the state of a job.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args

from neuralake_kernel.view.history import RateHistory
from neuralake_kernel.view.protocol import (
    PROTOCOL_VERSION,
    JobSnapshot,
    JobState,
    Report,
    ServiceSnapshot,
    ServiceState,
    Snapshot,
    TableSnapshot,
)
from neuralake_kernel.view.reports import fault_of, normalise_report, number, seconds

__all__ = ["build_snapshot", "failed_snapshot"]

_STATE_OF_PROCESS: Mapping[ServiceState, JobState] = {
    "starting": "starting",
    "backoff": "backoff",
    "stopping": "stopping",
    "stopped": "stopped",
    "fatal": "failed",
    "fenced": "fenced",
}


def build_snapshot(
    *,
    profile: str,
    now_s: float,
    history: RateHistory,
    processes: Iterable[object] = (),
    reports: Mapping[str, Mapping[str, object]] | None = None,
    tables: Iterable[Mapping[str, object]] = (),
) -> Snapshot:
    """Join what the supervisor, the workers and the catalog say into one snapshot.

    Parameters
    ----------
    profile
        Profile of the workbench.
    now_s
        Present time in seconds since the epoch.
    history
        Counters seen so far; takes this reading too.
    processes
        ``ProcessStatus`` values, or mappings with the same names.
    reports
        Worker report by job name; `read_reports` reads them.
    tables
        Mappings with ``name``, ``rows``, ``bytes`` and ``version``.

    Returns
    -------
    Snapshot
        Plain JSON values, ready for the widget, the sidebar and the static HTML.
    """
    shown = [_service(process) for process in processes]
    workers = {process["name"]: process for process in shown if process["kind"] == "job"}
    found = dict(reports or {})
    for name in workers:
        found.setdefault(name, {})
    history.forget(set(found))
    return Snapshot(
        protocol=PROTOCOL_VERSION,
        profile=profile,
        services=[process for process in shown if process["kind"] == "service"],
        jobs=[_job(name, found[name], workers.get(name), history, now_s) for name in sorted(found)],
        tables=[_table(table) for table in tables],
        operation=None,
        error=None,
        updated_at=now_s,
    )


def failed_snapshot(last: Snapshot | None, error: BaseException, *, now_s: float) -> Snapshot:
    """Show an error over what was last known, so that the reader keeps her numbers."""
    shown = last or Snapshot(
        protocol=PROTOCOL_VERSION,
        profile="",
        services=[],
        jobs=[],
        tables=[],
        operation=None,
        error=None,
        updated_at=now_s,
    )
    return {**shown, "error": fault_of(error)}


def _service(process: object) -> ServiceSnapshot:
    value: Mapping[str, Any]
    if dataclasses.is_dataclass(process) and not isinstance(process, type):
        value = dataclasses.asdict(process)
    else:
        value = cast("Mapping[str, Any]", process)
    state = str(value.get("state"))
    rss_bytes = number(value.get("rss_bytes"))
    return ServiceSnapshot(
        name=str(value["name"]),
        kind="job" if value.get("kind") == "job" else "service",
        state=cast("ServiceState", state if state in get_args(ServiceState) else "stopped"),
        pid=value.get("pid"),
        restarts=int(value.get("restarts") or 0),
        started_at=seconds(value.get("started_at")),
        endpoint=value.get("endpoint") or None,
        rss_bytes=None if rss_bytes is None else int(rss_bytes),
        reason=value.get("reason") or None,
    )


def _job(
    name: str,
    raw: Mapping[str, object],
    process: ServiceSnapshot | None,
    history: RateHistory,
    now_s: float,
) -> JobSnapshot:
    report = normalise_report(raw)
    if report is not None:
        history.add(
            name,
            report["updated_at"] or now_s,
            rows=report["rows"],
            messages=report["offered"],
            commits=report["commits"],
        )
    rates = history.rates(name, now_s)
    return JobSnapshot(
        name=name,
        table=str(raw.get("table") or name),
        topic=_topic(raw),
        state=_state(raw, process),
        reason=process["reason"] if process else None,
        rss_bytes=process["rss_bytes"] if process else None,
        restarts=process["restarts"] if process else 0,
        rate_rows_s=rates.rows_s,
        rate_messages_s=rates.messages_s,
        rate_commits_s=rates.commits_s,
        committed_age_s=_age(report, "last_commit_at", now_s),
        report_age_s=_age(report, "updated_at", now_s),
        report=report,
        history=list(rates.points),
    )


def _topic(raw: Mapping[str, object]) -> str:
    """Topics of a job in one text."""
    topics = raw.get("topics")
    return ", ".join(map(str, topics)) if isinstance(topics, Sequence) else str(raw.get("topic") or "")


def _state(raw: Mapping[str, object], process: ServiceSnapshot | None) -> JobState:
    if process is not None and process["state"] in _STATE_OF_PROCESS:
        return _STATE_OF_PROCESS[process["state"]]
    said = str(raw.get("state") or "starting")
    return cast("JobState", said if said in get_args(JobState) else "starting")


def _age(report: Report | None, name: str, now_s: float) -> float | None:
    at_s = number(report.get(name)) if report else None
    return None if at_s is None else round(max(0.0, now_s - at_s), 2)


def _table(table: Mapping[str, object]) -> TableSnapshot:
    counts = {key: number(table.get(key)) for key in ("rows", "bytes", "version")}
    whole = {key: None if value is None else int(value) for key, value in counts.items()}
    return TableSnapshot(
        name=str(table["name"]),
        rows=whole["rows"],
        bytes=whole["bytes"],
        version=whole["version"],
    )
