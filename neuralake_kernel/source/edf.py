"""EDF and BDF by pyedflib, digital integers kept.

The size of the file is compared with its header before anything is read, for edflib only says that
a file of the wrong size is "not compliant". Files are opened for one read and closed again, so a
recording holds no file handle.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyedflib

from neuralake_kernel.errors import SourceError
from neuralake_kernel.source.signal import Annotation, Channel, StartTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from neuralake_kernel.source.signal import Arrival, Gap, Units

__all__ = ["EdfReader"]

FIXED_HEADER_BYTES = 256
FETCH = "Fetch the file again from where it came."
TO_UV = {"v": 1e6, "mv": 1e3, "uv": 1.0, "µv": 1.0, "μv": 1.0, "nv": 1e-3}
KNOWN_TYPES = ("EEG", "ECOG", "SEEG", "ECG", "EOG", "EMG")
# The stamp EDF+ asks anonymisers to write, and the one that every file of PhysioNet's eegmmidb
# carries.
PLACEHOLDERS = (datetime(1985, 1, 1, tzinfo=UTC), datetime(2009, 8, 12, 16, 15, tzinfo=UTC))
# edflib keeps one table of open files for the process and refuses a path that stands in it.
_EDFLIB = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the fixed header says about the size of the file."""

    bytes_per_sample: Literal[2, 3]
    header_bytes: int
    records: int
    record_bytes: int
    kind: str


