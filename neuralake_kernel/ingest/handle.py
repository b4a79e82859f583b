"""The handle of a running job: status, waiting, stopping.

The job runs under the supervisor, not in this process: a handle may be dropped and made again, and a notebook that is
restarted finds the job where it is.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from neuralake_kernel.errors import CommitError, FencedError, NeuralakeError
from neuralake_kernel.ingest.known import known_job
from neuralake_kernel.ingest.report import JobReport
from neuralake_kernel.ingest.unknown import Proposals
from neuralake_kernel.position import positions_by_topic
from neuralake_kernel.stack import BrokerSpec, ProcessStatus, Supervisor

__all__ = ["JobHandle", "JumpWarning", "report_path"]

_LOOK_S = 0.05


class JumpWarning(UserWarning):
    """A job went on elsewhere than its table had stopped, because somebody chose so; messages may be left out."""


def report_path(home: Path, table: str) -> Path:
    """Where the worker of a table's job leaves its report."""
    return home / "jobs" / table / "report.json"


class JobHandle:
    """A job under the supervisor. ``lab.ingest`` makes it.

    Parameters
    ----------
    home
        State folder of the workbench.
    supervisor
        Its supervisor.
    table, topics
        Names of table (which is the job's) and topics.
    broker
        Where the topics are.
    """

    def __init__(
        self, home: Path, supervisor: Supervisor, table: str, topics: Sequence[str], broker: BrokerSpec
    ) -> None:
        self.table = table
        self.topics = tuple(topics)
        self._home = home
        self._report_path = report_path(home, table)
        self._supervisor = supervisor
        self._broker = broker
        self._told: set[tuple[str, int, int, int]] = set()

    @property
    def topic(self) -> str:
        """The first of its topics."""
        return self.topics[0]

    def status(self) -> ProcessStatus:
        """What the worker's process is doing; brings a dead supervisor back."""
        found = self._supervisor.find(self.table)
        if found is None:
            message = f"Cannot tell the state of job {self.table}: the supervisor does not know it."
            raise CommitError(message, code="job-unknown", hint="lab.ingest(…) starts it again.")
        return found

    def report(self) -> JobReport:
        """What the worker has done, as it last said; warns once of each jump (`JumpWarning`)."""
        report = JobReport.read(self._report_path, job=self.table, topics=self.topics)
        self._warn(report)
        return report

    def proposals(self) -> Proposals:
        """What its messages hold beyond the declaration, and the lines that would declare it.

        Counted since the worker began, up to its last flush. Once a line stands in the class, the next start of the job
        adds the column; rows that are there have null in it.

        Examples
        --------
        >>> job.proposals()  # doctest: +SKIP
        temperature = dy.Float64(nullable=True)  # 1,204 x: 36, 36.5, 36.6
        # raw: arrays and objects have no column (3 x: [1,2])
        """
        known = known_job(self._home, self.table)
        return Proposals(self.report().unknown_fields, () if known is None else known.columns)

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        progress: Callable[[JobReport], None] | None = None,
    ) -> JobReport:
        """Wait until the job has caught up with its topics.

        Caught up means that a read-committed consumer at the committed positions reaches the end without a message;
        it is asked of the broker, not only of the worker.

        Parameters
        ----------
        timeout_s
            Seconds to wait at most; None: without end.
        progress
            Is told each report on the way.

        Returns
        -------
        JobReport
            The report at the end of the waiting; ``caught_up`` is False when the time was up first, or the job was
            stopped meanwhile.

        Raises
        ------
        FencedError
            A newer worker owns the table.
        CommitError
            The job ended by an error that starting again does not mend.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        looked_at = 0.0
        while True:
            report = self.report()
            if progress is not None:
                progress(report)
            if report.caught_up and report.positions and self._is_caught_up(report):
                return report
            if time.monotonic() - looked_at > 10 * _LOOK_S:
                looked_at = time.monotonic()
                if self._is_stopped(report):
                    return report
            if deadline is not None and time.monotonic() > deadline:
                return report
            time.sleep(_LOOK_S)

    def stop(self) -> JobReport:
        """Commit what is delivered, then end the worker; may be called twice."""
        self._supervisor.stop(self.table)
        return self.report()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        """Stable: what changes while it runs is in ``report()``."""
        read = f"topic={self.topic!r}" if len(self.topics) == 1 else f"topics={self.topics!r}"
        return f"JobHandle({self.table!r}, {read})"

    def _warn(self, report: JobReport) -> None:
        for jump in report.jumps:
            place = (jump["topic"], jump["partition"], jump["from"], jump["to"])
            if place not in self._told:
                self._told.add(place)
                warnings.warn(
                    f"Job {self.table} went on at offset {jump['to']:,} of {jump['topic']}/{jump['partition']} instead"
                    f" of {jump['from']:,} by choice ({jump['cause']}).",
                    JumpWarning,
                    stacklevel=3,
                )

    def _is_caught_up(self, report: JobReport) -> bool:
        from neuralake_kernel.source import is_caught_up

        reached = positions_by_topic(report.positions, self.topics)
        try:
            return all(is_caught_up(self._broker, topic, positions) for topic, positions in reached.items())
        except NeuralakeError as error:
            if error.retryable:
                return False
            raise

    def _is_stopped(self, report: JobReport) -> bool:
        status = self.status()
        if status.state not in {"fatal", "fenced"}:
            return status.state == "stopped"
        said = report.error or {}
        message = str(said.get("message") or f"Job {self.table} is {status.state}: {status.reason}")
        kind = FencedError if status.state == "fenced" else CommitError
        raise kind(
            message,
            code=str(said.get("code") or kind.default_code),
            hint=str(said.get("hint") or f"`neuralake logs {self.table}` shows more."),
        )
