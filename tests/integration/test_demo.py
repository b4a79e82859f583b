"""The demonstration end to end: what it found, and that it leaves no process behind however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from neuralake_kernel.demo import DemoPolicy, run_demo
from neuralake_kernel.demo.home import fresh_home
from neuralake_kernel.demo.poison import POISON
from neuralake_kernel.errors import UsageError
from neuralake_kernel.stack.procinfo import pids_with_token
from neuralake_kernel.stack.state import SupervisorFiles
from neuralake_kernel.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
PACKETS = 22_490
COMMAND = [sys.executable, "-m", "neuralake_kernel.cli", "demo"]


@pytest.fixture
def out() -> Iterator[Path]:
    with TemporaryDirectory(prefix="nl-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def leftovers(home: Path) -> list[int]:
    token, recorded = SupervisorFiles(home).read_state()
    assert recorded
    return list(pids_with_token(token))


def check(facts: dict[str, Any], *, profile: str, engines: set[str]) -> None:
    assert facts["profile"] == profile
    assert facts["messages_sent"] == PACKETS + len(POISON)
    # One of the poisoned messages has a good row too.
    assert (facts["rows"], facts["quarantined_rows"], facts["dead_letters"]) == (PACKETS + 1, 4, 3)
    assert facts["positions"] == {"0": PACKETS + len(POISON)}
    assert (facts["caught_up"], facts["verified"], facts["agree"]) == (True, True, True)
    assert facts["table_version"] >= 4
    assert 0 < facts["seconds_to_first_row"] < facts["seconds_total"]
    assert len(facts["answers"]) == 3
    assert all(set(answer) == engines for answer in facts["answers"].values())
    assert [row["skips"] for row in facts["answers"]["lost_packets"]["polars"]] == [0]
    per_session = {row["session"]: row["packets"] for row in facts["answers"]["per_session"]["hot"]}
    assert per_session == {"OpenBCI_GUI-v6-blinks-jawClench-alpha": PACKETS, "poison": 1}


def run(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--out", str(out), "--json", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=380)
    assert done.returncode == 0, done.stderr
    assert leftovers(out / "demo-home") == []
    return done


def test_the_embedded_demonstration_holds_what_it_promises(out: Path) -> None:
    done = run(out)
    facts = json.loads(done.stdout)
    assert facts == json.loads((out / "demo.json").read_text())
    check(facts, profile="embedded", engines={"polars", "hot"})
    assert facts["table_uri"] == (out / "demo-home" / "lake" / "openbci").as_uri()
    assert [Path(picture).read_bytes()[:4] for picture in facts["pictures"]] == [b"\x89PNG"] * 2
    for reason in ("message|json", "message|empty", "event_time|nullability", "ch1_uv|dtype", "packet|max"):
        assert reason in done.stderr
    assert "\x1b" not in done.stderr


# Spark's first question takes most of it on two cores.
@pytest.mark.timeout(400)
def test_the_local_demonstration_has_one_answer_from_three_engines(out: Path) -> None:
    facts = json.loads(run(out, "--profile", "local").stdout)
    check(facts, profile="local", engines={"polars", "hot", "cold"})
    assert facts["table_uri"].startswith("s3://")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_end_halfway_leaves_no_process(out: Path, number: signal.Signals, code: int) -> None:
    # Slow enough to be met while it streams.
    command = [*COMMAND, "--out", str(out), "--speed", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout is not None
        seen = next(line for line in child.stdout if " committed " in line and not line.rstrip().endswith(" 0"))
        os.kill(child.pid, number)
        rest = child.stdout.read()
    assert child.returncode == code, seen + rest
    assert "Traceback" not in rest
    assert leftovers(out / "demo-home") == []
    # And the next run begins anew.
    assert [path.name for path in fresh_home(out / "demo-home").iterdir()] == ["demonstration"]


def test_a_folder_that_is_not_its_own_is_never_emptied(out: Path) -> None:
    (out / "precious").write_text("data")
    with pytest.raises(UsageError) as refused:
        fresh_home(out)
    assert refused.value.code == "demo-home-taken"
    assert (out / "precious").read_text() == "data"


def test_missing_recordings_are_named_with_the_way_to_get_them(out: Path) -> None:
    with (out / "told.txt").open("w") as told, pytest.raises(UsageError) as refused:
        run_demo(DemoPolicy(out=out, data=out), Terminal(told))
    assert refused.value.code == "demo-data-missing"
    assert "--data" in refused.value.hint
