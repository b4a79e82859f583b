"""The process of one job: ``python -m neuralake_kernel.ingest.worker SPEC``.

Started by the supervisor. Runs the native job, leaves its report beside the spec five times a second, serves the same
figures as metrics, and says by its exit code how it ended: 0 as asked, 70 fatal, 71 fenced (both stay down), anything
else a crash (started again).
SIGTERM asks for a last flush.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from neuralake_kernel import _bridge
from neuralake_kernel.errors import NeuralakeError
from neuralake_kernel.ingest.known import topics_of
from neuralake_kernel.ingest.report import JobReport
from neuralake_kernel.ingest.spec import write_private

EXIT_CODES = {"stopped": 0, "fatal": 70, "fenced": 71, "crashed": 1}
_REPORT_EVERY_S = 0.2
# sockaddr_un holds 104 bytes on macOS, 108 on Linux; the name of the file is among them.
_SOCKET_PATH_BYTES = 96


def main(path: Path) -> int:
    """Run the job to its end; returns the exit code."""
    report_path = path.with_name("report.json")
    spec = json.loads(path.read_text(encoding="utf-8"))
    metrics_port = spec.pop("metrics_port", None)
    try:
        spec["live_socket"] = str(_live_socket(path.parent))
        # Before anything else is done: whoever sees the table shall find its job's report.
        write_private(report_path, json.dumps(_said(spec, "starting")))
        job = _bridge.Job.start(json.dumps(spec))
    except NeuralakeError as error:
        write_private(report_path, json.dumps(_failed(spec, error)))
        sys.stderr.write(f"{error.code}: {error}\n")
        return EXIT_CODES["crashed" if error.retryable else "fatal"]

    def stop(_signal: int, _frame: FrameType | None) -> None:
        job.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    metrics = _serve_metrics(metrics_port, job)
    ending = None
    while ending is None:
        ending = job.wait(_REPORT_EVERY_S)
        write_private(report_path, json.dumps(json.loads(job.report()) | {"metrics": metrics}))
    error_told = json.loads(job.report())["error"]
    if error_told is not None:
        sys.stderr.write(f"{error_told['code']}: {error_told['message']}\n{error_told['hint']}\n")
    return EXIT_CODES[ending]


def _serve_metrics(port: int | None, job: _bridge.Job) -> str:
    """Serve the job's figures; a port that cannot be had costs the figures, never the job."""
    if port is None:
        return ""
    from neuralake_kernel.ingest.metrics import serve

    try:
        return serve(port, lambda: JobReport.from_json(json.loads(job.report())))
    except OSError as error:
        sys.stderr.write(f"no metrics: port {port} of 127.0.0.1 cannot be had ({error})\n")
        return ""


def _live_socket(folder: Path) -> Path:
    """Where live reads are answered: beside the spec, or in a folder of its own where that path is too long for one."""
    private = folder / "live"
    if len(os.fsencode(private)) > _SOCKET_PATH_BYTES:
        return Path(tempfile.mkdtemp(prefix="neuralake-")) / "socket"
    private.mkdir(mode=0o700, exist_ok=True)
    return private / "socket"


def _failed(spec: dict[str, Any], error: NeuralakeError) -> dict[str, object]:
    told = {"code": error.code, "message": error.message, "hint": error.hint, "retryable": error.retryable}
    return _said(spec, "failed") | {"error": told}


def _said(spec: dict[str, Any], state: str) -> dict[str, object]:
    return {"job": spec["job"], "topics": topics_of(spec), "state": state}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
