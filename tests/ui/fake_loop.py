"""Numbers as a loop would give them, for views that are looked at without one."""

import json
import math
import time
from pathlib import Path

from neuralake_kernel.view import RateHistory, Snapshot, build_snapshot

STARTED_S = time.time() - 75
ROWS_S = 184_000

SERVICES = (
    {"name": "minio", "state": "ready", "endpoint": "http://127.0.0.1:9001", "rss_bytes": 133e6},
    {"name": "kafka", "state": "ready", "endpoint": "127.0.0.1:9092", "rss_bytes": 172e6},
    {"name": "spark-connect", "state": "starting"},
)


def report(table: str, now_s: float, *, rows_s: float = ROWS_S, dead_letters: int = 0) -> dict:
    """Report of a job that has worked since `STARTED_S`."""
    past_s = now_s - STARTED_S
    offered = int(rows_s * (past_s + 2.5 * (1 - math.cos(past_s / 4))))
    committed = int(rows_s * math.floor(past_s))
    return {
        "job": table,
        "topics": [table.replace("_", ".")],
        "epoch": 3,
        "state": "running",
        "offered": offered,
        "offered_bytes": offered * 90,
        "rows": offered,
        "dead_letters": dead_letters,
        "quarantined_rows": dead_letters,
        "reasons": {"value_uv|max": dead_letters, "message|json": dead_letters // 3},
        "buffered_rows": offered - committed,
        "buffered_bytes": (offered - committed) * 92,
        "committed_rows": committed,
        "committed_messages": committed,
        "commits": math.floor(past_s),
        "files": math.floor(past_s),
        "bytes": committed * 9,
        "table_version": 5_000 + math.floor(past_s),
        "quarantine_version": dead_letters,
        "positions": {"0": committed // 2, "1": committed - committed // 2},
        "caught_up": dead_letters == 0,
        "lag": 12 if dead_letters else 0,
        "commit_p50_ms": 8.2,
        "commit_p99_ms": 21.4,
        "started_at": STARTED_S,
        "last_commit_at": STARTED_S + math.floor(past_s),
        "updated_at": now_s,
        "error": None,
    }


class FakeLoop:
    """A source of snapshots with a minute behind it."""

    def __init__(self) -> None:
        self._history = RateHistory()
        now_s = time.time()
        for step in range(120):
            self._at(now_s - 60 + step / 2)

    def __call__(self) -> Snapshot:
        """Give the present snapshot."""
        return self._at(time.time())

    def _at(self, now_s: float) -> Snapshot:
        return build_snapshot(
            profile="local",
            now_s=now_s,
            history=self._history,
            processes=SERVICES,
            reports={
                "eeg_raw": report("eeg_raw", now_s),
                "spikes": report("spikes", now_s, rows_s=2_104, dead_letters=7),
            },
            tables=[
                {"name": "eeg_raw", "rows": 412_402_118, "bytes": 3.7e9, "version": 5_000 + int(now_s - STARTED_S)},
                {"name": "spikes", "rows": 518_204, "bytes": 4.6e6, "version": 5_000 + int(now_s - STARTED_S)},
                {"name": "recordings", "rows": 10, "bytes": 41_000, "version": 12},
            ],
        )


def write_reports(home: Path) -> None:
    """Leave reports where workers would."""
    for table, found in {
        "eeg_raw": report("eeg_raw", time.time()),
        "spikes": report("spikes", time.time(), rows_s=2_104, dead_letters=7),
    }.items():
        folder = home / "jobs" / table
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / "report.json.new"
        fresh.write_text(json.dumps(found))
        fresh.replace(folder / "report.json")


def in_trouble() -> Snapshot:
    """Give a snapshot of everything that can go wrong at once."""
    now_s = time.time()
    lost = {
        "code": "position-truncated",
        "message": "Cannot read board.raw/0 from 1,200: the log begins at 4,000.",
        "hint": "Ingest again with start='earliest', or restore the topic.",
    }
    snapshot = build_snapshot(
        profile="local",
        now_s=now_s,
        history=RateHistory(),
        processes=(
            {"name": "minio", "state": "backoff", "restarts": 3, "reason": "exit 1: port in use"},
            {"name": "kafka", "state": "fatal", "reason": "no Java on PATH"},
            {"name": "lost", "kind": "job", "state": "fatal", "reason": "exit 70"},
            {"name": "old", "kind": "job", "state": "fenced"},
        ),
        reports={
            "lost": {**report("lost", now_s), "state": "failed", "error": lost},
            "old": report("old", now_s - 30),
            "silent": report("silent", now_s - 30),
        },
    )
    fault = {
        "code": "supervisor-away",
        "message": "Cannot ask the supervisor: it went away.",
        "hint": "Call again: it is then brought back.",
    }
    return {**snapshot, "error": fault}
