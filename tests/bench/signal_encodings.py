"""Measure how samples are best stored, and write ``docs/signal-encodings.md``.

Run it on a folder of recordings: ``python -m tests.bench.signal_encodings --data DIR``. What is missing there is left
out and said. FLAC is measured where the wheel ``soundfile`` is installed, WavPack where the program is on PATH; neither
is needed by the workbench.
"""

import argparse
import io
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from neuralake_kernel.source import read

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "signal-encodings.md"
TILE_S = 10
#: Raw bytes of a row group, as the lake cuts them.
GROUP_BYTES = 1 << 20
RUNS = 3
MB = 1e6


@dataclass(frozen=True)
class Set:
    """Samples of one set, shape (time, channel)."""

    name: str
    rate_hz: float
    samples: NDArray[np.signedinteger]


@dataclass(frozen=True)
class Way:
    """One way to store samples in Parquet."""

    name: str
    encoding: str
    level: int


WAYS = (
    Way("plain, not compressed", "PLAIN", 0),
    Way("plain, zstd 1", "PLAIN", 1),
    Way("plain, zstd 3", "PLAIN", 3),
    Way("byte-stream-split, zstd 1", "BYTE_STREAM_SPLIT", 1),
    Way("byte-stream-split, zstd 3", "BYTE_STREAM_SPLIT", 3),
    Way("delta-binary-packed", "DELTA_BINARY_PACKED", 0),
    Way("**delta-binary-packed, zstd 1**", "DELTA_BINARY_PACKED", 1),
    Way("delta-binary-packed, zstd 3", "DELTA_BINARY_PACKED", 3),
)


def sets(folder: Path) -> Iterator[Set | str]:
    """Give each set that is there; the name of each that is not."""
    readers: dict[str, tuple[Path, Callable[[Path], tuple[float, NDArray[np.signedinteger]]]]] = {
        "EEG, 64 channels, 160 Hz, 16 bits (EDF)": (Path("eeg-motor-imagery-64ch/S001R04.edf"), edf),
        "EEG, 139 channels, 512 Hz, 16 bits (EDF+)": (Path("eeg-three-formats/edf-139ch/test.edf"), edf),
        "EEG, 32 channels, 1 kHz, 16 bits (BrainVision)": (Path("eeg-three-formats/brainvision-32ch/test.eeg"), vision),
        "EEG, 73 channels, 2,048 Hz, 24 bits (BDF)": (Path("eeg-three-formats/bdf-73ch/test.bdf"), bdf),
        "ECG, 2 leads, 360 Hz, 11 bits (WFDB)": (Path("ecg-mitbih-100/100.dat"), wfdb212),
        "patch clamp, 1 channel, 20 kHz, 16 bits (ABF2)": (Path("patch-clamp-abf/17o05028_ic_steps.abf"), abf2),
    }
    for name, (path, reader) in readers.items():
        if (folder / path).exists():
            rate_hz, samples = reader(folder / path)
            yield Set(name, rate_hz, samples)
        else:
            yield name


def edf(path: Path) -> tuple[float, NDArray[np.signedinteger]]:
    recording = read(path)
    return recording.rate_hz, recording.samples(units="counts")


def vision(path: Path) -> tuple[float, NDArray[np.signedinteger]]:
    return 1000.0, np.fromfile(path, dtype="<i2").reshape(-1, 32)


