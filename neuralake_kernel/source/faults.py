"""Named places where a test may end this process, as ``kill -9`` would.

A plan is a file of lines ``point nth``; each process takes the first line for itself, as the native workers do.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DRAIN_POINTS", "Faults"]

#: Those of a spool's drainer, in the order one transaction passes them.
DRAIN_POINTS: Final = ("before_drain_send", "before_drain_note", "before_drain_commit", "after_drain_commit")


class Faults:
    """The one death this process is to die, if any.

    Parameters
    ----------
    plan
        The file of all deaths; None: none.
    """

    def __init__(self, plan: Path | None) -> None:
        self._point, self._left = "", 0
        lines = plan.read_text(encoding="ascii").splitlines() if plan is not None else []
        if plan is not None and lines:
            self._point, nth = lines[0].split()
            self._left = int(nth)
            plan.write_text("".join(f"{line}\n" for line in lines[1:]), encoding="ascii")

    def pass_by(self, point: str) -> None:
        """Pass a named point; the process ends here when it is the planned one for the planned time."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
