"""One requeue in a process of its own: ``python -m tests.fault.requeuing PROFILE HOME TABLE [PLAN]``."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import neuralake_kernel as nl
from neuralake_kernel.workbench import Workbench


def start(lab: Workbench, table: str, plan: Path | None = None) -> "subprocess.Popen[str]":
    """Start one beside this process; the contract is that of the table's job."""
    words = [lab.settings.profile, str(lab.home), table, *([] if plan is None else [str(plan)])]
    command = [sys.executable, "-m", "tests.fault.requeuing", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main(profile: str, home: str, table: str, plan: str | None = None) -> None:
    with nl.open(profile=profile, home=home) as lab:
        report = lab.requeue(table, faults=None if plan is None else Path(plan))
    sys.stdout.write(json.dumps(asdict(report)))


if __name__ == "__main__":
    main(*sys.argv[1:])
