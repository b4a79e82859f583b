"""The one way in which notebooks are compared with their stored outputs."""

import os
import subprocess
from pathlib import Path

from neuralake_kernel.stack import Supervisor

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
CELL_TIMEOUT_S = 60


def stable_environment(env: dict[str, str], *, home: Path, scratch: Path) -> dict[str, str]:
    """Fix what a stored output may depend on, and keep everybody's settings out of it."""
    folders = {
        "JUPYTER_CONFIG_DIR": scratch / "jupyter-config",
        "JUPYTER_DATA_DIR": scratch / "jupyter-data",
        "JUPYTER_RUNTIME_DIR": scratch / "jupyter-runtime",
        "IPYTHONDIR": scratch / "ipython",
        "MPLCONFIGDIR": scratch / "matplotlib",
    }
    for folder in folders.values():
        folder.mkdir(parents=True)
    kept = {k: v for k, v in env.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    fixed = {"COLUMNS": "100", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "TZ": "UTC"}
    # Temporary files lie beside the home, where whoever gave it finds what a notebook left.
    places = {"NEURALAKE_HOME": home, "TMPDIR": home.parent, **folders}
    return kept | fixed | {name: str(path) for name, path in places.items()}


def compare(notebook: Path, *, python: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a notebook by the kernel of ``python`` and compare every output that it keeps."""
    command = [str(python), "-m", "pytest", "-q", "--nbval", "--nbval-current-env", str(notebook)]
    # Its own configuration: a warning inside a kernel is the notebook's output, not our test's.
    command += ["-c", os.devnull, f"--rootdir={notebook.parent}", "-p", "no:cacheprovider"]
    command += [
        f"--nbval-sanitize-with={SANITIZE}",
        f"--nbval-cell-timeout={CELL_TIMEOUT_S}",
        "--nbval-kernel-startup-timeout=60",
    ]
    return subprocess.run(
        command,
        cwd=notebook.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def stop_leftovers(home: Path) -> list[Path]:
    """Stop every supervisor that a notebook left running beside a home, and return the folders it left."""
    left = sorted(home.parent.glob("neuralake-*"))
    for state_folder in [home, *(folder / "lab" for folder in left)]:
        Supervisor(state_folder).shutdown()
    return left
