"""Every notebook runs from top to bottom, and its stored outputs are what comes out: the one wrapper round nbval."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuralake_kernel.stack import Supervisor

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CELL_TIMEOUT_S = 60


def stable_environment(home: Path, scratch: Path) -> dict[str, str]:
    """Give what a stored output may depend on, and folders that hold nobody's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    for folder in ("jupyter/config", "jupyter/data", "jupyter/runtime", "ipython", "matplotlib"):
        (scratch / folder).mkdir(parents=True)
    return env | {
        "NEURALAKE_HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter/config"),
        "JUPYTER_DATA_DIR": str(scratch / "jupyter/data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "jupyter/runtime"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONHASHSEED": "0",
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def test_there_is_a_quickstart() -> None:
    assert "00_quickstart.ipynb" in [path.name for path in NOTEBOOKS]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_says_what_it_stored(notebook: Path, home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", str(notebook)]
    # Its own configuration: a warning inside a kernel is the notebook's output, not our test's.
    command += ["-c", os.devnull, "--rootdir", str(notebook.parent), "-p", "no:cacheprovider", "-q"]
    command += [f"--nbval-cell-timeout={CELL_TIMEOUT_S}", "--nbval-kernel-startup-timeout=60"]
    try:
        done = subprocess.run(
            command,
            cwd=notebook.parent,
            env=stable_environment(home, tmp_path),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        Supervisor(home).shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
