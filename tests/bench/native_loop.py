"""Our worker's native job, from its start until it has committed everything.

Run as ``python -m tests.bench.native_loop SPEC``; prints what it took as JSON. It is told to stop once all messages
are delivered, as the reference loop stops at their number: else the last rows would wait for their age.
"""

import json
import sys
from pathlib import Path
from typing import Any

from neuralake_kernel import _bridge
from tests.bench.usage import Meter

LOOK_S = 0.005


def run(spec: dict[str, Any]) -> dict[str, float]:
    meter = Meter()
    job = _bridge.Job.start(json.dumps(spec["job"]))
    report: dict[str, Any] = {"offered": 0, "error": None}
    while report["offered"] < spec["messages"]:
        if job.wait(LOOK_S) is not None:
            break
        report = json.loads(job.report())
    job.stop()
    while job.wait(LOOK_S) is None:
        pass
    took = meter.read()
    report = json.loads(job.report())
    if report["error"] is not None:
        sys.exit(report["error"]["message"])
    return {
        "messages": report["committed_messages"],
        "commits": report["commits"],
        "commit_p50_ms": report["commit_p50_ms"],
        **took,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
