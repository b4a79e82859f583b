import threading

import pytest

from neuralake_kernel.errors import ProtocolError, StackError, UsageError
from neuralake_kernel.jupyter.nodelay import without_delay
from neuralake_kernel.jupyter.stack_client import StackClient, read_action

pytestmark = pytest.mark.unit

UP = {"action": "up", "name": None}


def client(home, *, start=lambda: None, stop=lambda: None):
    return StackClient(home, "local", start_stack=start, stop_stack=stop)


def test_an_action_is_shown_while_it_runs_and_when_it_is_done(tmp_path):
    seen = []
    found = client(tmp_path / "home", start=lambda: seen.append(found.snapshot()["operation"]))

    found.begin(UP)
    found.finish(UP)

    assert [operation["state"] for operation in seen] == ["running"]
    assert found.snapshot()["operation"] == {
        "action": "up",
        "name": None,
        "state": "done",
        "error": None,
    }


def test_a_failed_action_keeps_its_hint(tmp_path):
    def start():
        raise StackError("Cannot start Kafka.", code="java-missing", hint="Install Java 17.")

    found = client(tmp_path / "home", start=start)
    found.begin(UP)
    found.finish(UP)

    operation = found.snapshot()["operation"]
    assert (operation["state"], operation["error"]["hint"]) == ("failed", "Install Java 17.")


def test_two_actions_at_once_are_refused(tmp_path):
    found = client(tmp_path / "home")
    found.begin(UP)

    with pytest.raises(UsageError) as caught:
        found.begin({"action": "down", "name": None})
    assert caught.value.code == "stack-busy"

    found.finish(UP)
    found.begin({"action": "down", "name": None})


def test_a_workbench_that_was_never_used_is_an_empty_snapshot(tmp_path):
    found = client(tmp_path / "home").snapshot()

    assert (found["services"], found["jobs"], found["error"]) == ([], [], None)
    assert not (tmp_path / "home").exists()


def test_tabs_that_ask_at_once_share_one_answer(tmp_path):
    found = client(tmp_path / "home")
    times = []
    threads = [threading.Thread(target=lambda: times.append(found.snapshot()["updated_at"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(times) == 8
    assert len(set(times)) == 1


@pytest.mark.parametrize("body", [None, [], "up", {"action": "up", "name": "kafka"}, {"action": "restart", "name": 3}])
def test_other_bodies_are_no_action(body):
    with pytest.raises(ProtocolError) as caught:
        read_action(body)

    assert caught.value.code == "stack-action"


def test_kernel_messages_leave_without_delay():
    class Handler:
        delays = True

        def set_nodelay(self, value):
            self.delays = not value

    class Stock:
        def __init__(self):
            self.websocket_handler = Handler()

        async def connect(self):
            return "connected"

    quick = without_delay(Stock)
    connection = quick()

    with pytest.raises(StopIteration) as returned:
        connection.connect().send(None)
    assert returned.value.value == "connected"
    assert not connection.websocket_handler.delays
    assert issubclass(quick, Stock)
    assert without_delay(quick) is quick
