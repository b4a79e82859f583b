"""Build the Rust half: into the environment for work, into a wheel for everybody else."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.places import BIN, NATIVE, PACKAGE, ROOT, WHEELS, environment
from scripts.stamps import fingerprint, is_fresh, record
from scripts.steps import StepError, run, timed
from scripts.widgets import PRODUCTS as WIDGET_PRODUCTS

PROJECT = (ROOT / "pyproject.toml", ROOT / "rust-toolchain.toml")
STEP = "native"
# One profile for wheel, tests and benchmarks: two cores compile every dependency once.
PROFILE = "--release"


@contextmanager
def compiled_meanwhile() -> Iterator[None]:
    """Compile the crates beside the body, which waits for the network more than for a core."""
    if _is_fresh():
        yield
        return
    # All but the crate that knows Python, which maturin compiles in surroundings of its own.
    command = ["cargo", "build", PROFILE, "--locked", "--quiet", "-p", "neuralake-stream"]
    cargo = subprocess.Popen(command, cwd=NATIVE, env=environment(), stdin=subprocess.DEVNULL)
    try:
        yield
    except BaseException:
        cargo.terminate()
        raise
    finally:
        with timed("Rust crates (6 to 10 minutes on two idle cores, once)"):
            code = cargo.wait()
    if code != 0:
        message = f"`{' '.join(command)}` ended with exit code {code}."
        raise StepError(message)


def develop() -> None:
    """Install the project into the environment, its Python files where they stand."""
    if _is_fresh():
        return
    with timed("native module"):
        _unlink_module()
        run([BIN / "maturin", "develop", PROFILE, "--locked", "--uv", "--quiet"])
    record(STEP, _mark())


def _mark() -> str:
    return fingerprint([*_rust(), *PROJECT, *_shared()])


def _is_fresh() -> bool:
    return is_fresh(STEP, _mark(), [PACKAGE / "_native.abi3.so", BIN / "neuralake"])


def wheel() -> Path:
    """Build the wheel under ``build/wheels`` and return its path."""
    mark = fingerprint([*_rust(), *PROJECT, *WIDGET_PRODUCTS, PACKAGE, ROOT / "README.md"])
    built = sorted(WHEELS.glob("*.whl"))
    if len(built) == 1 and is_fresh("wheel", mark):
        return built[0]
    with timed("wheel"):
        _unlink_module()
        shutil.rmtree(WHEELS, ignore_errors=True)
        run([BIN / "maturin", "build", PROFILE, "--locked", "--quiet", "--out", WHEELS])
    record("wheel", mark)
    return next(WHEELS.glob("*.whl"))


def _unlink_module() -> None:
    """Have the module linked anew, which takes seconds.

    Its file carries no hash in its name: another clone with the same target folder writes the same file, and for a
    wheel maturin points it to libraries that only the wheel holds. Cargo would call either of them fresh.
    """
    release = Path(environment()["CARGO_TARGET_DIR"]) / "release"
    for folder in (release, release / "deps"):
        for module in folder.glob("lib_native.*"):
            module.unlink(missing_ok=True)


def _rust() -> Iterable[Path]:
    return (NATIVE / "Cargo.toml", NATIVE / "Cargo.lock", NATIVE / "crates")


def _shared() -> Iterable[Path]:
    """Return what an installation copies instead of linking: the files for Jupyter's own folders."""
    return [path for path in WIDGET_PRODUCTS if PACKAGE not in path.parents]
