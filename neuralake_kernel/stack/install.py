"""Bring the stores, Kafka and Spark's Delta jars into the shared tools cache, once per machine.

``lock.toml`` names versions and checksums. MinIO and versitygw are built by Go from a locked module each
(``programs/<tool>/go.sum`` checks every source); jars come by Maven (``programs/<tool>/pom.xml``) and each is checked
against its SHA-256. One installer works at a time, by a file lock; a tool appears in the cache by one rename, so what
is there is whole. An interrupted installation resumes: Go and Maven keep what they have.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralake_kernel.errors import StackError, UsageError
from neuralake_kernel.stack.programs import find_go, find_java, find_maven
from neuralake_kernel.stack.state import lock_file

__all__ = ["TOOLS", "Progress", "StackProgress", "ensure_tool", "find_tool", "quiet", "tool_version"]

TOOLS = ("minio", "versitygw", "kafka", "spark")
_HERE = Path(__file__).parent
_INSTALL_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class StackProgress:
    """One step of an installation or a start, for a progress display.

    Parameters
    ----------
    part
        What it concerns: ``minio``, ``versitygw``, ``kafka``, ``spark``, ``bucket`` …
    step
        What is being done, in words.
    done, total
        Position in the step; ``total`` is 0 while it is unknown.
    """

    part: str
    step: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        """One line for a terminal."""
        count = f" {self.done}/{self.total}" if self.total else f" {self.done}" if self.done else ""
        return f"{self.part}: {self.step}{count}"


Progress = Callable[[StackProgress], None]


def quiet(progress: StackProgress) -> None:
    """Show nothing."""


@functools.cache
def _lock() -> dict[str, Any]:
    return tomllib.loads((_HERE / "lock.toml").read_text(encoding="utf-8"))


def tool_version(name: str) -> str:
    """Locked version of a tool."""
    version: str = _entry(name)["version"]
    return version


def find_tool(name: str, *, tools_dir: Path) -> Path | None:
    """Look a tool up without installing it.

    Parameters
    ----------
    name
        ``minio``, ``versitygw``, ``kafka`` or ``spark``.
    tools_dir
        The tools cache.

    Returns
    -------
    Path or None
        The program of a store or the folder of jars, None when it is not installed.
    """
    entry = _entry(name)
    if "package" in entry:
        if found := shutil.which(name):
            return Path(found)
        built = tools_dir / name / entry["version"] / name
        return built if built.exists() else None
    jars = tools_dir / name / entry["version"] / "jars"
    return jars if all((jars / jar).exists() for jar in entry["jars"]) else None


def ensure_tool(name: str, *, tools_dir: Path, progress: Progress | None = None) -> Path:
    """Find a tool, or install it.

    Parameters
    ----------
    name
        ``minio`` or ``versitygw`` (a program; one on the path is taken first), ``kafka`` or ``spark`` (a folder of
        jars).
    tools_dir
        The tools cache.
    progress
        Is told each step.

    Returns
    -------
    Path
        The program or the folder of jars.

    Raises
    ------
    StackError
        Go, Java or Maven is missing (``go-missing``, ``java-missing``, ``maven-missing``) or old, a download failed
        (``install-failed``), or a checksum is wrong (``tool-checksum``).
    """
    if found := find_tool(name, tools_dir=tools_dir):
        return found
    show = progress or quiet
    tools_dir.mkdir(parents=True, exist_ok=True)
    show(StackProgress(name, "waiting for the tools cache"))
    with lock_file(tools_dir / f"{name}.lock", timeout_s=_INSTALL_TIMEOUT_S):
        if found := find_tool(name, tools_dir=tools_dir):
            return found
        target = tools_dir / name / tool_version(name)
        with _staging(target) as folder:
            if "package" in _entry(name):
                _build(name, folder, show)
            else:
                _copy_jars(name, folder / "jars", show)
        show(StackProgress(name, "installed", 1, 1))
    found = find_tool(name, tools_dir=tools_dir)
    if found is None:
        raise StackError(f"Cannot find {name} in {target} after its installation.", code="install-failed")
    return found


def _entry(name: str) -> dict[str, Any]:
    if name not in TOOLS:
        raise UsageError(f"Cannot install {name!r}: known are {', '.join(TOOLS)}.", code="tool-unknown")
    entry: dict[str, Any] = _lock()[name]
    return entry


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Folder that becomes the target when all went well; a failure leaves nothing behind."""
    folder = target.with_name(f".{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
        shutil.rmtree(target, ignore_errors=True)
        folder.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(name: str, folder: Path, show: Progress) -> None:
    """Build a program of Go from its locked module."""
    entry = _entry(name)
    go = find_go(tuple(int(number) for number in entry["go"].split(".")))
    module = _HERE / "programs" / name
    fetched = 0

    def on_fetch(line: str) -> None:
        nonlocal fetched
        if "downloading" in line:
            fetched += 1
            show(StackProgress(name, "downloading modules", fetched))

    show(StackProgress(name, "downloading modules"))
    listed = _run(name, [str(go.path), "list", "-mod=readonly", "-deps", entry["package"]], module, on_fetch)
    total, compiled = len(listed), 0

    def on_compile(_line: str) -> None:
        nonlocal compiled
        compiled += 1
        show(StackProgress(name, "compiling packages (minutes, once per machine)", min(compiled, total), total))

    show(StackProgress(name, "compiling packages (minutes, once per machine)", 0, total))
    command = [str(go.path), "build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o"]
    _run(name, [*command, str(folder / name), entry["package"]], module, on_compile)


def _copy_jars(name: str, folder: Path, show: Progress) -> None:
    entry = _entry(name)
    find_java(int(entry["java"]))
    maven = find_maven()
    fetched = 0

    def on_line(line: str) -> None:
        nonlocal fetched
        if "Downloaded from" in line:
            fetched += 1
            show(StackProgress(name, "downloading jars", fetched))

    goal = f"org.apache.maven.plugins:maven-dependency-plugin:{entry['maven_dependency_plugin']}:copy-dependencies"
    pom = _HERE / "programs" / name / "pom.xml"
    options = ["-B", "-f", str(pom), "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    show(StackProgress(name, "downloading jars"))
    _run(name, [str(maven.path), *options, goal], folder.parent, on_line)
    _check_jars(name, folder, entry["jars"], show)


def _check_jars(name: str, folder: Path, expected: dict[str, str], show: Progress) -> None:
    found = {path.name for path in folder.glob("*.jar")}
    if found != set(expected):
        odd = ", ".join(sorted(found ^ set(expected)))
        message = f"Cannot install {name}: the downloaded jars differ from lock.toml in {odd}."
        raise StackError(message, code="tool-checksum", hint="The lock file and pom.xml disagree; report it.")
    for number, (jar, sha256) in enumerate(sorted(expected.items()), start=1):
        with (folder / jar).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != sha256:
            message = f"Cannot install {name}: {jar} has SHA-256 {actual}, lock.toml says {sha256}."
            hint = f"A damaged or altered download. Delete {jar} from Maven's local repository (~/.m2) and try again."
            raise StackError(message, code="tool-checksum", hint=hint, context={"jar": jar})
        show(StackProgress(name, "verifying checksums", number, len(expected)))


def _run(name: str, argv: list[str], cwd: Path, on_line: Callable[[str], None]) -> list[str]:
    """Run an installer's program; hand on its lines as they come, and return them."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    lines: list[str] = []
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                lines.append(line.rstrip())
                on_line(line)
            code = child.wait()
        except BaseException:
            # An interrupt must not leave a compiler behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    if code != 0:
        last = "\n".join(lines[-8:])
        if "checksum mismatch" in "\n".join(lines):
            message = f"Cannot install {name}: a downloaded source differs from its locked checksum.\n{last}"
            raise StackError(
                message, code="tool-checksum", hint="Clear the module cache (go clean -modcache), try again."
            )
        message = f"Cannot install {name}: {Path(argv[0]).name} ended with exit code {code}.\n{last}"
        hint = (
            "Check the network and the free disk space (a store's build needs up to 3 GB), then try again: it resumes."
        )
        raise StackError(message, code="install-failed", hint=hint, retryable=True)
    return lines
