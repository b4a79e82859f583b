"""The demonstration's own state folder: fresh at the beginning, without a process at the end."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from neuralake_kernel.errors import NeuralakeError, UsageError
from neuralake_kernel.stack import Supervisor

__all__ = ["ended_by_signals", "fresh_home"]

_STAMP = "demonstration"


def fresh_home(home: Path) -> Path:
    """Empty a state folder of a former run, its processes stopped first; never touch another folder.

    Parameters
    ----------
    home
        The folder; made if it is not there.

    Raises
    ------
    UsageError
        ``demo-home-taken``: the folder holds something that is not a demonstration's.
    """
    if home.exists() and any(home.iterdir()):
        if not (home / _STAMP).is_file():
            message = f"Cannot use {home} for the demonstration: it holds something else, and would be emptied."
            raise UsageError(message, code="demo-home-taken", hint="Name an empty folder with --home.")
        # What a killed run left behind may be damaged; its processes die with its supervisor then.
        with suppress(NeuralakeError):
            Supervisor(home).shutdown()
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / _STAMP).write_text("made by `neuralake demo`, which empties this folder when it runs again\n")
    return home


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn a request to end, or a closed terminal, into an exit that cleans up as an interrupt does."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    former = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
