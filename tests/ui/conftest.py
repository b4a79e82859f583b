"""A real JupyterLab and a real browser for the tests of this folder.

Each session has folders of its own for Jupyter's configuration, data and runtime files, for HOME and
for the workbench's state; nothing of the user's is read or written.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "wheel.data" / "data"
SCREENSHOTS = ROOT / "build" / "screenshots"

START_S = 60.0
WIDTH, HEIGHT = 1400, 900

# The page shows an idle kernel before there is a session, and a cell run then is dropped.
UNTIL_READY = """
async (path) => {
  const isReady = async () => {
    const { shell } = window.jupyterapp;
    const panel = [...shell.widgets('main')].find((w) => w.context?.path === path);
    if (!panel) return false;
    await panel.context.sessionContext.ready;
    const kernel = panel.context.sessionContext.session?.kernel;
    if (!kernel) return false;
    await kernel.info;
    return kernel.connectionStatus === 'connected' && kernel.status === 'idle';
  };
  const deadline = performance.now() + 60_000;
  while (!(await isReady())) {
    if (performance.now() > deadline) throw new Error(`no kernel for ${path} in 60 s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
"""

RUN_CELL = """
async ([path, index]) => {
  const app = window.jupyterapp;
  const panel = [...app.shell.widgets('main')].find((w) => w.context?.path === path);
  app.shell.activateById(panel.id);
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  window.lastRun = app.commands.execute('notebook:run-cell');
}
"""


@dataclass(frozen=True)
class Server:
    """A running Jupyter server."""

    url: str
    token: str
    notebooks: Path
    home: Path


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("jupyter")
    folders = {
        "HOME": "user",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "NEURALAKE_HOME": "home",
        "XDG_CONFIG_HOME": "xdg",
    }
    for name in [*folders.values(), "notebooks"]:
        (base / name).mkdir()
    # The question whether to fetch news would lie over every picture.
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (base / "config" / "labconfig").mkdir()
    (base / "config" / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
    token = secrets.token_hex(16)
    environment = {
        **os.environ,
        **{variable: str(base / name) for variable, name in folders.items()},
        "JUPYTER_CONFIG_PATH": str(BUILT / "etc" / "jupyter"),
        "JUPYTER_PATH": str(BUILT / "share" / "jupyter"),
        "JUPYTER_TOKEN": token,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    log = (base / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", "--port=0", f"--ServerApp.root_dir={base / 'notebooks'}"),
            "--LabApp.expose_app_in_browser=True",
        ],
        env=environment,
        cwd=base,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        facts = base / "runtime" / f"jpserver-{process.pid}.json"
        wait_for(
            lambda: facts.exists() or process.poll() is not None,
            within_s=START_S,
            what="JupyterLab started",
        )
        assert process.poll() is None, (base / "server.log").read_text()
        url = json.loads(facts.read_text())["url"]
        yield Server(url=url, token=token, notebooks=base / "notebooks", home=base / "home")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


# Not for the whole session: Playwright keeps an event loop running in this thread, and tests of other
# folders want one of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


class Lab:
    """One JupyterLab page and what a test does with it."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server

    def goto(self, *, workspace: str) -> None:
        """Open the page with nothing remembered."""
        url = f"{self.server.url}lab/workspaces/{workspace}?token={self.server.token}&reset"
        self.page.goto(url)
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.page.evaluate("window.jupyterapp.restored.then(() => true)")
        self.page.evaluate("window.jupyterapp.serviceManager.ready.then(() => true)")

    def execute(self, command: str, arguments: dict[str, object] | None = None) -> None:
        """Run a command of JupyterLab."""
        self.page.evaluate(
            "([id, args]) => window.jupyterapp.commands.execute(id, args).then(() => null)",
            [command, arguments or {}],
        )

    def open_notebook(self, name: str, cells: list[str]) -> str:
        """Write a notebook and open it; returns when its kernel is ready for a cell."""
        path = self.server.notebooks / name
        path.write_text(json.dumps(notebook(cells)))
        self.execute("docmanager:open", {"path": name, "kernel": {"name": "python3"}})
        self.page.evaluate(UNTIL_READY, name)
        return name

    def run_cell(self, notebook: str, index: int) -> None:
        """Start a cell; does not wait for its end."""
        self.page.evaluate(RUN_CELL, [notebook, index])

    def wait_for_cell(self) -> None:
        """Wait until the last started cell has ended."""
        self.page.evaluate("window.lastRun.then(() => true)")

    def dark(self, *, on: bool) -> None:
        """Switch the theme."""
        theme = "JupyterLab Dark" if on else "JupyterLab Light"
        self.execute("apputils:change-theme", {"theme": theme})
        self.page.wait_for_function("(light) => document.body.dataset.jpThemeLight === light", arg=str(not on).lower())
        # JupyterLab lays its splash over the page while it changes the theme.
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def screenshot(self, name: str, target: Locator | None = None) -> None:
        """Keep a picture under build/screenshots."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        if target is None:
            self.page.screenshot(path=path)
            return
        self.page.set_viewport_size({"width": WIDTH, "height": 3 * HEIGHT})
        target.screenshot(path=path)
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def notebook(cells: list[str]) -> dict[str, object]:
    return {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{index}",
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for index, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture
def lab(browser: Browser, server: Server, request: pytest.FixtureRequest) -> Iterator[Lab]:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
    found = Lab(page, server)
    found.goto(workspace=request.node.name.replace("[", "-").replace("]", ""))
    yield found
    context.close()
    assert errors == []


def number(found: Locator) -> int:
    text = found.inner_text()
    return int(re.sub(r"[^\d]", "", text))


def rises(found: Locator, *, times: int, within_ms: int = 5_000) -> list[int]:
    """Read a number again each time it has changed."""
    seen = [number(found)]
    for _ in range(times):
        expect(found).not_to_have_text(found.inner_text(), timeout=within_ms)
        seen.append(number(found))
    return seen


def committed(root: Locator, job: str = "eeg_raw") -> Locator:
    """Find the number of committed rows in the station of a wide view."""
    return root.locator(f"[data-job={job}] [data-station=committed] .nlk-figure")
