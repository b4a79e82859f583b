"""The drainer of a spool under the supervisor, and its handle.

Like a job it outlives the notebook: what was produced into the spool reaches Kafka once that answers, whoever is there.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from neuralake_kernel.errors import FencedError, SourceError
from neuralake_kernel.ingest.spec import write_private
from neuralake_kernel.source import Spool, SpoolChoice, SpoolStatus
from neuralake_kernel.stack import BrokerSpec, ProcessSpec, ProcessStatus, RestartPolicy, Supervisor

__all__ = ["DrainSpec", "SpoolHandle", "start_drainer"]

_STOP_S = 60.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class DrainSpec:
    """A drainer: from the spool of a topic to the topic of that name in Kafka.

    Parameters
    ----------
    topic
        The target, and the name of its spool, which is there.
    broker
        Kafka.
    on_missing
        What to do when the topic cannot tell what of the spool it has.
    faults
        Plan of deaths for fault tests.
    """

    topic: str
    broker: BrokerSpec = field(repr=False)
    on_missing: SpoolChoice = "fail"
    faults: Path | None = None

    def to_json(self) -> dict[str, object]:
        """Return the spec as the drainer reads it; it holds credentials."""
        return {
            "topic": self.topic,
            "options": dict(self.broker.options),
            "on_missing": self.on_missing,
            "faults": None if self.faults is None else str(self.faults),
        }


@dataclass(frozen=True)
class SpoolHandle:
    """The spool of a topic and its drainer. ``lab.spool`` makes it."""

    spool: Spool
    process_name: str
    folder: Path
    supervisor: Supervisor

    def status(self) -> SpoolStatus:
        """How many messages are in the spool and not yet in Kafka; answers while Kafka is away."""
        return self.spool.status()

    def process(self) -> ProcessStatus | None:
        """What the drainer's process is doing; None where none was started."""
        return self.supervisor.find(self.process_name)

    @property
    def trouble(self) -> str:
        """Why nothing goes on at the moment; empty while it does."""
        return str(self._said().get("trouble") or "")

    def wait(self, timeout_s: float | None = None) -> SpoolStatus:
        """Wait until nothing waits in the spool.

        Parameters
        ----------
        timeout_s
            Seconds to wait at most; None: without end.

        Raises
        ------
        SourceError
            The drainer stopped for good: ``spool-place-unknown``, ``broker-refused``, ``spool-locked``.
        FencedError
            Another drainer of the same spool has begun.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self.status()
            if status.waiting == 0 or (deadline is not None and time.monotonic() > deadline):
                return status
            self._raise_ended()
            time.sleep(_LOOK_S)

    def stop(self) -> SpoolStatus:
        """End the drainer after its transaction; what waits stays in the spool. May be called twice."""
        if self.process() is not None:
            self.supervisor.stop(self.process_name)
        return self.status()

    def _said(self) -> dict[str, object]:
        path = self.folder / "report.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def _raise_ended(self) -> None:
        process = self.process()
        if process is None or process.state not in {"fatal", "fenced"}:
            return
        found = self._said().get("error")
        said = found if isinstance(found, dict) else {}
        kind = FencedError if process.state == "fenced" else SourceError
        message = str(said.get("message") or f"The drainer of {self.spool.topic} is {process.state}: {process.reason}")
        code = str(said.get("code") or kind.default_code)
        hint = str(said.get("hint") or f"`neuralake logs {self.process_name}` shows more.")
        raise kind(message, code=code, hint=hint)


def start_drainer(
    home: Path, supervisor: Supervisor, spec: DrainSpec, *, restart: RestartPolicy | None = None
) -> SpoolHandle:
    """Start the drainer of a topic's spool, or find it running.

    Parameters
    ----------
    home
        State folder of the workbench.
    supervisor
        Its supervisor.
    spec
        What it drains, and where to.
    restart
        Waits between restarts after a crash.
    """
    folder = home / "spool" / f"{spec.topic}.drain"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{spec.topic}.spool"
    handle = SpoolHandle(Spool(home / "spool", spec.topic), name, folder, supervisor)
    wanted = json.dumps({"directory": str(home / "spool"), **spec.to_json()}, indent=2)
    path = folder / "spec.json"
    running = supervisor.find(name)
    is_running = running is not None and running.is_running
    if is_running and path.exists() and path.read_text(encoding="utf-8") == wanted:
        return handle
    if is_running:
        supervisor.stop(name)
    write_private(path, wanted)
    (folder / "report.json").unlink(missing_ok=True)
    supervisor.start(
        ProcessSpec(
            name=name,
            kind="job",
            argv=(sys.executable, "-m", "neuralake_kernel.source.drain_worker", str(path)),
            stop_timeout_s=_STOP_S,
            restart=restart or RestartPolicy(),
            endpoint=spec.topic,
        )
    )
    return handle