def bdf(path: Path) -> tuple[float, NDArray[np.signedinteger]]:
    raw = np.fromfile(path, dtype=np.uint8)
    signals = int(bytes(raw[252:256]))
    per_record = int(bytes(raw[256 + 216 * signals : 264 + 216 * signals]))
    body = raw[256 * (signals + 1) :]
    body = body[: len(body) // (3 * per_record * signals) * (3 * per_record * signals)].reshape(-1, 3)
    wide = np.zeros((len(body), 4), dtype=np.uint8)
    wide[:, 1:] = body
    counts = (wide.view("<i4")[:, 0] >> 8).reshape(-1, signals, per_record)
    return float(per_record), np.ascontiguousarray(counts.transpose(0, 2, 1).reshape(-1, signals))


def wfdb212(path: Path) -> tuple[float, NDArray[np.signedinteger]]:
    """Two samples of 12 bits in three bytes."""
    low, middle, high = np.fromfile(path, dtype=np.uint8).reshape(-1, 3).T.astype(np.int16)
    pair = np.stack([low | (middle & 0x0F) << 8, high | (middle & 0xF0) << 4], axis=1)
    return 360.0, np.where(pair > 2047, pair - 4096, pair).astype(np.int16)


def abf2(path: Path) -> tuple[float, NDArray[np.signedinteger]]:
    """The data section, whose block, width and count stand at byte 236 of the header."""
    raw = path.read_bytes()
    block, width = np.frombuffer(raw, dtype="<u4", count=2, offset=236).tolist()
    (count,) = np.frombuffer(raw, dtype="<i8", count=1, offset=244).tolist()
    if width != 2:
        raise ValueError(f"{path}: {width} bytes a sample")
    return 20_000.0, np.frombuffer(raw, dtype="<i2", count=count, offset=block * 512).reshape(-1, 1).copy()


def probe_like(channels: int = 128, seconds: int = 20, rate_hz: int = 30_000) -> Set:
    """Make up a probe: noise of 1/f over all channels, their own noise, spikes; in 10 of 16 bits."""
    chance = np.random.default_rng(11)
    moments = seconds * rate_hz
    common = np.cumsum(chance.normal(0, 1.5, moments)).astype(np.float32)
    common -= np.convolve(common, np.full(3001, 1 / 3001, dtype=np.float32), mode="same")
    samples = np.empty((moments, channels), dtype=np.int16)
    shape = -60 * np.exp(-np.linspace(0, 6, 40, dtype=np.float32)) * np.cos(np.linspace(0, 4, 40))
    for channel in range(channels):
        trace = common * (0.5 + channel / channels) + chance.normal(0, 6, moments).astype(np.float32)
        for at in chance.integers(0, moments - 40, 20 * seconds):
            trace[at : at + 40] += shape
        samples[:, channel] = np.clip(trace, -512, 511)
    return Set(f"made up: probe, {channels} channels, 30 kHz, 10 of 16 bits", rate_hz, samples)


def blocks(one: Set) -> pa.Table:
    """Rows as the lake has them: blocks of a second, by tile, then channel, then time."""
    block = max(64, round(one.rate_hz))
    tile, moments = TILE_S * block, len(one.samples)
    channels, starts, values, ends = [], [], [], [0]
    for first in range(0, moments, tile):
        for channel in range(one.samples.shape[1]):
            for start in range(first, min(first + tile, moments), block):
                part = one.samples[start : min(start + block, first + tile, moments), channel]
                channels.append(channel)
                starts.append(start)
                values.append(part)
                ends.append(ends[-1] + len(part))
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(np.concatenate(values)))
    place = {"channel": pa.array(channels, pa.int32()), "sample_start": pa.array(starts, pa.int64())}
    return pa.table({**place, "samples": lists})


def encode(table: pa.Table, way: Way, group_bytes: int = GROUP_BYTES) -> bytes:
    rows = max(1, round(group_bytes / (table.column("samples").nbytes / table.num_rows)))
    sink = io.BytesIO()
    parquet.write_table(
        table,
        sink,
        row_group_size=rows,
        use_dictionary=False,
        column_encoding={
            "samples.list.element": way.encoding,
            "channel": "DELTA_BINARY_PACKED",
            "sample_start": "DELTA_BINARY_PACKED",
        },
        compression="zstd" if way.level else "none",
        compression_level=way.level or None,
        write_statistics=["channel", "sample_start"],
        write_page_index=True,
    )
    return sink.getvalue()


def decode(stored: bytes) -> None:
    parquet.read_table(io.BytesIO(stored), use_threads=False)


def one_second(stored: bytes, channel: int, start: int, block: int) -> int:
    """Read the row groups that hold one second of one channel; gives the bytes they have."""
    opened = parquet.ParquetFile(io.BytesIO(stored))
    chosen, cost = [], 0
    for number in range(opened.metadata.num_row_groups):
        group = opened.metadata.row_group(number)
        ranges = [group.column(column).statistics for column in (0, 1)]
        is_inside = ranges[0].min <= channel <= ranges[0].max
        if is_inside and ranges[1].min < start + block and ranges[1].max + block > start:
            chosen.append(number)
            cost += sum(group.column(column).total_compressed_size for column in range(3))
    table = opened.read_row_groups(chosen, use_threads=False)
    channels, starts = table.column("channel").to_numpy(), table.column("sample_start").to_numpy()
    found = np.flatnonzero((channels == channel) & (starts < start + block) & (starts + block > start))
    if not len(found):
        raise AssertionError("the second is not there")
    return cost


