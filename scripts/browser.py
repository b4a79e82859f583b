"""A Chromium for the browser tests: from PATH, else from apt, else Playwright's own."""

import shutil
from contextlib import suppress
from pathlib import Path

from scripts.compilers import apt_install, can_apt
from scripts.places import BIN, PYTHON
from scripts.stamps import is_fresh, record
from scripts.steps import StepError, captured, run, timed

NAMES = ("chromium", "chromium-browser", "google-chrome")
WHERE = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"


def on_path() -> str | None:
    """Return the Chromium of the system."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def provide() -> None:
    """See to it that there is one, or say what to do."""
    if on_path() or is_fresh("browser", "playwright"):
        return
    with timed("Chromium"):
        if can_apt():
            # Ubuntu's package is a stub for snap and may fail; Playwright has one of its own.
            with suppress(StepError):
                apt_install(["chromium"])
        if on_path():
            return
        if not _playwright_has_one():
            run(
                [BIN / "playwright", "install", "chromium"],
                hint="install Chromium or Google Chrome so that it is on PATH",
            )
    record("browser", "playwright")


def _playwright_has_one() -> bool:
    code, said = captured([PYTHON, "-c", WHERE])
    return code == 0 and Path(said.strip()).exists()
