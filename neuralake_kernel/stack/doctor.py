"""What this machine has for the stack, what it lacks and how to get it. Looks only: starts and installs nothing."""

import html
import importlib.util
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralake_kernel.errors import StackError
from neuralake_kernel.stack.client import Supervisor
from neuralake_kernel.stack.install import TOOLS, find_tool, tool_version
from neuralake_kernel.stack.local_store import STORE_PROGRAMS, StoreProgram
from neuralake_kernel.stack.programs import Program, find_go, find_java, find_maven
from neuralake_kernel.stack.record import check_port

__all__ = ["DoctorFinding", "DoctorReport", "examine"]

LEAST_FREE_BYTES = 5 * 10**9


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What was looked at.
    is_ok
        Whether it will do.
    found
        What is there.
    hint
        The next step when it will not do.
    needed_by
        Profiles or features that need it; ``embedded`` needs nothing of the system.
    """

    name: str
    is_ok: bool
    found: str
    hint: str = ""
    needed_by: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All findings.

    Parameters
    ----------
    findings
        In the order in which they were looked at.
    """

    findings: tuple[DoctorFinding, ...]

    @property
    def is_ok(self) -> bool:
        """Whether everything will do."""
        return all(finding.is_ok for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the value as plain JSON."""
        findings = [
            {name: getattr(finding, name) for name in finding.__dataclass_fields__} for finding in self.findings
        ]
        return {"is_ok": self.is_ok, "findings": findings}

    def __str__(self) -> str:
        """One line per finding, the next step below it."""
        lines = []
        for finding in self.findings:
            needed = f"  (for {finding.needed_by})" if finding.needed_by and not finding.is_ok else ""
            lines.append(f"{'ok     ' if finding.is_ok else 'missing'}  {finding.name:<12}{finding.found}{needed}")
            if finding.hint and not finding.is_ok:
                lines.append(f"{'':9}{finding.hint}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{html.escape(text)}</td>"
                for text in ("✓" if finding.is_ok else "✗", finding.name, finding.found, finding.hint)
            )
            + "</tr>"
            for finding in self.findings
        )
        return f"<table>{cells}</table>"


def examine(home: Path, tools_dir: Path, *, ports: Mapping[str, int], store: StoreProgram = "minio") -> DoctorReport:
    """Look at Python, programs, tools, ports, disk and supervisor.

    Parameters
    ----------
    home
        State folder.
    tools_dir
        The tools cache.
    ports
        Recorded ports, by use, of services that do not run now.
    store
        The store that the settings name; the other one need not be there.
    """
    findings = [
        DoctorFinding("system", is_ok=True, found=f"{platform.system()} {platform.release()} {platform.machine()}"),
        DoctorFinding("python", is_ok=True, found=platform.python_version()),
        _program("java", find_java, "local, Spark"),
        _tool_program("go", find_go, store, tools_dir, "building the store"),
        _tool_program("maven", find_maven, "kafka", tools_dir, "downloading Kafka and Spark jars"),
    ]
    findings += [_tool(name, tools_dir) for name in TOOLS if name == store or name not in STORE_PROGRAMS]
    findings.append(_pyspark())
    findings += [_port(use, port) for use, port in ports.items()]
    findings += [_disk("disk", home), _disk("tools disk", tools_dir)]
    pid = Supervisor(home).pid
    findings.append(
        DoctorFinding("supervisor", is_ok=True, found="does not run" if pid is None else f"runs, pid {pid}")
    )
    return DoctorReport(tuple(findings))


def _program(name: str, find: Callable[[], Program], needed_by: str) -> DoctorFinding:
    try:
        program = find()
    except StackError as fault:
        return DoctorFinding(name, is_ok=False, found=fault.message, hint=fault.hint, needed_by=needed_by)
    return DoctorFinding(name, is_ok=True, found=f"{program.version} at {program.path}", needed_by=needed_by)


def _tool_program(name: str, find: Callable[[], Program], tool: str, tools_dir: Path, needed_by: str) -> DoctorFinding:
    """A program that is only needed until the tool it installs is there."""
    finding = _program(name, find, needed_by)
    if not finding.is_ok and find_tool(tool, tools_dir=tools_dir) is not None:
        return DoctorFinding(name, is_ok=True, found=f"not found, not needed: {tool} is installed", needed_by=needed_by)
    return finding


def _tool(name: str, tools_dir: Path) -> DoctorFinding:
    needed_by = "Spark" if name == "spark" else "local"
    found = find_tool(name, tools_dir=tools_dir)
    if found is not None:
        return DoctorFinding(name, is_ok=True, found=f"{tool_version(name)} in {found}", needed_by=needed_by)
    hint = "It is installed by the first start; `neuralake up --profile local` does it now."
    return DoctorFinding(name, is_ok=False, found="not installed", hint=hint, needed_by=needed_by)


def _pyspark() -> DoctorFinding:
    if importlib.util.find_spec("pyspark") is not None:
        return DoctorFinding("pyspark", is_ok=True, found="installed", needed_by="Spark")
    hint = "pip install 'neuralake-kernel[cold]'"
    return DoctorFinding("pyspark", is_ok=False, found="not installed", hint=hint, needed_by="Spark")


def _port(use: str, port: int) -> DoctorFinding:
    name = f"{use} port"
    try:
        check_port(use, port, setting=f"NEURALAKE_STACK__{use.upper()}_PORT")
    except StackError as fault:
        return DoctorFinding(name, is_ok=False, found=f"{port} is taken", hint=fault.hint, needed_by="local")
    return DoctorFinding(name, is_ok=True, found=f"{port} is free", needed_by="local")


def _disk(name: str, folder: Path) -> DoctorFinding:
    present = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(present).free
    hint = f"Free some space, or move the folder: {folder}."
    return DoctorFinding(name, is_ok=free >= LEAST_FREE_BYTES, found=f"{free / 1e9:.0f} GB free at {folder}", hint=hint)
