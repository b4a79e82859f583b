"""Reading a table's commits themselves, for what no engine's API tells.

`deltalake` answers the last ``txn`` of an application id it is asked for, but neither which ids there
are nor what a commit said when it landed. Commits are read with its own file access, checkpoints with
pyarrow; nothing here knows the writer.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Commit", "LogHistory", "read_history"]

# A commit on an S3 store costs a round trip; a dozen at once keep a long log within seconds.
_READERS: Final = 12
_VERSION_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of a table as its commit file tells it."""

    version: int
    transactions: dict[str, int]
    info: dict[str, Any]
    added_files: int
    removed_files: int


@dataclass(frozen=True, slots=True)
class LogHistory:
    """Commits up to a version, oldest first, and what the checkpoint below them remembers.

    ``is_complete`` is False when the oldest commits are gone, so that the first value of a
    transaction id may not be known.
    """

    commits: tuple[Commit, ...]
    checkpoint_transactions: dict[str, int]
    is_complete: bool

    def transactions(self) -> Iterator[tuple[int, str, int]]:
        """Give (version, application id, value) in commit order, what only the checkpoint knows as -1."""
        named = {app_id for commit in self.commits for app_id in commit.transactions}
        for app_id, value in self.checkpoint_transactions.items():
            if app_id not in named:
                yield -1, app_id, value
        for commit in self.commits:
            for app_id, value in commit.transactions.items():
                yield commit.version, app_id, value


def read_history(table: "DeltaTable") -> LogHistory:
    """Read the commits of a table up to the version of its handle.

    Parameters
    ----------
    table
        An opened table.

    Returns
    -------
    LogHistory
        Every commit file still there; the checkpoint is read only where commits are missing.
    """
    import pyarrow.fs as arrow_fs
    from deltalake.fs import DeltaStorageHandler

    files = arrow_fs.PyFileSystem(DeltaStorageHandler.from_table(table._table))  # noqa: SLF001  (its own way)
    newest = table.version()
    commits: list[tuple[int, str]] = []
    checkpoints: list[tuple[int, str]] = []
    for info in files.get_file_info(arrow_fs.FileSelector("_delta_log")):
        name = info.base_name
        stem = name[:_VERSION_DIGITS]
        if not stem.isdecimal() or len(stem) != _VERSION_DIGITS or int(stem) > newest:
            continue
        if name == f"{stem}.json":
            commits.append((int(stem), info.path))
        elif name == f"{stem}.checkpoint.parquet":
            checkpoints.append((int(stem), info.path))
    commits.sort()
    is_complete = bool(commits) and commits[0][0] == 0 and len(commits) == newest + 1
    remembered: dict[str, int] = {}
    oldest = commits[0][0] if commits else newest + 1
    below = [path for version, path in sorted(checkpoints) if version >= oldest - 1]
    if not is_complete and below:
        remembered = _checkpoint_transactions(files, below[0])
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda item: _read_commit(files, *item), commits)
        return LogHistory(tuple(read), remembered, is_complete)


def _read_commit(files: Any, version: int, path: str) -> Commit:  # noqa: ANN401  (pyarrow has no types)
    with files.open_input_stream(path) as stream:
        text = stream.readall().decode()
    transactions: dict[str, int] = {}
    info: dict[str, Any] = {}
    added = removed = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        action = json.loads(line)
        if "txn" in action:
            transactions[action["txn"]["appId"]] = int(action["txn"]["version"])
        elif "commitInfo" in action:
            info = action["commitInfo"]
        added += "add" in action
        removed += "remove" in action
    return Commit(version, transactions, info, added, removed)


def _checkpoint_transactions(files: Any, path: str) -> dict[str, int]:  # noqa: ANN401  (pyarrow has no types)
    from pyarrow import parquet

    with files.open_input_file(path) as file:
        column = parquet.read_table(file, columns=["txn"]).column("txn").to_pylist()
    return {row["appId"]: int(row["version"]) for row in column if row and row.get("appId") is not None}
