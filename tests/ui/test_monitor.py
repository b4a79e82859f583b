import os
import shutil
import signal
import socket
import sys
import threading

import pytest
from playwright.sync_api import expect

from neuralake_kernel.stack import ProcessSpec, ReadyProbe, Supervisor
from tests.ui.conftest import committed, rises, wait_for
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

TROUBLE = """\
from neuralake_kernel.view import MonitorWidget
from tests.ui.fake_loop import in_trouble
MonitorWidget(in_trouble)"""
EMPTY = """\
import time
from neuralake_kernel.view import MonitorWidget, RateHistory, build_snapshot
MonitorWidget(
    lambda: build_snapshot(profile="embedded", now_s=time.time(), history=RateHistory())
)"""
CLOSE = """\
import threading
monitor.close()
names = [thread.name for thread in threading.enumerate()]
print("threads:", names.count("neuralake-monitor"))"""


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
    shutil.rmtree(server.home / "jobs")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def services(server):
    """Two processes of a real supervisor."""
    supervisor = Supervisor(server.home)
    for name in ("kafka", "minio"):
        port = free_port()
        argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
        url = f"http://127.0.0.1:{port}"
        probe = ReadyProbe("http", f"{url}/")
        supervisor.start(ProcessSpec(name, "service", argv, ready=probe, endpoint=url))
        assert supervisor.wait(name, timeout_s=20).state == "ready"
    yield supervisor
    supervisor.shutdown()


def test_numbers_in_a_cell_rise_also_while_a_cell_runs(lab):
    notebook = lab.open_notebook("monitor.ipynb", [SHOW, BUSY])
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")
    expect(cell).to_be_visible()
    lab.wait_for_cell()

    idle = rises(committed(cell), times=3)
    assert idle == sorted(set(idle))

    lab.run_cell(notebook, 1)
    prompt = lab.page.locator(".jp-InputPrompt").nth(1)
    expect(prompt).to_have_text("[*]:")
    busy = rises(committed(cell), times=5)
    assert busy == sorted(set(busy))
    expect(prompt).to_have_text("[*]:")
    lab.screenshot("cell-light")
    lab.wait_for_cell()


def test_numbers_in_the_sidebar_rise(lab, reports):
    lab.execute("neuralake:show-monitor")
    sidebar = lab.page.locator("#neuralake-sidebar")
    expect(sidebar.get_by_role("heading", name="eeg_raw")).to_be_visible()

    job = sidebar.locator("[data-job=eeg_raw]")
    job.get_by_text("Details").click()
    seen = rises(job.locator("[data-row=commits] td"), times=3)

    assert seen == sorted(set(seen))
    lab.screenshot("sidebar-light")


def test_the_sidebar_shows_services_and_brings_a_dead_supervisor_back(lab, services):
    lab.execute("neuralake:show-monitor")
    minio = lab.page.locator("#neuralake-sidebar [data-service=minio]")
    expect(minio).to_have_attribute("data-state", "ready")
    before = services.find("minio")

    os.kill(services.pid, signal.SIGKILL)

    wait_for(
        lambda: (services.find("minio").pid or before.pid) != before.pid,
        within_s=20,
        what="minio runs again",
    )
    expect(minio).to_have_attribute("data-state", "ready")


def test_a_stopped_service_is_started_from_the_sidebar(lab, services):
    services.stop("minio")
    lab.execute("neuralake:show-monitor")
    minio = lab.page.locator("#neuralake-sidebar [data-service=minio]")
    expect(minio).to_have_attribute("data-state", "stopped")

    minio.get_by_role("button", name="Start minio").click()

    expect(minio).to_have_attribute("data-state", "ready", timeout=15_000)
    assert services.find("minio").is_ready


def test_both_hosts_in_the_dark_theme(lab, reports, services):
    lab.dark(on=True)
    notebook = lab.open_notebook("dark.ipynb", [SHOW])
    lab.execute("neuralake:show-monitor")
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")
    expect(cell.locator("[data-job=eeg_raw]")).to_be_visible()
    expect(lab.page.locator("#neuralake-sidebar [data-job=eeg_raw]")).to_be_visible()

    rises(committed(cell), times=2)
    lab.screenshot("both-dark")
    lab.dark(on=False)
    lab.screenshot("both-light")


def test_trouble_stands_in_the_view_with_its_next_step(lab):
    notebook = lab.open_notebook("trouble.ipynb", [TROUBLE])
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")

    expect(cell.get_by_text("Call again: it is then brought back.")).to_be_visible()
    lost = cell.locator("[data-job=lost]")
    expect(lost.get_by_text("Failed: exit 70")).to_be_visible()
    expect(lost.get_by_text("Ingest again with start='earliest'")).to_be_visible()
    expect(cell.locator("[data-job=old]").get_by_text("a newer worker owns")).to_be_visible()
    expect(cell.locator("[data-job=silent]").get_by_text("No word from the worker")).to_be_visible()
    expect(cell.locator("[data-service=kafka]").get_by_text("no Java on PATH")).to_be_visible()
    lab.screenshot("trouble", cell)


def test_an_empty_view_says_what_to_do(lab):
    notebook = lab.open_notebook("empty.ipynb", [EMPTY])
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")

    expect(cell.get_by_text("lab.ingest(Table)")).to_be_visible()
    expect(cell.get_by_text("No servers needed")).to_be_visible()
    lab.screenshot("empty", cell)


def test_details_open_by_keyboard_and_stay_open(lab):
    notebook = lab.open_notebook("keyboard.ipynb", [SHOW])
    lab.run_cell(notebook, 0)
    job = lab.page.locator(".jp-OutputArea-output .nlk [data-job=spikes]")
    summary = job.get_by_text("Details")

    summary.focus()
    lab.page.keyboard.press("Enter")
    rises(committed(lab.page.locator(".jp-OutputArea-output .nlk"), "spikes"), times=2)

    expect(summary).to_be_focused()
    expect(job.get_by_role("table", name="Positions")).to_be_visible()
    lab.screenshot("details", lab.page.locator(".jp-OutputArea-output .nlk"))


def test_a_closed_widget_leaves_no_view_and_no_thread(lab):
    notebook = lab.open_notebook("closed.ipynb", [SHOW, CLOSE])
    lab.run_cell(notebook, 0)
    expect(lab.page.locator(".jp-OutputArea-output .nlk")).to_be_visible()

    lab.run_cell(notebook, 1)

    expect(lab.page.get_by_text("threads: 0")).to_be_visible()
    expect(lab.page.locator(".nlk")).to_have_count(0)
