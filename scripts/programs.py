"""Which programs the project needs from the machine, and how to get each that is missing."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.places import ROOT, environment
from scripts.steps import StepError


@dataclass(frozen=True)
class Program:
    """A program, the oldest version that serves, and the way to get it."""

    name: str
    command: tuple[str, ...]
    oldest: tuple[int, ...]
    how: str


BUILD_PROGRAMS = (
    Program(
        "Rust",
        ("rustc", "--version"),
        (1, 95),
        "install rustup (rustup.rs), then `rustup toolchain install 1.95.0 -c clippy -c rustfmt`",
    ),
    Program("cargo", ("cargo", "--version"), (1, 95), "comes with Rust (rustup.rs)"),
    Program(
        "Node.js",
        ("node", "--version"),
        (20, 19),
        "install Node.js 20.19 or newer (nodejs.org, `conda install nodejs`, `brew install node`)",
    ),
)
STACK_PROGRAMS = (
    Program("Go", ("go", "version"), (1, 24), "install Go 1.24 or newer (go.dev/dl, `brew install go`)"),
    Program(
        "Java",
        ("java", "-version"),
        (17,),
        "`apt-get install openjdk-17-jre-headless`, `conda install openjdk=17` or `brew install openjdk@17`",
    ),
    Program(
        "Maven",
        ("mvn", "-version"),
        (3, 6),
        "`apt-get install maven`, `conda install maven` or `brew install maven`",
    ),
)


def require(programs: Sequence[Program]) -> None:
    """Raise one `StepError` that names every missing or outdated program."""
    faults = [text for program in programs if (text := complaint(program))]
    if faults:
        raise StepError("programs are missing:\n  - " + "\n  - ".join(faults))


def complaint(program: Program) -> str | None:
    """Return what is wrong with a program and how to mend it, or None."""
    if shutil.which(program.command[0], path=environment()["PATH"]) is None:
        return f"{program.name} is not on PATH: {program.how}"
    try:
        done = subprocess.run(
            program.command,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program.name} does not run ({error}): {program.how}"
    said = done.stdout + done.stderr
    if done.returncode != 0:
        first = said.strip().splitlines()[:1]
        return f"{program.name} does not run ({''.join(first)}): {program.how}"
    # The dotted form first: Maven writes colour codes before its version.
    found = re.search(r"\d+(?:\.\d+)+", said) or re.search(r"\d+", said)
    version = tuple(int(part) for part in found.group().split(".")) if found else ()
    if version < program.oldest:
        wanted = ".".join(map(str, program.oldest))
        have = ".".join(map(str, version)) or "of an unknown version"
        return f"{program.name} is {have}, {wanted} or newer is needed: {program.how}"
    return None
