"""Make ``.venv`` and install the locked packages into it, hashes checked."""

import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.lock import block
from scripts.places import BIN, LOCK, PYTHON, ROOT, VENV, environment
from scripts.stamps import fingerprint, is_fresh, record
from scripts.steps import StepError, captured, run, timed

STEP = "packages"
NETWORK = "the first set-up needs the network; run it again and it goes on where it stopped"


def create() -> None:
    """Make an empty environment, unless there is one that runs."""
    if not _runs(PYTHON):
        with timed("Python environment"):
            _create()


def install() -> None:
    """Bring the environment to what the lock says.

    uv is itself a locked package: pip fetches it once, by its hashes, and it installs the rest three times faster.
    It keeps the wheel that it builds from pyspark's sdist, so that only the first environment pays for that.
    """
    mark = fingerprint([LOCK], sys.version)
    if is_fresh(STEP, mark, [BIN / "uv", BIN / "pytest"]):
        return
    with timed("Python packages"):
        if not (BIN / "uv").exists():
            _bootstrap()
        run(
            [BIN / "uv", "pip", "install", "--quiet", "--require-hashes", "-r", LOCK],
            hint=NETWORK,
        )
    record(STEP, mark)


def _runs(python: Path) -> bool:
    return python.exists() and captured([python, "-c", ""])[0] == 0


def _create() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = (
            f"`python -m venv` failed: {(done.stdout + done.stderr).strip()}\n"
            "  Hint: on Debian and Ubuntu the module is a package of its own: apt-get install python3-venv"
        )
        raise StepError(message)


def _bootstrap() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "uv.txt"
        wanted.write_text(block("uv"))
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run([PYTHON, *pip, "--no-deps", "--require-hashes", "-r", wanted], hint=NETWORK)
