"""A recording is in the lake whole or not at all, whoever is killed when, and however many add it at once."""

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import neuralake_kernel as nl
from neuralake_kernel import Workbench
from tests.fault.deaths import ROOT, named_points

EDF = ROOT / "notebooks" / "data" / "eeg-motor-imagery-64ch" / "S001R04.edf"
OPENBCI = ROOT / "notebooks" / "data" / "openbci-cyton-8ch" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
SHOWN = ("recordings", "streams", "channels", "signals", "events", "intervals")
#: Where the tables are there, an ``add`` commits streams, channels, signals, intervals (no events here), recordings.
COMMITS = 5
#: The first lives make the tables: the puts they pass before are those of the creation.
UNPUBLISHED = [
    *(f"before_log_put {nth}" for nth in (1, 2, 6)),
    "after_log_put 1",
    "before_add_commits 1",
    *(f"{point} {nth}" for nth in range(1, COMMITS) for point in ("before_log_put", "after_log_put")),
    f"before_log_put {COMMITS}",
    "before_publication 1",
]
PUBLISHED = [f"after_log_put {COMMITS}", "after_publication 1"]


def add(home: Path, recording: Path, plan: Path | None = None) -> subprocess.Popen[str]:
    faults = "None" if plan is None else f"Path({str(plan)!r})"
    code = (
        "from pathlib import Path; import neuralake_kernel as nl; "
        f"nl.open(home={str(home)!r}).add({str(recording)!r}, faults={faults})"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def die(home: Path, death: str, folder: Path) -> None:
    plan = folder / "plan"
    plan.write_text(f"{death}\n")
    killed = add(home, EDF, plan)
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, f"{death} was not passed: {said}"


def shown(lab: Workbench) -> dict[str, int]:
    """Rows that each way of asking shows."""
    counts = {}
    for table in SHOWN:
        if lab.catalog.snapshots.is_created(table):
            counts[f"{table} frame"] = lab.table(table).lazy().select(pl.len()).collect().item()
            counts[f"{table} sql"] = len(lab.sql(f"SELECT * FROM {table}"))  # noqa: S608 - a name of ours
    return counts


def test_every_point_of_an_add_is_documented_and_passed() -> None:
    points = named_points("ADD_POINTS")
    page = (ROOT / "docs" / "concepts" / "signals.md").read_text()
    told = page.partition("| point |")[2]
    assert re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE) == points
    assert set(points) <= {death.split()[0] for death in (*UNPUBLISHED, *PUBLISHED)}


def test_a_killed_add_shows_nothing_and_the_next_one_is_whole(embedded: Workbench, tmp_path: Path) -> None:
    for death in UNPUBLISHED:
        die(embedded.home, death, tmp_path)
        assert not any(shown(embedded).values()), f"shown after {death}"
        assert len(embedded.recordings()) == 0
    recording = nl.read(EDF)
    stored = embedded.add(recording)
    assert stored.samples(units="counts").to_numpy().tobytes() == recording.samples(units="counts").tobytes()
    counts = shown(embedded)
    assert counts["signals frame"] == counts["signals sql"] == 64 * 125
    assert counts["streams frame"] == counts["recordings sql"] == 1
    # The leftovers are there, and hidden.
    assert pl.scan_delta(embedded.catalog.snapshots.at("streams")).select(pl.len()).collect().item() > 1


@pytest.mark.parametrize("death", PUBLISHED)
def test_what_was_published_before_the_death_is_not_published_again(
    embedded: Workbench, tmp_path: Path, death: str
) -> None:
    with nl.open(home=embedded.home) as lab:
        lab.add(OPENBCI)
    die(embedded.home, death, tmp_path)
    (first,) = [one for one in embedded.recordings() if one.name == EDF.stem]
    assert embedded.add(EDF).id == first.id
    assert len(embedded.recordings()) == 2


def test_adds_at_once_publish_each_content_once(embedded: Workbench, tmp_path: Path) -> None:
    lines = OPENBCI.read_text().splitlines(keepends=True)
    files = [EDF, EDF]
    for number in range(3):
        files.append(tmp_path / f"log {number}.txt")
        files[-1].write_text("".join(lines[: 600 + number]))
    with ThreadPoolExecutor(len(files)) as pool:
        ends = list(pool.map(lambda file: end(add(embedded.home, file)), files))
    assert ends == [(0, "")] * len(files)
    recordings = embedded.recordings()
    assert sorted(one.name for one in recordings) == sorted({file.stem for file in files})
    for file in set(files):
        read = nl.read(file)
        np.testing.assert_array_equal(recordings.find(read.name).samples(), read.samples())


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_a_signal_of_the_stop_button_publishes_nothing(embedded: Workbench) -> None:
    code = (
        "import os, signal, neuralake_kernel as nl; "
        f"lab = nl.open(home={str(embedded.home)!r}); "
        f"lab.add({str(EDF)!r}, progress=lambda report: os.kill(os.getpid(), signal.SIGINT))"
    )
    stopped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "KeyboardInterrupt" in stopped.stderr
    assert not any(shown(embedded).values())
