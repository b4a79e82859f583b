"""Install the programs of the real stack into the tools cache, by the library's own installer.

Runs in ``.venv``, before the native module is built: the two take long and need not wait for each other.
"""

import sys

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack import TOOLS, ensure_tool
from scripts.places import tools
from scripts.steps import say


def main() -> None:
    """Install one after another and name each step."""
    try:
        for name in TOOLS:
            ensure_tool(name, tools_dir=tools(), progress=lambda step: say(str(step)))
    except StackError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
