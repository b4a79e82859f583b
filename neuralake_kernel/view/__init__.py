"""What people see: the snapshot, and the Python halves of the views that draw it.

``MonitorWidget`` is imported on first use, so that the server extension and the command line build
snapshots without loading ipywidgets.
"""

from typing import TYPE_CHECKING

from neuralake_kernel.view.history import RateHistory, Rates
from neuralake_kernel.view.protocol import (
    PROTOCOL_VERSION,
    ActionName,
    Fault,
    JobSnapshot,
    JobState,
    Operation,
    OperationState,
    Report,
    ServiceSnapshot,
    ServiceState,
    Snapshot,
    StackAction,
    TableSnapshot,
)
from neuralake_kernel.view.reports import fault_of, read_reports
from neuralake_kernel.view.snapshot import build_snapshot, failed_snapshot
from neuralake_kernel.view.static_html import stable_text, static_html
from neuralake_kernel.view.words import age_text, count_text, rate_text, size_text, state_sign, state_text

if TYPE_CHECKING:
    from neuralake_kernel.view.monitor import MonitorWidget

__all__ = [
    "PROTOCOL_VERSION",
    "ActionName",
    "Fault",
    "JobSnapshot",
    "JobState",
    "MonitorWidget",
    "Operation",
    "OperationState",
    "RateHistory",
    "Rates",
    "Report",
    "ServiceSnapshot",
    "ServiceState",
    "Snapshot",
    "StackAction",
    "TableSnapshot",
    "age_text",
    "build_snapshot",
    "count_text",
    "failed_snapshot",
    "fault_of",
    "rate_text",
    "read_reports",
    "size_text",
    "stable_text",
    "state_sign",
    "state_text",
    "static_html",
]


def __getattr__(name: str) -> object:
    if name == "MonitorWidget":
        from neuralake_kernel.view.monitor import MonitorWidget

        return MonitorWidget
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
