"""The real loop, embedded: a producer, the journal, an ingest worker under the supervisor, both views."""

import json
import threading

import pytest
from playwright.sync_api import expect

import neuralake_kernel as nl
from neuralake_kernel.source import create_topic, open_producer
from tests.ui.conftest import committed, rises

pytestmark = pytest.mark.ui

INGEST = """\
import dataframely as dy
import neuralake_kernel as nl

@nl.table(topic="board.raw", description="Board log, one row per packet.")
class Board(dy.Schema):
    packet = dy.Int64(nullable=False, min=0)
    value_uv = dy.Float64(min=-500, max=500)

lab = nl.open()
job = lab.ingest(Board)
lab.monitor()"""
BUSY = """\
import time
until = time.monotonic() + 8
while time.monotonic() < until:
    pass"""


def packets(first, count):
    """Messages as a board sends them; one in fifty is out of bounds, one in a hundred no JSON."""
    for packet in range(first, first + count):
        value = 9_000 if packet % 50 == 7 else packet % 100
        text = "{" if packet % 100 == 3 else json.dumps({"packet": packet, "value_uv": value})
        yield text.encode()


@pytest.fixture
def producing(server):
    """A board that sends 2,000 packets a second."""
    with nl.open(home=server.home) as lab:
        create_topic(lab.broker, "board.raw", 1)
        stop = threading.Event()

        def work():
            sent = 0
            with open_producer(lab.broker, "board.raw") as producer:
                while not stop.wait(0.05):
                    producer.send(list(packets(sent, 100)))
                    sent += 100

        thread = threading.Thread(target=work)
        thread.start()
        yield
        stop.set()
        thread.join()
        lab.stack.supervisor.shutdown()


def test_a_real_ingest_rises_in_both_hosts_also_while_a_cell_runs(lab, producing):
    notebook = lab.open_notebook("loop.ipynb", [INGEST, BUSY])
    lab.execute("neuralake:show-monitor")
    lab.run_cell(notebook, 0)
    cell = lab.page.locator(".jp-OutputArea-output .nlk")
    sidebar = lab.page.locator("#neuralake-sidebar")
    expect(cell.locator("[data-job=board]")).to_have_attribute("data-state", "running", timeout=30_000)
    lab.wait_for_cell()

    idle = rises(committed(cell, "board"), times=3)
    assert idle == sorted(set(idle))

    lab.run_cell(notebook, 1)
    prompt = lab.page.locator(".jp-InputPrompt").nth(1)
    expect(prompt).to_have_text("[*]:")
    busy = rises(committed(cell, "board"), times=3)
    assert busy == sorted(set(busy))
    expect(prompt).to_have_text("[*]:")

    sidebar.locator("[data-job=board]").get_by_text("Details").click()
    polled = rises(sidebar.locator("[data-job=board] [data-row=committed] td"), times=2)
    assert polled == sorted(set(polled))
    # What is opened fits as well: no figure is cut off at the sidebar's edge.
    assert sidebar.locator("[data-job=board]").evaluate("job => job.scrollWidth - job.clientWidth") == 0
    expect(cell.locator("[data-job=board]").get_by_text("value_uv|max")).to_be_visible()
    expect(cell.locator("[data-job=board]").get_by_text("message|json")).to_be_visible()
    lab.wait_for_cell()
    lab.screenshot("loop-light")
    lab.dark(on=True)
    lab.screenshot("loop-dark")
    lab.dark(on=False)
