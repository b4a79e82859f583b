"""Format, lint, types, stubs, imports, licences, locks and unit tests: ``make check``.

Three lanes run side by side: Rust, the unit tests (which wait more than they compute), and everything else.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts import cargo_deny, environments, lock, native, setup
from scripts.places import BIN, NATIVE, PYTHON, ROOT, WIDGETS
from scripts.steps import Outcome, StepError, captured, say, stop, summary

MANIFEST = ("--manifest-path", NATIVE / "Cargo.toml")
PYTHON_FILES = ("neuralake_kernel", "scripts", "tests", "docs")


@dataclass(frozen=True)
class Check:
    """One check: a command, or a function that raises `StepError`."""

    name: str
    command: tuple[str | Path, ...] = ()
    function: Callable[[], None] | None = None
    folder: Path | None = None


RUST_LANE = (
    Check("cargo fmt", ("cargo", "fmt", "--all", "--check", *MANIFEST)),
    Check(
        "clippy",
        (
            *("cargo", "clippy", native.PROFILE, "--locked", "--workspace", "--all-targets"),
            *("--quiet", *MANIFEST, "--", "-D", "warnings"),
        ),
    ),
    Check("cargo deny", function=cargo_deny.check),
)
OTHER_LANE = (
    Check("lock", function=lock.check),
    Check("environment.yml", function=environments.check),
    Check("ruff format", (BIN / "ruff", "format", "--check", "--quiet", *PYTHON_FILES)),
    Check("ruff", (BIN / "ruff", "check", "--quiet", *PYTHON_FILES)),
    Check("import-linter", (BIN / "lint-imports", "--no-logo", "--no-cache")),
    Check("mypy", (BIN / "mypy", "--no-error-summary")),
    Check(
        "stubtest",
        (
            *(PYTHON, "-m", "mypy.stubtest", "neuralake_kernel._native", "--concise"),
            *("--mypy-config-file", ROOT / "scripts" / "stubtest.ini"),
        ),
    ),
    Check("protocol", (PYTHON, "generate_protocol.py", "--check"), folder=WIDGETS),
    Check("tsc", (BIN / "jlpm", "types"), folder=WIDGETS),
    Check("eslint", (BIN / "jlpm", "lint"), folder=WIDGETS),
    Check("widget tests", (BIN / "jlpm", "test"), folder=WIDGETS),
)
TEST_LANE = (Check("unit", (PYTHON, "-m", "pytest", "-q", "tests/unit")),)
LANES = (OTHER_LANE, TEST_LANE, RUST_LANE)


def run_check(check: Check) -> Outcome:
    """Run one check; show what it said only when it fails."""
    started = time.monotonic()
    said = ""
    if check.function is not None:
        try:
            check.function()
            passed = True
        except StepError as error:
            passed, said = False, str(error)
    else:
        where = {"cwd": check.folder} if check.folder else {}
        code, said = captured(check.command, **where)
        passed = code == 0
    seconds = time.monotonic() - started
    if not passed:
        say(f"\n══ {check.name}\n{said.rstrip()}")
    return Outcome(check.name, passed, seconds)


def run_lane(lane: Sequence[Check]) -> list[Outcome]:
    """Run checks one after another, all of them."""
    return [run_check(check) for check in lane]


def main() -> None:
    """Run the command line."""
    names = [check.name for lane in LANES for check in lane]
    parser = argparse.ArgumentParser(prog="make check", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().checks or names
    unknown = set(chosen) - set(names)
    if unknown:
        parser.error(f"no check {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    try:
        with setup.everything():
            pass
    except StepError as error:
        stop(error)
    lanes = [[check for check in lane if check.name in chosen] for lane in LANES]
    started = time.monotonic()
    with ThreadPoolExecutor(len(lanes)) as pool:
        outcomes = [outcome for lane in pool.map(run_lane, lanes) for outcome in lane]
    passed = summary(outcomes)
    say(f"{time.monotonic() - started:.0f} s by the clock")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
