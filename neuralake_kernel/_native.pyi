"""Types of the native module; proven by stubtest. The steps that use it hold the documentation."""

from os import PathLike
from typing import Protocol, final

__all__ = [
    "Job",
    "JournalWriter",
    "Publication",
    "contract_check",
    "contract_judge",
    "journal_consumers",
    "journal_create_topic",
    "journal_describe",
    "journal_drop_consumer",
    "journal_read",
    "journal_register",
    "journal_retention",
    "journal_set_retention",
    "journal_trim",
    "probe_store",
    "requeue",
    "signal_columns",
]

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Job:
    """A job running inside this process."""

    @staticmethod
    def start(spec: str) -> Job: ...
    def report(self) -> str: ...
    def stop(self) -> None: ...
    def wait(self, timeout_s: float | None = None) -> str | None: ...

@final
class JournalWriter:
    """The one writer of a journal partition; threads may share it."""

    def __new__(
        cls,
        directory: str | PathLike[str],
        topic: str,
        partition: int,
        *,
        acks: str = "durable",
        faults: str | PathLike[str] | None = None,
    ) -> JournalWriter: ...
    def append(self, values: _ArrowArray, keys: _ArrowArray | None = None) -> tuple[int, int]: ...
    def flush(self) -> None: ...
    def at_risk(self) -> tuple[int, int]: ...
    def close(self) -> None: ...
    def __enter__(self) -> JournalWriter: ...
    def __exit__(self, *_args: object) -> None: ...

@final
class Publication:
    """One recording on its way into the signal tables."""

    def __new__(cls, store: str, kill_plan: str | PathLike[str] | None = None) -> Publication: ...
    @staticmethod
    def new_id() -> str: ...
    def is_published(self, content_hash: str) -> bool: ...
    def push(
        self,
        samples: _ArrowArray,
        *,
        stream_id: str,
        channels: int,
        rate_hz: float,
        sample_start: int,
        start_us: int | None,
        block_samples: int,
        tile_samples: int,
    ) -> None: ...
    def publish(self, content_hash: str, tables: dict[str, _ArrowArray], deadline_s: int) -> bool: ...

def contract_check(contract: str) -> None: ...
def contract_judge(contract: str, rows: _ArrowStream) -> _ArrowArray: ...
def journal_consumers(
    directory: str | PathLike[str], topic: str
) -> list[tuple[str, int, list[tuple[int, int, int]]]]: ...
def journal_create_topic(directory: str | PathLike[str], topic: str, partitions: int) -> str: ...
def journal_describe(directory: str | PathLike[str], topic: str) -> tuple[str, list[tuple[int, int, int]]]: ...
def journal_drop_consumer(directory: str | PathLike[str], topic: str, name: str) -> None: ...
def journal_read(
    directory: str | PathLike[str],
    topic: str,
    partition: int,
    from_offset: int,
    max_messages: int,
    max_bytes: int = ...,
) -> _ArrowArray: ...
def journal_register(
    directory: str | PathLike[str], topic: str, name: str, positions: dict[int, int], advance: bool
) -> None: ...
def journal_retention(directory: str | PathLike[str], topic: str) -> tuple[bool, int | None, int | None] | None: ...
def journal_set_retention(
    directory: str | PathLike[str], topic: str, kept: tuple[bool, int | None, int | None] | None
) -> None: ...
def journal_trim(
    directory: str | PathLike[str],
    topic: str,
    kept: tuple[bool, int | None, int | None],
    is_dry: bool,
    faults: str | PathLike[str] | None = None,
) -> list[tuple[int, int, int, int, int]]: ...
def probe_store(spec: str) -> None: ...
def requeue(spec: str) -> str: ...
def signal_columns(table: str) -> _ArrowArray: ...
