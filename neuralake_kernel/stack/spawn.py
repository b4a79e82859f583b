"""Start a child that cannot outlive the supervisor.

Linux sends the child SIGKILL when the *thread* that started it dies, so children start from the main thread only, and
the child checks its parent once the signal is set, since the parent may have died in between. Elsewhere a watcher
process (:mod:`neuralake_kernel.stack.lifeline`) holds one end of a pipe and kills the program when the other end
closes.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from neuralake_kernel.stack.logfile import open_log
from neuralake_kernel.stack.procinfo import TOKEN_VARIABLE
from neuralake_kernel.stack.spec import ProcessSpec

__all__ = ["Lifeline", "lifeline_if_needed", "spawn"]

_PR_SET_PDEATHSIG = 1


class Lifeline:
    """A pipe whose write end only the supervisor holds; it closes with the supervisor, whatever kills it."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()


def lifeline_if_needed() -> Lifeline | None:
    """Make the one pipe that all children of a supervisor share; None where there is a death signal."""
    return None if sys.platform.startswith("linux") else Lifeline()


def _death_signal() -> Callable[[], None]:
    """Build the function that a child runs before exec."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(127)

    return arm


def spawn(
    spec: ProcessSpec, *, token: str, log: Path, home: Path, environment: Mapping[str, str], lifeline: Lifeline | None
) -> "subprocess.Popen[bytes]":
    """Start the process in a session of its own, with its output in the log.

    Parameters
    ----------
    spec
        What to run.
    token
        Put into the child's environment, so that a leftover can be known.
    log
        File that takes standard output and error.
    home
        Working directory when the spec names none.
    environment
        What the child gets beside ``spec.env``.
    lifeline
        The pipe that stands for the death signal; None uses the signal.

    Raises
    ------
    OSError
        The program is not there or cannot be run.
    """
    argv = list(spec.argv)
    passed: tuple[int, ...] = ()
    if lifeline is not None:
        passed = (lifeline.read_end,)
        argv = [sys.executable, "-m", "neuralake_kernel.stack.lifeline", str(lifeline.read_end), *argv]
    if spec.scratch:
        shutil.rmtree(spec.scratch, ignore_errors=True)
        Path(spec.scratch).mkdir(parents=True)
    output = open_log(log)
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spec.cwd or home,
            env={**environment, **spec.env, TOKEN_VARIABLE: token},
            start_new_session=True,
            pass_fds=passed,
            # The supervisor has one thread, so nothing can hold a lock across this fork.
            preexec_fn=_death_signal() if lifeline is None else None,  # noqa: PLW1509
        )
    finally:
        os.close(output)
