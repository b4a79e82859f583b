"""Run one program after another: say which, how long it took, and what to do when it fails."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.places import ROOT, environment


class StepError(Exception):
    """A step that cannot go on; the text says what was tried and what to do next."""


@dataclass(frozen=True)
class Outcome:
    """How one step ended."""

    title: str
    passed: bool
    seconds: float
    remark: str = ""


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Print a step's title before it, and its seconds after it."""
    say(f"── {title}")
    started = time.monotonic()
    yield
    say(f"   {time.monotonic() - started:.1f} s")


def run(command: Sequence[str | Path], *, cwd: Path = ROOT, hint: str = "") -> None:
    """Run a program with its output shown; raise `StepError` when it fails."""
    words = [str(word) for word in command]
    code = subprocess.run(words, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL, check=False).returncode
    if code != 0:
        text = f"`{' '.join(words)}` ended with exit code {code}."
        raise StepError(f"{text}\n  Hint: {hint}" if hint else text)


def captured(command: Sequence[str | Path], *, cwd: Path = ROOT) -> tuple[int, str]:
    """Run a program quietly and return its exit code with all it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout


def summary(outcomes: Sequence[Outcome]) -> bool:
    """Print one line per step and return whether all passed."""
    width = max(len(outcome.title) for outcome in outcomes)
    say("")
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "FAILED"
        say(f"{verdict}  {outcome.title:<{width}}  {outcome.seconds:7.1f} s  {outcome.remark}")
    failed = sum(not outcome.passed for outcome in outcomes)
    total_s = sum(outcome.seconds for outcome in outcomes)
    say(f"\n{len(outcomes) - failed} passed, {failed} failed, {total_s:.0f} s")
    return failed == 0


def stop(error: StepError) -> None:
    """End the program with the error's text and exit code 1."""
    sys.stdout.flush()
    sys.exit(f"\nerror: {error}")
