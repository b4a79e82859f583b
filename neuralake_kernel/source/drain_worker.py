"""The process of one spool's drainer: ``python -m neuralake_kernel.source.drain_worker SPEC``.

Started by the supervisor. Leaves what it knows beside the spec, and says by its exit code how it ended: 0 as asked, 70
fatal, 71 fenced (both stay down), anything else a crash (started again). SIGTERM ends it after its transaction.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from neuralake_kernel.errors import FencedError, NeuralakeError
from neuralake_kernel.source.drain import Drainer
from neuralake_kernel.source.drain_session import UnansweredError
from neuralake_kernel.source.spool import Spool, write_whole

TELL_S = 0.2
CRASHED, FATAL, FENCED = 1, 70, 71


class _Broker:
    """The target, as the spec says it."""

    kind = "kafka"
    directory = None

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options


def main(path: Path) -> int:
    """Drain until told to stop; returns the exit code."""
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    report = path.with_name("report.json")
    spool = Spool(spec["directory"], spec["topic"])
    drainer: Drainer | None = None
    told_at = 0.0

    def tell() -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_S:
            told_at = time.monotonic()
            write_whole(report, json.dumps({"trouble": drainer.trouble if drainer else "", "error": None}))

    faults = Path(spec["faults"]) if spec["faults"] else None
    try:
        drainer = Drainer(spool, _Broker(spec["options"]), on_missing=spec["on_missing"], faults=faults)
        tell()
        drainer.run(stopping, tell=tell)
    except UnansweredError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        sys.stderr.flush()
        # At once: an orderly end would wait for the client that hangs.
        os._exit(CRASHED)
    except NeuralakeError as error:
        said = {"code": error.code, "message": error.message, "hint": error.hint}
        write_whole(report, json.dumps({"trouble": "", "error": said}))
        sys.stderr.write(f"{error.code}: {error}\n")
        return FENCED if isinstance(error, FencedError) else CRASHED if error.retryable else FATAL
    finally:
        if drainer is not None:
            drainer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