def timed(act: Callable[[], object]) -> float:
    """CPU seconds of the best run."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        act()
        best = min(best, time.process_time() - began)
    return best


def flac(one: Set) -> tuple[int, float, float] | None:
    """Bytes and seconds to encode and to decode, each channel a file of its own."""
    try:
        import soundfile
    except ImportError:
        return None
    subtype, shift = ("PCM_16", 0) if one.samples.dtype == np.int16 else ("PCM_24", 8)
    columns = [np.ascontiguousarray(one.samples[:, place] << shift) for place in range(one.samples.shape[1])]

    def pack() -> list[bytes]:
        packed = []
        for column in columns:
            sink = io.BytesIO()
            soundfile.write(sink, column, round(one.rate_hz), format="FLAC", subtype=subtype)
            packed.append(sink.getvalue())
        return packed

    packed = pack()
    dtype = one.samples.dtype.name
    back = [soundfile.read(io.BytesIO(part), dtype=dtype)[0] for part in packed]
    if any((found != column).any() for found, column in zip(back, columns, strict=True)):
        raise AssertionError("FLAC did not give the samples back")
    unpacking = timed(lambda: [soundfile.read(io.BytesIO(part), dtype=dtype) for part in packed])
    return sum(map(len, packed)), timed(pack), unpacking


def wavpack(one: Set) -> int | None:
    """Bytes, all channels in one file."""
    program = shutil.which("wavpack")
    if program is None:
        return None
    bits = 16 if one.samples.dtype == np.int16 else 32
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "samples.pcm"
        raw.write_bytes(one.samples.tobytes())
        layout = f"--raw-pcm={round(one.rate_hz)},{bits},{one.samples.shape[1]}"
        subprocess.run([program, "-q", "-y", layout, raw, "-o", f"{raw}.wv"], check=True, capture_output=True)
        return Path(f"{raw}.wv").stat().st_size


def of_set(one: Set) -> str:
    table = blocks(one)
    raw = one.samples.nbytes
    lines = [f"## {one.name}\n\n", f"{raw / MB:.2f} MB of samples.\n\n"]
    lines.append("| way | smaller by | encode MB/s | decode MB/s |\n|---|---|---|---|\n")
    for way in WAYS:
        stored = encode(table, way)
        if parquet.read_table(io.BytesIO(stored)).column("samples") != table.column("samples"):
            raise AssertionError(f"{way} did not give the samples back")
        rates = [raw / MB / max(timed(act), 1e-6) for act in (lambda: encode(table, way), lambda: decode(stored))]  # noqa: B023
        lines.append(f"| {way.name} | {raw / len(stored):.2f} x | {rates[0]:,.0f} | {rates[1]:,.0f} |\n")
    packed = flac(one)
    if packed is not None:
        size, packing, unpacking = packed
        rates = [raw / MB / max(packing, 1e-6), raw / MB / max(unpacking, 1e-6)]
        lines.append(f"| FLAC, each channel | {raw / size:.2f} x | {rates[0]:,.0f} | {rates[1]:,.0f} |\n")
    size = wavpack(one)
    if size is not None:
        lines.append(f"| WavPack, all channels | {raw / size:.2f} x | | |\n")
    return "".join(lines) + "\n"


def of_groups(one: Set) -> str:
    """What the size of a row group does to one second of one channel."""
    table = blocks(one)
    lines = [
        f"## Row groups: {one.name}\n\n",
        "| raw bytes | smaller by | one channel-second | bytes read |\n|---|---|---|---|\n",
    ]
    block = round(one.rate_hz)
    for group_bytes in (1 << 18, 1 << 20, 3 << 20, 8 << 20, 64 << 20):
        stored = encode(table, WAYS[6], group_bytes)
        place = (one.samples.shape[1] // 2, 7 * block)
        cost = one_second(stored, *place, block)
        took = timed(lambda: one_second(stored, *place, block))  # noqa: B023
        ratio = one.samples.nbytes / len(stored)
        bold = "**" if group_bytes == GROUP_BYTES else ""
        size = f"{group_bytes / (1 << 20):g} MiB"
        lines.append(f"| {bold}{size}{bold} | {ratio:.2f} x | {took * 1e3:.1f} ms | {cost:,} |\n")
    return "".join(lines) + "\n"


HEAD = """# How samples are stored

<!-- Made by `python -m tests.bench.signal_encodings --data DIR`. -->

Samples of each set as the lake stores them (blocks of a second, tiles of ten, row groups of 1 MiB), written in several
ways by the same program, read back and compared. Speeds are raw bytes by CPU seconds of one thread, the best of three
runs; sets below a megabyte are too short for them to mean much. FLAC has each channel as a file of its own at its
default level; it packs at most 24 bits. In bold what the lake does.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "notebooks" / "data", help="folder of the recordings")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    given = parser.parse_args()
    parts, missing = [], []
    for one in sets(given.data):
        if isinstance(one, str):
            missing.append(one)
            continue
        print(one.name, flush=True)
        parts.append(of_set(one))
    made_up = probe_like()
    parts += [of_set(made_up), of_groups(made_up)]
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    note = f"Measured on {machine}, Python {platform.python_version()}, pyarrow {pa.__version__}.\n"
    if missing:
        note += f"\nNot there: {'; '.join(missing)}.\n"
    given.page.write_text(HEAD + "".join(parts) + note)


if __name__ == "__main__":
    main()
