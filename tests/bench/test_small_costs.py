"""What every user pays: the import, the download, the supervisor that waits."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from neuralake_kernel.stack import Supervisor
from scripts import native
from tests.bench.measurement import Measurement, measured

Keep = Callable[[Measurement], None]
IMPORT_AIM_S = 0.3
WHEEL_AIM_MB = 25
RSS_AIM_MB = 60


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def test_import_time(keep: Keep) -> None:
    bare, ours = [], []
    for _ in range(7):
        bare.append(seconds("pass"))
        ours.append(seconds("import neuralake_kernel"))
    figure = measured(
        "import neuralake_kernel, process and all",
        ours,
        "s",
        peer="python -c pass",
        peer_runs=bare,
        aim=f"≤ {IMPORT_AIM_S} s more",
    )
    keep(figure)
    assert figure.peer_value is not None
    assert figure.value - figure.peer_value <= IMPORT_AIM_S


def test_wheel_size(keep: Keep) -> None:
    size_mb = native.wheel().stat().st_size / 1e6
    keep(measured("wheel", [size_mb], "MB", aim=f"≤ {WHEEL_AIM_MB} MB"))
    assert size_mb <= WHEEL_AIM_MB


def test_idle_supervisor_memory(home: Path, keep: Keep) -> None:
    supervisor = Supervisor(home)
    supervisor.ensure()
    try:
        rss_mb = rss_bytes(supervisor_pid(home)) / 1e6
    finally:
        supervisor.shutdown()
    keep(measured("idle supervisor, resident memory", [rss_mb], "MB", aim=f"≤ {RSS_AIM_MB} MB"))
    assert rss_mb <= RSS_AIM_MB


def rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def supervisor_pid(home: Path) -> int:
    """Find the process that has this home on its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if str(home).encode() in words:
            return int(folder.name)
    message = f"no process names {home}"
    raise AssertionError(message)
