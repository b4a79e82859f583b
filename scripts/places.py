"""Where set-up keeps what it makes, and the environment in which it runs other programs.

Everything that is dear to build lies outside the clone, in one cache folder, so that a second clone is cheap.
"""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
BUILD = ROOT / "build"
WHEELS = BUILD / "wheels"
NATIVE = ROOT / "native"
WIDGETS = ROOT / "widgets"
PACKAGE = ROOT / "neuralake_kernel"
LOCK = ROOT / "requirements.lock.txt"


def cache() -> Path:
    """Return the folder that all clones of one user share."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "neuralake"


def tools() -> Path:
    """Return the folder of installed programs and jars, the same that the library uses."""
    chosen = os.environ.get("NEURALAKE_TOOLS_DIR")
    return Path(chosen) if chosen else cache() / "tools"


def environment() -> dict[str, str]:
    """Return the environment for every program that set-up, checks and tests start."""
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONHOME", "PYTHONPATH"}}
    env["PATH"] = f"{BIN}{os.pathsep}{env.get('PATH', os.defpath)}"
    env["VIRTUAL_ENV"] = str(VENV)
    env.setdefault("CARGO_TARGET_DIR", str(cache() / "target"))
    env.setdefault("UV_CACHE_DIR", str(cache() / "uv"))
    env.setdefault("UV_NO_PROGRESS", "1")
    env.setdefault("YARN_GLOBAL_FOLDER", str(cache() / "yarn"))
    env.setdefault("YARN_ENABLE_IMMUTABLE_INSTALLS", "true")
    env.setdefault("PRE_COMMIT_HOME", str(cache() / "pre-commit"))
    # As maturin sets them: with other values PyO3 and all above it would be compiled anew, to and fro.
    env.update(_pyo3_as_by_maturin(Path(env["CARGO_TARGET_DIR"])))
    rustup_home = _rustup_home()
    if rustup_home is not None:
        env.setdefault("RUSTUP_HOME", str(rustup_home))
    return env


def _pyo3_as_by_maturin(target: Path) -> dict[str, str]:
    written = sorted((target / "maturin").glob("pyo3-config-*.txt"))
    if not written:
        return {}
    return {"PYO3_CONFIG_FILE": str(written[-1]), "PYO3_BUILD_EXTENSION_MODULE": "1"}


def _rustup_home() -> Path | None:
    """Find the toolchains that belong to the cargo on PATH when HOME is not its owner's."""
    cargo = shutil.which("cargo")
    if cargo is None or (Path.home() / ".rustup" / "toolchains").is_dir():
        return None
    beside = Path(cargo).parent.parent.parent / ".rustup"
    return beside if (beside / "toolchains").is_dir() else None
