"""What the browser's module says, asked in Node: it says numbers as Python does, and judges jobs."""

import json
import subprocess
from pathlib import Path

import pytest

from neuralake_kernel.view import RateHistory, build_snapshot
from neuralake_kernel.view.words import age_text, count_text, size_text

pytestmark = pytest.mark.unit

WIDGETS = Path(__file__).resolve().parents[2] / "widgets"
ASK = """
const module = await import(process.argv[1]);
const asked = JSON.parse(process.argv[2]);
console.log(JSON.stringify(asked.map(([name, ...values]) => module[name](...values))));
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Call exported functions of a source file of the module."""
    folder = tmp_path_factory.mktemp("module")

    def call(source, questions):
        built = folder / f"{source}.mjs"
        bundler = WIDGETS / "node_modules" / ".bin" / "esbuild"
        entry = WIDGETS / "packages" / "monitor" / "src" / f"{source}.ts"
        command = [bundler, entry, "--bundle", "--format=esm", "--log-level=error", f"--outfile={built}"]
        if not built.exists():
            subprocess.run(command, check=True)
        node = ["node", "--input-type=module", "-e", ASK, built.as_uri(), json.dumps(questions)]
        return json.loads(subprocess.run(node, check=True, capture_output=True, text=True).stdout)

    return call


@pytest.mark.parametrize(
    ("name", "python", "values"),
    [
        ("countText", count_text, [None, 0, 9, 999, 1_000, 12_402_640, 1.6]),
        ("sizeText", size_text, [None, 0, 999, 1_000, 9_949, 10_000, 133e6, 999.4e6, 1.1e9, 2.5e13]),
        ("ageText", age_text, [None, 0, 0.041, 0.0994, 0.12, 0.94, 9.94, 10, 119, 121, 3_600, 7_300, 86_400]),
    ],
)
def test_browser_and_python_say_numbers_alike(ask, name, python, values):
    assert ask("words", [[name, value] for value in values]) == [python(value) for value in values]


def job(report, **process):
    report = {"state": "running", "updated_at": 100.0, "offered": 10, **report}
    processes = [{"name": "eeg", "kind": "job", "state": "ready", **process}]
    snapshot = build_snapshot(
        profile="local", now_s=100.5, history=RateHistory(), processes=processes, reports={"eeg": report}
    )
    return snapshot["jobs"][0]


@pytest.mark.parametrize(
    ("shown", "waited_s", "state", "word"),
    [
        (job({"lag": 0}), 0, "fresh", "Caught up"),
        (job({"lag": 7, "caught_up": True}), 0, "fresh", "Caught up"),
        (job({"lag": 7}), 0, "running", "Running"),
        ({**job({"lag": 900}), "rate_messages_s": 100}, 0, "late", "Behind by about 9.0 s at this speed"),
        ({**job({"lag": 400}), "rate_messages_s": 100}, 0, "running", "Running"),
        (job({"lag": 0}), 6, "late", "No word from the worker for 6.5 s"),
        (job({}, state="backoff", restarts=2), 0, "backoff", "Restarting after a crash (2 restarts)"),
        (job({}, state="fatal", reason="exit 70"), 0, "failed", "Failed: exit 70"),
        (job({}, state="fenced"), 0, "fenced", "Fenced: a newer worker owns this table"),
        (job({}, state="stopped"), 60, "stopped", "Stopped"),
    ],
)
def test_a_job_is_judged(ask, shown, waited_s, state, word):
    (health,) = ask("health", [["healthOf", shown, waited_s]])

    assert (health["state"], health["word"]) == (state, word)


def test_the_line_stays_in_its_picture(ask):
    points = [[-90, 5], [-60, 0], [-30, 10], [0, 5]]

    (path,) = ask("sparkline", [["linePath", points, 10]])

    corners = [tuple(map(float, corner.split())) for corner in path.replace("M", "L").split("L")[1:]]
    assert corners == sorted(corners, key=lambda corner: corner[0])
    assert all(0 <= x <= 600 and 0 <= y <= 48 for x, y in corners)


def test_another_protocol_is_refused_with_a_hint(ask):
    (fault, nothing) = ask("source", [["readSnapshot", {"protocol": 2}], ["readSnapshot", None]])

    assert fault["code"] == "protocol-version"
    assert "Reload" in fault["hint"]
    assert nothing is None
