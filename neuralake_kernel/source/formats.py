"""Open a recording by what its first bytes say, never by the ending of its name."""

from __future__ import annotations

from pathlib import Path

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.recording import Recording

__all__ = ["read"]

EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
OPENBCI_MAGIC = b"%OpenBCI"


def read(path: str | Path) -> Recording:
    """Open a recording; only its header is read.

    Known formats: EDF, EDF+, BDF, BDF+ (contiguous) and the raw text log of the OpenBCI GUI.

    Parameters
    ----------
    path
        A file on this machine.

    Returns
    -------
    Recording
        It shows itself, and gives ``samples``, ``rows`` and ``plot``.

    Raises
    ------
    SourceError
        ``recording-missing``, ``recording-empty``, ``recording-unknown-format``,
        ``recording-truncated``, ``recording-damaged`` or ``recording-unsupported``.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        found = "a folder" if file.is_dir() else "nothing there"
        msg = f"Cannot read {file}: found {found}, expected a recording."
        raise SourceError(
            msg,
            code="recording-missing",
            hint="Check the path; relative paths start at the notebook's folder.",
        )
    try:
        with file.open("rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        msg = f"Cannot read {file}: {error.strerror}."
        raise SourceError(msg, code="recording-missing", hint="Check who may read the file.") from error
    if not magic:
        msg = f"Cannot read {file}: found 0 bytes."
        raise SourceError(
            msg,
            code="recording-empty",
            hint="The copy or the recording stopped before it began; fetch the file again.",
        )
    if magic in {EDF_MAGIC, BDF_MAGIC}:
        from neuralake_kernel.source.edf import EdfReader

        return Recording(EdfReader(file))
    if magic == OPENBCI_MAGIC:
        from neuralake_kernel.source.openbci import OpenbciReader

        return Recording(OpenbciReader(file))
    msg = f"Cannot read {file}: it begins with {magic!r}, expected an EDF, BDF or OpenBCI log."
    raise SourceError(
        msg,
        code="recording-unknown-format",
        hint="Convert it to EDF first, for example with mne.export.export_raw.",
    )
