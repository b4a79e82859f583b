import threading
import time

import pytest

from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.view import MonitorWidget, RateHistory, build_snapshot, monitor

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    path = tmp_path / "monitor.js"
    path.write_text("export default { render() {} };")
    monkeypatch.setattr(monitor, "MONITOR_MODULE", path)


@pytest.fixture
def shown():
    widgets = []
    yield widgets.append
    for widget in widgets:
        widget.close()


def until(condition, within_s=5.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.01)


def counting():
    history = RateHistory()
    calls = iter(range(1, 1_000_000))

    def get_snapshot():
        return build_snapshot(
            profile="embedded",
            now_s=time.time(),
            history=history,
            reports={"eeg": {"state": "running", "offered": next(calls)}},
        )

    return get_snapshot


def offered(widget):
    return widget.snapshot["jobs"][0]["report"]["offered"]


def test_numbers_are_pushed_at_most_ten_times_a_second(shown):
    pushes = []
    widget = MonitorWidget(counting(), interval_s=0.1)
    shown(widget)
    widget.observe(lambda change: pushes.append((time.monotonic(), change.new)), "snapshot")

    until(lambda: len(pushes) >= 10)

    taken_s = pushes[9][0] - pushes[0][0]
    assert taken_s >= 9 * 0.1 * 0.98
    counts = [snapshot["jobs"][0]["report"]["offered"] for _, snapshot in pushes]
    assert counts == sorted(set(counts))


def test_nothing_is_pushed_while_nothing_changed(shown):
    asked = threading.Event()
    fixed = counting()()

    def get_snapshot():
        asked.set()
        return {**fixed, "updated_at": time.time()}

    widget = MonitorWidget(get_snapshot, interval_s=0.1)
    shown(widget)
    pushes = []
    widget.observe(lambda change: pushes.append(change.new), "snapshot")
    for _ in range(5):
        asked.clear()
        assert asked.wait(5)

    assert pushes == []


def test_an_error_is_shown_inside_and_the_numbers_come_back(shown):
    good = counting()
    away = threading.Event()

    def get_snapshot():
        if away.is_set():
            raise StackError("Cannot reach the store.", code="store-away", hint="neuralake up")
        return good()

    widget = MonitorWidget(get_snapshot, interval_s=0.1)
    shown(widget)
    before = offered(widget)
    away.set()
    until(lambda: widget.snapshot["error"] is not None)
    assert widget.snapshot["error"]["hint"] == "neuralake up"
    assert offered(widget) >= before

    away.clear()
    until(lambda: widget.snapshot["error"] is None)


def test_the_thread_ends_with_the_widget():
    widget = MonitorWidget(counting(), interval_s=0.1)
    thread = widget._thread
    assert thread.is_alive()

    widget.close()
    widget.close()

    thread.join(5)
    assert not thread.is_alive()


def test_a_comm_closed_by_the_browser_ends_the_thread():
    widget = MonitorWidget(counting(), interval_s=0.1)

    widget.comm.handle_close({})

    until(lambda: not widget._thread.is_alive())


def test_a_cell_shows_live_view_text_and_html_at_once(shown):
    widget = MonitorWidget(counting())
    shown(widget)

    data, _ = widget._repr_mimebundle_()

    assert set(data) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }
    assert data["text/plain"] == "Neuralake monitor · profile embedded · jobs: eeg"
    assert "<table>" in data["text/html"]


def test_more_than_ten_pushes_a_second_are_refused():
    with pytest.raises(UsageError) as caught:
        MonitorWidget(counting(), interval_s=0.05)

    assert caught.value.code == "view-interval"


def test_an_installation_without_the_module_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(monitor, "MONITOR_MODULE", tmp_path / "missing.js")

    with pytest.raises(UsageError) as caught:
        MonitorWidget(counting())

    assert caught.value.code == "view-not-built"
