"""Install the programs of the real stack into the tools cache, by the library's own installer.

Runs in ``.venv``, before the native module is built: the two take long and need not wait for each other.
"""

import sys

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack import TOOLS, StackProgress, ensure_tool
from scripts.places import tools
from scripts.steps import say

TENTHS = 10


class Progress:
    """Says each step, and each tenth of a step that is counted: a log is read, not watched."""

    def __init__(self) -> None:
        self._last: tuple[str, str, int] | None = None

    def __call__(self, step: StackProgress) -> None:
        """Say a step, unless its last line says as much."""
        tenth = TENTHS * step.done // step.total if step.total else 0
        now = (step.part, step.step, tenth)
        if now != self._last:
            say(f"   {step}")
        self._last = now


def main() -> None:
    """Install one after another and name each step."""
    progress = Progress()
    try:
        for name in TOOLS:
            ensure_tool(name, tools_dir=tools(), progress=progress)
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
