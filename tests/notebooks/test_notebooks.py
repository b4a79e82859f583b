"""Every notebook runs from top to bottom, and its stored outputs are what comes out."""

import os
import sys
from pathlib import Path

import pytest

from tests.nbval_wrapper import NOTEBOOKS, compare, stable_environment, stop_leftovers


def test_there_is_a_quickstart() -> None:
    assert "00_quickstart.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_says_what_it_stored(notebook: Path, home: Path, tmp_path: Path) -> None:
    python = Path(sys.executable)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    env = stable_environment({**os.environ, "PATH": path}, home=home, scratch=tmp_path)
    try:
        done = compare(notebook, python=python, env=env)
    finally:
        left = stop_leftovers(home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left == [], "a notebook takes away what it made"
