"""Build the Rust half: into the environment for work, into a wheel for everybody else."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from scripts.places import BIN, NATIVE, PACKAGE, ROOT, WHEELS
from scripts.stamps import fingerprint, is_fresh, record
from scripts.steps import run, timed
from scripts.widgets import PRODUCTS as WIDGET_PRODUCTS

PROJECT = (ROOT / "pyproject.toml", ROOT / "rust-toolchain.toml")
# One profile for wheel, tests and benchmarks: two cores compile every dependency once.
PROFILE = "--release"


def develop() -> None:
    """Install the project into the environment, its Python files where they stand."""
    if not (NATIVE / "crates" / "neuralake-py").is_dir():
        return
    mark = fingerprint([*_rust(), *PROJECT, *_shared()])
    module = PACKAGE / "_native.abi3.so"
    if is_fresh("native", mark, [module, BIN / "neuralake"]):
        return
    with timed("native module (the first time 6 to 10 minutes on two cores)"):
        run([BIN / "maturin", "develop", PROFILE, "--locked", "--uv", "--quiet"])
    record("native", mark)


def wheel() -> Path:
    """Build the wheel under ``build/wheels`` and return its path."""
    mark = fingerprint([*_rust(), *PROJECT, *WIDGET_PRODUCTS, PACKAGE, ROOT / "README.md"])
    built = sorted(WHEELS.glob("*.whl"))
    if len(built) == 1 and is_fresh("wheel", mark):
        return built[0]
    with timed("wheel"):
        shutil.rmtree(WHEELS, ignore_errors=True)
        run([BIN / "maturin", "build", PROFILE, "--locked", "--quiet", "--out", WHEELS])
    record("wheel", mark)
    return next(WHEELS.glob("*.whl"))


def _rust() -> Iterable[Path]:
    return (NATIVE / "Cargo.toml", NATIVE / "Cargo.lock", NATIVE / "crates")


def _shared() -> Iterable[Path]:
    """Return what an installation copies instead of linking: the files for Jupyter's own folders."""
    return [path for path in WIDGET_PRODUCTS if PACKAGE not in path.parents]
