"""Run a program and kill it when the pipe to the supervisor closes: ``python -m … <descriptor> <program> <arguments>``.

For systems without a parent-death signal. The exit code is the program's; SIGTERM is handed on.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Watch the descriptor named first while the program named next runs."""
    descriptor = int(arguments[0])
    program: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def hand_on(number: int, frame: FrameType | None = None) -> None:  # noqa: ARG001 - the signature of a handler
        if program is None:
            early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            program.send_signal(number)

    def watch() -> None:
        while os.read(descriptor, 1):
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgrp(), signal.SIGKILL)

    # Before the program is there: a stop asked for while it starts would end only this process, and leave the program.
    signal.signal(signal.SIGTERM, hand_on)
    program = subprocess.Popen(arguments[1:], close_fds=True)
    for number in early:
        hand_on(number)
    threading.Thread(target=watch, daemon=True).start()
    code = program.wait()
    if code < 0:
        # Die as the program died, so that the supervisor sees the same end.
        signal.signal(-code, signal.SIG_DFL) if -code not in {signal.SIGKILL, signal.SIGSTOP} else None
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
