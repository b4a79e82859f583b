"""What is wanted of a demonstration, and where its recordings are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neuralake_kernel.errors import UsageError

__all__ = ["BOARD_LOG", "EDF", "DemoPolicy", "find_data"]

BOARD_LOG = Path("openbci-cyton-8ch/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt")
EDF = Path("eeg-motor-imagery-64ch/S001R04.edf")
_IN_CLONE = Path("notebooks/data")


@dataclass(frozen=True, slots=True)
class DemoPolicy:
    """How a demonstration runs.

    Parameters
    ----------
    profile
        ``embedded``, or ``local`` for real MinIO, Kafka and Spark.
    out
        Folder for pictures and ``demo.json``.
    home
        Its own state folder, emptied before it begins; without it ``demo-home`` in ``out``.
    data
        Folder of the recordings; without it that of the clone.
    speed
        Times the pace of the board (> 0).
    """

    profile: Literal["embedded", "local"] = "embedded"
    out: Path = Path("build")
    home: Path | None = None
    data: Path | None = None
    speed: float = 40.0

    def __post_init__(self) -> None:
        """Refuse a pace that leads nowhere."""
        if not self.speed > 0:
            message = f"Cannot replay at speed {self.speed:g}: expected more than 0."
            raise UsageError(message, hint="--speed 40 sends 90 s of recording in about 2 s.")


def find_data(given: Path | None) -> Path:
    """Find the folder of the recordings: the given one, else the clone's around working folder or package.

    Raises
    ------
    UsageError
        ``demo-data-missing``, naming where it was looked for.
    """
    here = Path.cwd()
    roots = [here, *here.parents, Path(__file__).resolve().parents[2]]
    candidates = [given] if given is not None else [root / _IN_CLONE for root in roots]
    for folder in candidates:
        if (folder / BOARD_LOG).is_file() and (folder / EDF).is_file():
            return folder
    looked = candidates[0] if given is not None else f"{_IN_CLONE} of {here}, of its parents and of the package"
    message = f"Cannot run the demonstration: its recordings {BOARD_LOG.name} and {EDF.name} are not in {looked}."
    hint = "Run it in a clone of the project, or name the folder: neuralake demo --data DIR."
    raise UsageError(message, code="demo-data-missing", hint=hint)
