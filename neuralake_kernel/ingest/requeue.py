"""Rejects that hold the contract by now move from the quarantine to their table, each once.

The move is one commit of the table, which names the attempt rows that supersede the rejects; rows of the quarantine are
never rewritten. A job of the table runs on meanwhile. Killed at any moment, nothing is lost or doubled: the next start
of the job, or the next requeue, completes what the commit has decided.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuralake_kernel.contract import Contract, Encoding
from neuralake_kernel.errors import UsageError
from neuralake_kernel.ingest.policy import IngestPolicy
from neuralake_kernel.ingest.probe import Probed, native_store

__all__ = ["RequeueReport", "requeue_rejects"]


@dataclass(frozen=True, slots=True)
class RequeueReport:
    """What a requeue has moved.

    Parameters
    ----------
    table
        Which one.
    rows
        Rows that were rejects, or of dead letters, and stand in the table now.
    dead_letters
        Whole messages among them.
    rejected_rows
        Other rows of those messages, which break the contract and are rejects of their own now.
    commits
        Versions of the table this made.
    table_version
        Version afterwards.
    """

    table: str
    rows: int
    dead_letters: int
    rejected_rows: int
    commits: int
    table_version: int

    def __str__(self) -> str:
        """One line for people."""
        if not self.rows:
            return f"{self.table}: nothing in quarantine holds the contract, version {self.table_version} stays"
        said = f"{self.table}: {self.rows:,} rows moved from quarantine to version {self.table_version}"
        return said + (f", {self.dead_letters:,} dead letters among them" if self.dead_letters else "")


def requeue_rejects(
    home: Path,
    store: Probed,
    table: str,
    contract: Contract | None = None,
    *,
    encoding: Encoding | None = None,
    faults: Path | None = None,
) -> RequeueReport:
    """Try the rejects of a table again.

    Parameters
    ----------
    home
        State folder of the workbench, where the job's spec is.
    store
        Where the lake is.
    table
        Name of the table.
    contract
        What a row must be by now; without it that of the job's spec.
    encoding
        How rows are written by now; without it that of the job's spec.
    faults
        Plan of deaths for fault tests.

    Returns
    -------
    RequeueReport
        What has moved; nothing the second time.

    Raises
    ------
    UsageError
        ``contract-missing``: no contract is given, and no job of the table was ever started here.
    CommitError
        The log says no, or cannot be read; what was committed before has moved.
    StackError
        The store does not answer (retryable).
    """
    from neuralake_kernel import _bridge

    started = _job_spec(home, table)
    judged = started.get("contract") if contract is None else contract.to_json()
    if judged is None:
        raise UsageError(
            f"Cannot requeue {table!r}: no job of it was started here, so nothing says what a row must be.",
            code="contract-missing",
            hint="pass the class: lab.requeue(Table); or start the job with lab.ingest(Table).",
            context={"table": table},
        )
    policy = IngestPolicy()
    spec = {
        "job": table,
        "store": native_store(store),
        "contract": judged,
        "encoding": encoding or started.get("encoding", "json"),
        "max_message_bytes": started.get("max_message_bytes", policy.max_message_bytes),
        "deadline_s": started.get("deadline_s", policy.deadline_s),
        "kill_plan": None if faults is None else str(faults),
    }
    return RequeueReport(table=table, **json.loads(_bridge.requeue(json.dumps(spec))))


def _job_spec(home: Path, table: str) -> dict[str, Any]:
    try:
        return dict(json.loads((home / "jobs" / table / "spec.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
