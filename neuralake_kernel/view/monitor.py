"""The monitor in a cell: pushes snapshots to the browser from a thread of its own.

The kernel owns the state, the browser only draws it. A push needs no turn of the kernel's event
loop, so the numbers move while a cell runs. At most ten pushes leave in a second, and none while
nothing changed, save a sign of life every two seconds by which the browser tells a quiet lake from
a dead kernel.

What ``get_snapshot`` raises is shown inside the widget and the thread goes on asking. `close`, a
comm closed by the browser, and the end of the kernel end the thread.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import anywidget
import traitlets

from neuralake_kernel.errors import UsageError
from neuralake_kernel.view.protocol import Snapshot
from neuralake_kernel.view.snapshot import failed_snapshot
from neuralake_kernel.view.static_html import stable_text, static_html

__all__ = ["MONITOR_MODULE", "MonitorWidget"]

MONITOR_MODULE: Final = Path(__file__).parent / "static" / "monitor.js"

_LEAST_INTERVAL_S = 0.1
_SIGN_OF_LIFE_S = 2.0


class MonitorWidget(anywidget.AnyWidget):
    """Live view of stack and ingest for a notebook cell.

    Parameters
    ----------
    get_snapshot
        Called from the widget's thread for each push; returns a dictionary as
        `neuralake_kernel.view.protocol` describes it. May block, may raise.
    interval_s
        Time between two readings, at least 0.1 s.

    Raises
    ------
    UsageError
        The interval is shorter than 0.1 s, or the browser's half was never built.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(self, get_snapshot: Callable[[], Snapshot], *, interval_s: float = 0.2) -> None:
        # First of all: ipywidgets closes a widget whose constructor failed, too.
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if interval_s < _LEAST_INTERVAL_S:
            raise UsageError(
                f"Cannot push every {interval_s} s: a widget sends at most ten times a second.",
                code="view-interval",
                hint="Give interval_s=0.1 or more.",
            )
        self._get_snapshot = get_snapshot
        self._interval_s = interval_s
        self._last_good: Snapshot | None = None
        super().__init__(snapshot=self._read())
        if self.comm is not None:
            self.comm.on_close(lambda _message: self.close())
        self._thread = threading.Thread(target=self._push, name="neuralake-monitor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and close the view; may be called twice."""
        self._stop.set()
        if self._thread not in (None, threading.current_thread()):
            self._thread.join(timeout=2 * self._interval_s)
        super().close()

    def __repr__(self) -> str:
        """One line that two runs of a notebook share."""
        return stable_text(self._shown)

    def _repr_mimebundle_(
        self, **options: dict[Any, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:  # None: the widget was closed
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/html": static_html(self._shown)}, metadata

    @traitlets.default("_esm")
    def _read_module(self) -> str:
        try:
            return MONITOR_MODULE.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UsageError(
                "Cannot show the monitor: its browser module is not in this installation.",
                code="view-not-built",
                hint="In a clone run `sh widgets/build.sh`; otherwise install the wheel again.",
            ) from None

    @property
    def _shown(self) -> Snapshot:
        return cast("Snapshot", self.snapshot)

    def _read(self) -> Snapshot:
        try:
            self._last_good = self._get_snapshot()
        except Exception as error:  # noqa: BLE001 - outermost door: the reader sees it in the widget
            return failed_snapshot(self._last_good, error, now_s=time.time())
        return self._last_good

    def _push(self) -> None:
        pushed_at_s = time.monotonic()
        while not self._stop.wait(self._interval_s):
            snapshot = self._read()
            now_s = time.monotonic()
            if self._stop.is_set() or self.comm is None:
                return
            if now_s - pushed_at_s >= _SIGN_OF_LIFE_S or _gist(snapshot) != _gist(self._shown):
                pushed_at_s = now_s
                self.snapshot = dict(snapshot)


def _gist(snapshot: Snapshot) -> dict[str, Any]:
    """Drop from a snapshot what changes though nothing happened: the browser lets ages grow."""
    jobs = []
    for job in snapshot["jobs"]:
        report = job["report"]
        jobs.append(
            {
                **job,
                "committed_age_s": None,
                "report_age_s": None,
                "history": None,
                "report": report and {**report, "updated_at": None},
            }
        )
    return {**snapshot, "jobs": jobs, "updated_at": None}
