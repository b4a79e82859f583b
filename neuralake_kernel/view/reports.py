"""Reads the reports that workers leave in ``<home>/jobs/<table>/report.json``.

A worker replaces its report by a rename, so a reader sees a whole one or none. A report that is
missing or unreadable costs its job the numbers, never the view.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import cast, get_args

from neuralake_kernel.view.protocol import CircuitState, Disk, Fault, Report, StoreOperation

__all__ = ["fault_of", "normalise_report", "read_reports"]


def read_reports(home: str | Path) -> dict[str, dict[str, object]]:
    """Read the report of every job of a workbench.

    Parameters
    ----------
    home
        State folder of the workbench; need not exist.

    Returns
    -------
    dict
        Report by job name, as the worker wrote it; jobs without a readable one map to ``{}``.
    """
    reports: dict[str, dict[str, object]] = {}
    folder = Path(home) / "jobs"
    for directory in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not directory.is_dir():
            continue
        try:
            found = json.loads((directory / "report.json").read_bytes())
        except (OSError, ValueError):
            found = {}
        reports[directory.name] = found if isinstance(found, dict) else {}
    return reports


def normalise_report(report: Mapping[str, object]) -> Report | None:
    """Bring a worker's report into the protocol's shape; None for one that says nothing yet."""
    if not report:
        return None
    reasons = report.get("reasons")
    positions = report.get("positions")
    return Report(
        epoch=_count(report, "epoch"),
        offered=_count(report, "offered"),
        offered_bytes=_count(report, "offered_bytes"),
        rows=_count(report, "rows"),
        dead_letters=_count(report, "dead_letters"),
        quarantined_rows=_count(report, "quarantined_rows"),
        reasons=_counts(reasons),
        decoded=_count(report, "decoded"),
        buffered_messages=_count(report, "buffered_messages"),
        buffered_rows=_count(report, "buffered_rows"),
        buffered_bytes=_count(report, "buffered_bytes"),
        committed_rows=_count(report, "committed_rows"),
        committed_messages=_count(report, "committed_messages"),
        commits=_count(report, "commits"),
        files=_count(report, "files"),
        bytes=_count(report, "bytes"),
        table_version=_whole(report.get("table_version")),
        quarantine_version=_whole(report.get("quarantine_version")),
        positions=_counts(positions),
        caught_up=report.get("caught_up") is True,
        lag=_whole(report.get("lag")),
        commit_p50_ms=number(report.get("commit_p50_ms")),
        commit_p99_ms=number(report.get("commit_p99_ms")),
        arrival_p99_s=number(_part(report, "freshness").get("arrival_p99_s")),
        cpu_s=number(_part(report, "cpu").get("process_s")),
        store={kind: _operation(_part(_part(report, "store"), kind)) for kind in _part(report, "store")},
        disk=_disk(_part(report, "disk")),
        metrics=str(report.get("metrics") or "") or None,
        started_at=seconds(report.get("started_at")),
        last_commit_at=seconds(report.get("last_commit_at")),
        updated_at=seconds(report.get("updated_at")),
        error=fault_of(report.get("error")),
    )


def fault_of(value: object) -> Fault | None:
    """Show an error (ours, anyone's, or its JSON) as code, message and hint."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        shown = cast("Mapping[str, object]", value)
        return Fault(
            code=str(shown.get("code") or "internal"),
            message=str(shown.get("message") or "unknown"),
            hint=str(shown.get("hint") or ""),
        )
    if isinstance(value, BaseException):
        return Fault(
            code=str(getattr(value, "code", "internal")),
            message=str(getattr(value, "message", "")) or str(value) or type(value).__name__,
            hint=str(getattr(value, "hint", "")),
        )
    return Fault(code="internal", message=str(value), hint="")


def seconds(value: object) -> float | None:
    """Read a time: seconds since the epoch, or RFC 3339 text."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return number(value)


def number(value: object) -> float | None:
    """Read a finite number; None for anything else (JSON knows no NaN)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _part(report: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = report.get(name)
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _disk(told: Mapping[str, object]) -> Disk | None:
    if not told:
        return None
    return Disk(
        path=str(told.get("path") or ""),
        free_bytes=_count(told, "free_bytes"),
        hours_left=number(told.get("hours_left")),
        is_full=told.get("is_full") is True,
    )


def _operation(told: Mapping[str, object]) -> StoreOperation:
    circuit = str(told.get("circuit"))
    return StoreOperation(
        requests=_count(told, "requests"),
        retries=_count(told, "retries"),
        circuit=cast("CircuitState", circuit if circuit in get_args(CircuitState) else "closed"),
        circuit_since=seconds(told.get("circuit_since")),
        next_try_at=seconds(told.get("next_try_at")),
    )


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _count(report: Mapping[str, object], name: str) -> int:
    return _whole(report.get(name)) or 0


def _counts(value: object) -> dict[str, int]:
    if not isinstance(value, Mapping):
        return {}
    counted = {str(name): _whole(count) for name, count in value.items()}
    return {name: count for name, count in counted.items() if count is not None}
