"""Set up what is missing, then run every test, and end with one line per suite: ``make test``.

All suites run, also after one failed. The programs of the real stack are installed beside the Rust build, since their
first installation waits for the network as much as for a core.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import native, setup
from scripts.places import BUILD, NATIVE, PYTHON, ROOT, environment
from scripts.programs import BUILD_PROGRAMS, STACK_PROGRAMS, require
from scripts.steps import Outcome, StepError, run, say, stop, summary, timed

RESULTS = BUILD / "tests"
NO_TESTS = 5  # pytest's exit code for an empty selection


@dataclass(frozen=True)
class Suite:
    """Tests that run in one process, and the time after which they hang."""

    name: str
    command: tuple[str | Path, ...]
    limit_s: int


def pytest_suite(name: str, *, limit_s: int) -> Suite:
    """Describe the tests of one folder."""
    report = f"--junit-xml={RESULTS / name}.xml"
    return Suite(name, (PYTHON, "-m", "pytest", f"tests/{name}", "--durations=5", report), limit_s)


RUST = Suite(
    "rust",
    (
        *("cargo", "test", native.PROFILE, "--locked", "--quiet", "--workspace"),
        # It is all bindings, and its tests are those in Python.
        *("--exclude", "neuralake-py"),
        *("--manifest-path", NATIVE / "Cargo.toml"),
    ),
    limit_s=1800,
)
SUITES = (
    RUST,
    pytest_suite("unit", limit_s=300),
    pytest_suite("property", limit_s=300),
    pytest_suite("conformance", limit_s=300),
    pytest_suite("integration", limit_s=1200),
    pytest_suite("fault", limit_s=1200),
    pytest_suite("notebooks", limit_s=600),
    pytest_suite("ui", limit_s=600),
)


def run_suite(suite: Suite, extra: Sequence[str] = ()) -> Outcome:
    """Run one suite and say how it ended."""
    say(f"\n══ {suite.name}")
    started = time.monotonic()
    remark = ""
    try:
        code = subprocess.run(
            [*suite.command, *extra],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            timeout=suite.limit_s,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        code, remark = 1, f"hung for {suite.limit_s} s"
    if code == NO_TESTS:
        code, remark = 0, "no tests"
    return Outcome(suite.name, code == 0, time.monotonic() - started, remark)


def prepare() -> None:
    """Set up everything; the real stack is installed while the crates compile."""
    require(BUILD_PROGRAMS + STACK_PROGRAMS)
    with setup.everything(), timed("the stores, Kafka and Spark in the tools cache"):
        run([PYTHON, "-m", "scripts.tools"])
    native.wheel()


def main() -> None:
    """Run the command line."""
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(prog="make test", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().suites or names
    unknown = set(chosen) - set(names)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    try:
        with timed("set-up"):
            prepare()
    except StepError as error:
        stop(error)
    outcomes = [
        run_suite(suite)
        for suite in SUITES
        if suite.name in chosen and (suite is RUST or (ROOT / "tests" / suite.name).is_dir())
    ]
    sys.exit(0 if summary(outcomes) else 1)


if __name__ == "__main__":
    main()
