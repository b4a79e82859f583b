"""The monitor as plain HTML: for a saved notebook, a docs page, a reader without a kernel.

Inline styles only and no script, so that a notebook that is not trusted shows it unchanged. Colours
come from JupyterLab's variables where there are some and stay readable where there are none.
"""

from datetime import UTC, datetime
from html import escape

from neuralake_kernel.view.protocol import Fault, JobSnapshot, ServiceSnapshot, Snapshot
from neuralake_kernel.view.words import (
    age_text,
    count_text,
    rate_text,
    size_text,
    state_sign,
    state_text,
)

__all__ = ["stable_text", "static_html"]

_MUTED = "color:var(--jp-ui-font-color2,#5f6368)"
_CELL = "padding:2px 12px 2px 0;text-align:left"
_NUMBER = "padding:2px 12px 2px 0;text-align:right;font-variant-numeric:tabular-nums"


def stable_text(snapshot: Snapshot) -> str:
    """Name the monitor in one line that two runs of a notebook share: no number, no state."""
    jobs = ", ".join(job["table"] for job in snapshot["jobs"]) or "none"
    return f"Neuralake monitor · profile {snapshot['profile'] or 'unknown'} · jobs: {jobs}"


def static_html(snapshot: Snapshot) -> str:
    """Draw a snapshot once, as a table of services and one of jobs."""
    seen = datetime.fromtimestamp(snapshot["updated_at"], tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    note = f'<span style="{_MUTED}">as of {seen}; run the cell to see it live</span>'
    parts = [
        f"<p><strong>Neuralake</strong> {escape(snapshot['profile'])} {note}</p>",
        _fault(snapshot["error"]),
        _services(snapshot["services"]),
        _jobs(snapshot["jobs"]),
    ]
    return f"<div>{''.join(parts)}</div>"


def _fault(fault: Fault | None) -> str:
    if fault is None:
        return ""
    hint = f"<br>Hint: {escape(fault['hint'])}" if fault["hint"] else ""
    return f'<p role="alert">✕ {escape(fault["message"])}{hint}</p>'


def _services(services: list[ServiceSnapshot]) -> str:
    rows = [
        [
            f"{state_sign(service['state'])} {service['name']}",
            service["reason"] or state_text(service["state"]),
            service["endpoint"] or "",
            size_text(service["rss_bytes"]),
        ]
        for service in services
    ]
    return _table(["service", "state", "endpoint", "memory"], rows, text_columns=3) if rows else ""


def _jobs(jobs: list[JobSnapshot]) -> str:
    rows = []
    for job in jobs:
        report = job["report"]
        rows.append(
            [
                f"{state_sign(job['state'])} {job['table']}",
                state_text(job["state"]),
                rate_text(job["rate_rows_s"], "rows"),
                count_text(report and report["offered"]),
                count_text(report and report["buffered_rows"]),
                count_text(report and report["committed_rows"]),
                count_text(report and report["lag"]),
                age_text(job["committed_age_s"]),
                count_text(report and report["dead_letters"]),
                count_text(report and report["table_version"]),
            ]
        )
    heads = [
        "table",
        "state",
        "rate",
        "offered (messages)",
        "buffered (rows)",
        "committed (rows)",
        "lag (messages)",
        "last commit",
        "dead letters",
        "version",
    ]
    faults = "".join(_fault(job["report"]["error"]) for job in jobs if job["report"])
    if not rows:
        return f'<p style="{_MUTED}">No job yet. Start one with <code>lab.ingest(Table)</code>.</p>'
    return _table(heads, rows, text_columns=2) + faults


def _table(heads: list[str], rows: list[list[str]], *, text_columns: int) -> str:
    def style(column: int) -> str:
        return _CELL if column < text_columns else _NUMBER

    head = "".join(
        f'<th scope="col" style="{style(column)};{_MUTED}">{escape(text)}</th>' for column, text in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style(column)}">{escape(text)}</td>' for column, text in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
