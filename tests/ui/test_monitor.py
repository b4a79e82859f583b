import re
import threading

import pytest
from playwright.sync_api import Locator, expect

from tests.ui.fake_loop import write_reports

pytestmark = pytest.mark.ui

SHOW = """\
from neuralake_kernel.view import MonitorWidget
from tests.ui.fake_loop import FakeLoop
monitor = MonitorWidget(FakeLoop())
monitor"""
# Pure Python without a pause: neither the event loop nor a sleeping main thread helps a push out.
BUSY = """\
import time
until = time.monotonic() + 6
while time.monotonic() < until:
    pass"""


@pytest.fixture
def reports(server):
    """Jobs whose workers report five times a second."""
    stop = threading.Event()

    def work():
        while not stop.wait(0.2):
            write_reports(server.home)

    write_reports(server.home)
    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


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


def offered(root: Locator, job: str = "eeg_raw") -> Locator:
    return root.locator(f"[data-job={job}] [data-station=offered] .nlk-note")


def test_numbers_in_a_cell_rise_also_while_a_cell_runs(lab):
    notebook = lab.open_notebook("monitor.ipynb", [SHOW, BUSY])
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")
    expect(cell).to_be_visible()
    lab.wait_for_cell()

    idle = rises(offered(cell), times=3)
    assert idle == sorted(set(idle))

    lab.run_cell(notebook, 1)
    prompt = lab.page.locator(".jp-InputPrompt").nth(1)
    expect(prompt).to_have_text("[*]:")
    busy = rises(offered(cell), times=5)
    assert busy == sorted(set(busy))
    expect(prompt).to_have_text("[*]:")
    lab.screenshot("cell-light")
    lab.wait_for_cell()


def test_numbers_in_the_sidebar_rise(lab, reports):
    lab.execute("neuralake:show-monitor")
    sidebar = lab.page.locator("#neuralake-sidebar")
    expect(sidebar.get_by_role("heading", name="eeg_raw")).to_be_visible()

    sidebar.locator("[data-job=eeg_raw] summary").click()
    seen = rises(offered(sidebar), times=3)

    assert seen == sorted(set(seen))
    lab.screenshot("sidebar-light")


def test_both_hosts_in_the_dark_theme(lab, reports):
    lab.dark(on=True)
    notebook = lab.open_notebook("dark.ipynb", [SHOW])
    lab.execute("neuralake:show-monitor")
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")
    expect(cell.locator("[data-job=eeg_raw]")).to_be_visible()
    expect(lab.page.locator("#neuralake-sidebar [data-job=eeg_raw]")).to_be_visible()

    rises(offered(cell), times=2)
    lab.screenshot("both-dark")
    lab.dark(on=False)
    lab.screenshot("both-light")