class EdfReader:
    """One EDF or BDF file.

    Parameters
    ----------
    path
        The file; its header is read and checked here.
    """

    arrival: Arrival | None = None
    display_band_hz: tuple[float, float] | None = None
    gaps: tuple[Gap, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._layout = _check_size(path)
        with self._open() as file:
            self.channels = tuple(_channel(file, index) for index in range(file.signals_in_file))
            self._n_samples = tuple(int(count) for count in file.getNSamples())
            self.format = " · ".join(filter(None, [self._layout.kind, file.getEquipment().strip()]))
        if not self.channels:
            msg = f"Cannot read {path}: it holds annotations only, expected at least one signal."
            raise SourceError(msg, code="recording-unsupported", hint="Read the signal file that belongs to it.")

    @cached_property
    def start(self) -> StartTime:
        """The stamp of the header and the fraction of a second that EDF+ keeps in its first record."""
        with self._open(annotations_mode=pyedflib.READ_ANNOTATIONS) as file:
            return _start_time(file)

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """Labels of EDF+ and BDF+, by time."""
        with self._open(annotations_mode=pyedflib.READ_ALL_ANNOTATIONS) as file:
            starts, durations, labels = file.readAnnotations()
        found = (
            Annotation(float(start), max(float(duration), 0.0), str(label).strip())
            for start, duration, label in zip(starts, durations, labels, strict=True)
        )
        return tuple(sorted(found, key=lambda mark: (mark.start_s, mark.label)))

    def n_samples(self, channel: Channel) -> int:
        """Samples of one channel in the whole file."""
        return self._n_samples[channel.index]

    def block(self, channels: Sequence[Channel], first: int, last: int, units: Units) -> NDArray[Any]:
        """Samples ``[first, last)``, shape (time, channel): counts, or physical values computed from them."""
        width = np.int16 if self._layout.bytes_per_sample == 2 else np.int32
        counts: NDArray[Any] = np.empty((last - first, len(channels)), dtype=width)
        with self._open() as file:
            for place, channel in enumerate(channels):
                counts[:, place] = file.readSignal(channel.index, first, last - first, digital=True)
        if units == "counts":
            return counts
        gains = np.array([channel.gain_to_unit for channel in channels])
        physical: NDArray[Any] = counts * gains + np.array([channel.offset_to_unit for channel in channels])
        return physical

    def row_columns(self, first: int, last: int, rate_hz: float) -> dict[str, NDArray[Any]]:
        """``sample_index`` and ``event_time``, the start stamp plus the sample clock."""
        index = np.arange(first, last, dtype=np.int64)
        origin_us = _epoch_us(self.start.time)
        return {
            "sample_index": index,
            "event_time": origin_us + np.round(index * (1e6 / rate_hz)).astype(np.int64),
        }

    @contextmanager
    def _open(self, *, annotations_mode: int | None = None) -> Iterator[pyedflib.EdfReader]:
        mode = pyedflib.DO_NOT_READ_ANNOTATIONS if annotations_mode is None else annotations_mode
        with _EDFLIB:
            try:
                file = pyedflib.EdfReader(str(self.path), annotations_mode=mode)
            except OSError as error:
                raise _refused(self.path, str(error)) from error
            try:
                yield file
            finally:
                file.close()


def _check_size(path: Path) -> _Layout:
    """Compare the size of a file with what its header promises."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        fixed = stream.read(FIXED_HEADER_BYTES)
        if len(fixed) < FIXED_HEADER_BYTES:
            raise _truncated(path, f"found {size:,} bytes, every header begins with {FIXED_HEADER_BYTES}")
        header_bytes, records, signals = _counts(path, [fixed[184:192], fixed[236:244], fixed[252:256]])
        if header_bytes != FIXED_HEADER_BYTES * (signals + 1) or signals < 1:
            msg = f"Cannot read {path}: its header counts {signals} signals in {header_bytes:,} bytes of header."
            raise SourceError(msg, code="recording-damaged", hint=FETCH)
        if size < header_bytes:
            raise _truncated(path, f"found {size:,} bytes, its header alone has {header_bytes:,}")
        stream.seek(FIXED_HEADER_BYTES + 216 * signals)
        fields = stream.read(8 * signals)
    per_record = _counts(path, [fields[place : place + 8] for place in range(0, len(fields), 8)])
    width: Literal[2, 3] = 3 if fixed[:1] == b"\xff" else 2
    reserved = fixed[192:197].decode("ascii", "replace").strip()
    layout = _Layout(
        width,
        header_bytes,
        records,
        sum(per_record) * width,
        reserved[:4] or ("BDF" if width == 3 else "EDF"),
    )
    if reserved.endswith("+D"):
        raise _refused(path, "discontinuous")
    expected = header_bytes + records * layout.record_bytes
    if records < 0:
        msg = f"Cannot read {path}: its header counts {records} records, so the recorder never closed the file."
        raise SourceError(
            msg,
            code="recording-truncated",
            hint="Close the recording in its program, or repair the header.",
        )
    if size < expected:
        whole = (size - header_bytes) // layout.record_bytes if layout.record_bytes else 0
        raise _truncated(
            path,
            f"found {size:,} bytes, expected {expected:,} ({whole} of {records} records are whole)",
        )
    if size > expected:
        msg = f"Cannot read {path}: found {size:,} bytes, its header expects {expected:,}."
        raise SourceError(
            msg,
            code="recording-damaged",
            hint="Something was appended or the header is wrong; fetch the file again.",
        )
    return layout


def _counts(path: Path, fields: Sequence[bytes]) -> list[int]:
    try:
        return [int(field) for field in fields]
    except ValueError as error:
        msg = f"Cannot read {path}: a count in its header is no number ({error})."
        raise SourceError(msg, code="recording-damaged", hint=FETCH) from error


def _truncated(path: Path, found: str) -> SourceError:
    return SourceError(
        f"Cannot read {path}: it is cut short, {found}.",
        code="recording-truncated",
        hint="Copy the file again; compare its size or checksum with the origin.",
        context={"path": str(path)},
    )


def _refused(path: Path, reason: str) -> SourceError:
    if "discontinuous" in reason:
        msg = f"Cannot read {path}: it is discontinuous (EDF+D), expected a contiguous recording."
        return SourceError(msg, code="recording-unsupported", hint="Export its contiguous parts as EDF+C.")
    if "already been opened" in reason:
        msg = f"Cannot read {path}: another reader in this process holds it open."
        return SourceError(
            msg,
            code="recording-damaged",
            hint="Close the pyedflib reader that you opened on it.",
            retryable=True,
        )
    msg = f"Cannot read {path}: edflib refuses it ({reason})."
    return SourceError(msg, code="recording-damaged", hint="Check the file with EDFbrowser, or fetch it again.")


def _channel(file: pyedflib.EdfReader, index: int) -> Channel:
    label = file.getLabel(index).strip().rstrip(".").strip()
    unit = file.getPhysicalDimension(index).strip()
    scale = TO_UV.get(unit.lower())
    digital_min, digital_max = (
        int(file.getDigitalMinimum(index)),
        int(file.getDigitalMaximum(index)),
    )
    low, high = float(file.getPhysicalMinimum(index)), float(file.getPhysicalMaximum(index))
    gain = (high - low) / (digital_max - digital_min) * (scale or 1.0)
    words = label.upper().split()
    prefix = words[0] if words else ""
    kind = (
        prefix
        if prefix in KNOWN_TYPES
        else "TRIG"
        if prefix in {"STATUS", "TRIG", "STI"}
        else "EEG"
        if scale
        else "MISC"
    )
    return Channel(
        index=index,
        name=label,
        type=kind,
        physical_unit="uV" if scale else unit,
        rate_hz=float(file.getSampleFrequency(index)),
        gain_to_unit=gain,
        offset_to_unit=high * (scale or 1.0) - gain * digital_max,
        digital_min=digital_min,
        digital_max=digital_max,
    )


def _start_time(file: pyedflib.EdfReader) -> StartTime:
    # edflib counts the fraction in units of 100 ns, and only where annotations are read; getStartdatetime takes it for
    # microseconds times 100, so its own fraction is put aside.
    stamp = file.getStartdatetime().replace(tzinfo=UTC, microsecond=0) + timedelta(
        microseconds=file.starttime_subsecond // 10
    )
    if stamp in PLACEHOLDERS:
        return StartTime(stamp, "placeholder", "the same stamp stands in many files; it is no moment in time")
    return StartTime(stamp, "header", "written by the recorder without a time zone, taken as UTC")


def _epoch_us(time: datetime | None) -> int:
    return 0 if time is None else (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
