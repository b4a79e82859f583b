"""What the sidebar asks of a workbench: one snapshot, and start, stop or restart of the stack.

Blocking by nature (sockets, files, program starts), so its callers keep it off the event loop.
Several tabs that ask at once share one answer.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from neuralake_kernel.errors import ProtocolError, UsageError
from neuralake_kernel.stack import Supervisor
from neuralake_kernel.view import (
    Fault,
    Operation,
    OperationState,
    RateHistory,
    Snapshot,
    StackAction,
    build_snapshot,
    fault_of,
    read_reports,
)

__all__ = ["StackClient", "read_action"]

# Shorter than any poll interval: one reader never sees the same answer twice.
_SHARED_FOR_S: Final = 0.5


def read_action(body: object) -> StackAction:
    """Check the body of a request.

    Raises
    ------
    ProtocolError
        It is not one of the three actions, or names a process where it must not.
    """
    found = body if isinstance(body, dict) else {}
    action, name = found.get("action"), found.get("name")
    if action not in ("up", "down", "restart"):
        raise ProtocolError(
            f"Cannot act on the stack: found action {action!r}, expected up, down or restart.",
            code="stack-action",
            hint='Send {"action": "up"}, {"action": "down"} or {"action": "restart", "name": "kafka"}.',
        )
    if (action == "restart") != isinstance(name, str):
        raise ProtocolError(
            f"Cannot {action} {name!r}: a process is named with restart, and only there.",
            code="stack-action",
            hint='Send {"action": "restart", "name": "kafka"}.',
        )
    return StackAction(action=action, name=name)


class StackClient:
    """One workbench, seen from the Jupyter server.

    Parameters
    ----------
    home
        State folder of the workbench.
    profile
        Its profile.
    start_stack, stop_stack
        Start and stop the services of the profile; block until it is done.
    """

    def __init__(
        self,
        home: Path,
        profile: str,
        *,
        start_stack: Callable[[], object],
        stop_stack: Callable[[], object],
    ) -> None:
        self._home = home
        self._profile = profile
        self._start_stack = start_stack
        self._stop_stack = stop_stack
        self._history = RateHistory()
        self._reading = threading.Lock()
        self._acting = threading.Lock()
        self._operation: Operation | None = None
        self._last: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """Ask supervisor and workers; a dead supervisor whose stack should run is brought back."""
        with self._reading:
            now_s = time.time()
            if self._last is None or abs(now_s - self._last["updated_at"]) > _SHARED_FOR_S:
                self._last = build_snapshot(
                    profile=self._profile,
                    now_s=now_s,
                    history=self._history,
                    processes=Supervisor(self._home).status() if self._home.is_dir() else (),
                    reports=read_reports(self._home),
                )
            return {**self._last, "operation": self._operation}

    def begin(self, action: StackAction) -> None:
        """Take an action in hand; `finish` does it.

        Raises
        ------
        UsageError
            Another one is still under way.
        """
        if not self._acting.acquire(blocking=False):
            raise UsageError(
                f"Cannot {action['action']} the stack: another start or stop is under way.",
                code="stack-busy",
                hint="Wait until it is done; the sidebar shows it.",
            )
        self._tell(action, "running", None)

    def finish(self, action: StackAction) -> None:
        """Do what was begun; a failure stands in the snapshot's ``operation``."""
        fault: Fault | None = None
        try:
            if action["action"] == "up":
                self._start_stack()
            elif action["action"] == "down":
                self._stop_stack()
            else:
                Supervisor(self._home).restart(str(action["name"]))
        except Exception as error:  # noqa: BLE001 - outermost door: the reader sees it in the sidebar
            fault = fault_of(error)
        self._tell(action, "failed" if fault else "done", fault)
        self._acting.release()

    def _tell(self, action: StackAction, state: OperationState, fault: Fault | None) -> None:
        self._operation = Operation(action=action["action"], name=action["name"], state=state, error=fault)
