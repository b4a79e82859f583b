"""One wheel brings everything, and an environment that holds nothing else runs it without Node, Rust, Go or Java."""

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from packaging.requirements import Requirement

from scripts import native
from scripts.closure import locked
from scripts.places import BIN, PYTHON, ROOT, environment
from tests.nbval_wrapper import NOTEBOOKS, compare, stable_environment, stop_leftovers

EXTENSION = "share/jupyter/labextensions/neuralake-lab"
AIM_MB = 25
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="session")
def wheel() -> Path:
    return native.wheel()


@pytest.fixture(scope="session")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def empty(wheel: Path) -> Iterator[Path]:
    """Give an environment with the wheel, what it declares, and nbval to ask it."""
    with TemporaryDirectory(prefix="nl-wheel-", ignore_cleanup_errors=True) as folder:
        env = Path(folder) / "env"
        wants = Path(folder) / "wants.txt"
        declared = _requirements(wheel)
        wants.write_text(locked([*declared, Requirement("nbval"), Requirement("pytest")]))
        _run([BIN / "uv", "venv", "--quiet", "--python", PYTHON, env])
        install = [BIN / "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
        into = ["--python", env / "bin" / "python"]
        _run([*install, *into, "--require-hashes", "-r", wants])
        _run([*install, *into, wheel])
        yield env


def _requirements(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()

    class Built(Distribution):
        def read_text(self, filename: str) -> str | None:
            return text if filename == "METADATA" else None

        def locate_file(self, path: object) -> Path:
            raise FileNotFoundError(path)

    return [Requirement(line) for line in Built().requires or () if "extra ==" not in line]


def _run(command: list[object]) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _bare(env: Path) -> dict[str, str]:
    """Give the surroundings of a machine that has this environment and nothing else."""
    kept = {k: os.environ[k] for k in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return kept | {"PATH": str(env / "bin"), "HOME": str(env.parent), "LC_ALL": "C.UTF-8"}


def _alone(env: Path, program: str, *words: str) -> str:
    """Run a program of the environment there."""
    done = subprocess.run(
        [str(env / "bin" / program), *words],
        env=_bare(env),
        cwd=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return COLOUR.sub("", done.stdout + done.stderr)


def test_the_wheel_holds_module_bundle_extension_and_switch(names: set[str]) -> None:
    data = next(n.partition("/")[0] for n in names if ".data/" in n)
    assert "neuralake_kernel/_native.abi3.so" in names
    assert "neuralake_kernel/py.typed" in names
    assert "neuralake_kernel/view/static/monitor.js" in names
    assert f"{data}/data/{EXTENSION}/package.json" in names
    assert f"{data}/data/{EXTENSION}/install.json" in names
    assert f"{data}/data/etc/jupyter/jupyter_server_config.d/neuralake_kernel.json" in names


def test_the_extension_names_a_script_that_is_there(wheel: Path, names: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        manifest = next(n for n in names if n.endswith(f"{EXTENSION}/package.json"))
        load = json.loads(archive.read(manifest))["jupyterlab"]["_build"]["load"]
    assert f"{manifest.rpartition('/')[0]}/{load}" in names


def test_the_wheel_holds_nothing_but_the_library(names: set[str]) -> None:
    strays = [n for n in names if n.startswith(("tests/", "scripts/", "widgets/", "native/"))]
    assert strays == []


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= AIM_MB * 1e6


def test_jupyter_finds_both_extensions(empty: Path) -> None:
    lab = _alone(empty, "jupyter", "labextension", "list")
    line = next(line for line in lab.splitlines() if "neuralake-lab" in line)
    assert "enabled OK" in " ".join(line.split())
    server = " ".join(_alone(empty, "jupyter", "server", "extension", "list").split())
    assert "neuralake_kernel.jupyter enabled" in server
    checked = server.partition("Validating neuralake_kernel.jupyter")[2].partition("Validating")[0]
    assert "OK" in checked


@pytest.mark.timeout(300)
def test_the_quickstart_passes_there(empty: Path, home: Path, tmp_path: Path) -> None:
    quickstart = next(path for path in NOTEBOOKS if path.name.startswith("00"))
    env = stable_environment(_bare(empty), home=home, scratch=tmp_path)
    try:
        done = compare(quickstart, python=empty / "bin" / "python", env=env)
    finally:
        stop_leftovers(home)
    assert done.returncode == 0, done.stdout + done.stderr
