"""The server extension as an HTTP client meets it: authentication first, then its answers."""

import json
import urllib.error
import urllib.request

import pytest

from neuralake_kernel.jupyter.extension import ROUTES

pytestmark = pytest.mark.ui


class Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *_args):
        return None


def ask(server, route, *, method="GET", body=None, token=None):
    url = f"{server.url}{route}"
    request = urllib.request.Request(url, method=method, data=body)  # noqa: S310 - our own server
    if token is not None:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("route", [route.replace("(.*)", "monitor.js") for route in ROUTES])
def test_no_route_answers_a_stranger(server, route, method):
    body = b'{"action": "down"}' if method in {"POST", "PUT"} else None
    for token in (None, "wrong"):
        status, headers, found = ask(server, route, method=method, body=body, token=token)

        assert status in {302, 403, 405}
        assert status != 302 or "/login" in headers["Location"]
        assert b"services" not in found
        assert b"mount" not in found


def test_status_is_a_snapshot(server):
    status, headers, body = ask(server, "neuralake/api/status", token=server.token)

    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body)["protocol"] == 1


def test_the_module_is_the_one_of_the_cell(server):
    from neuralake_kernel.view.monitor import MONITOR_MODULE

    status, headers, body = ask(server, "neuralake/static/monitor.js", token=server.token)

    assert status == 200
    assert "javascript" in headers["Content-Type"]
    assert body == MONITOR_MODULE.read_bytes()


@pytest.mark.parametrize("path", ["../monitor.py", "%2e%2e/monitor.py", "missing.js"])
def test_nothing_beside_the_modules_is_served(server, path):
    status, _, body = ask(server, f"neuralake/static/{path}", token=server.token)

    assert status in {403, 404}
    assert b"MonitorWidget" not in body


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"action": "format"}', b'{"action": "restart"}', b'{"action": "up", "name": "x"}'],
)
def test_a_malformed_action_is_refused_with_a_hint(server, body):
    status, _, found = ask(server, "neuralake/api/stack", method="POST", body=body, token=server.token)

    assert status == 400
    fault = json.loads(found)
    assert fault["code"] == "stack-action"
    assert "restart" in fault["hint"]
