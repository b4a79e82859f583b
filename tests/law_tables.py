"""Tables that hold the law of the message, or break it on purpose, written by deltalake alone.

They stand in for what the ingestor writes wherever a test is about readers or the checker: same columns,
same transaction ids, no line of our own writer.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from neuralake_kernel.catalog import TableStore

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

MAIN_SCHEMA = {
    "session": pl.String,
    "value": pl.Float32,
    "event_time": pl.Datetime("us", "UTC"),
    "_source": pl.String,
    "_partition": pl.Int32,
    "_offset": pl.Int64,
    "_row": pl.Int32,
    "_ingest_time": pl.Datetime("us", "UTC"),
}
QUARANTINE_SCHEMA = {
    "raw": pl.Binary,
    "reasons": pl.List(pl.String),
    "contract_id": pl.String,
    "contract_version": pl.Int32,
    "_source": pl.String,
    "_partition": pl.Int32,
    "_offset": pl.Int64,
    "_row": pl.Int32,
    "_ingest_time": pl.Datetime("us", "UTC"),
}

Place = tuple[int, int, int | None]


@dataclass
class LawTable:
    """One table with its quarantine, in a folder or in another store."""

    folder: Path
    name: str = "packets"
    topic: str = "device.raw"
    positions: dict[int, int] = field(default_factory=dict)
    store: TableStore | None = None

    def table_uri(self, name: str) -> str:
        if self.store is not None:
            return self.store.table_uri(name)
        return (self.folder / name).absolute().as_uri()

    def delta_options(self) -> dict[str, str]:
        return {} if self.store is None else self.store.delta_options()

    def start(self, *partitions: int, epoch: int = 1, first: int = 0) -> None:
        """Commit epoch and first positions, as a job's start does."""
        self.positions |= dict.fromkeys(partitions, first)
        self.commit([], epoch=epoch)

    def commit(
        self,
        places: Sequence[Place],
        *,
        epoch: int | None = None,
        positions: dict[int, int] | None = None,
        rejected_files: Sequence[str] = (),
    ) -> int:
        """Append rows to the main table with their positions; give the new version."""
        self.positions |= positions or {}
        transactions = [
            Transaction(f"{self.name}/{self.topic}/{partition}", position)
            for partition, position in self.positions.items()
        ]
        transactions.append(Transaction(f"{self.name}/{self.topic}/id", 77))
        if epoch is not None:
            transactions.append(Transaction(f"{self.name}/epoch", epoch))
        metadata = {"neuralake.quarantine": ",".join(rejected_files)} if rejected_files else {}
        write_deltalake(
            self.table_uri(self.name),
            main_frame(places, self.topic).to_arrow(),
            mode="append",
            storage_options=self.delta_options() or None,
            commit_properties=CommitProperties(app_transactions=transactions, custom_metadata=metadata),
        )
        return self.main().version()

    def reject(self, places: Sequence[Place], *, recorded: int, moved: Sequence[Place] = ()) -> None:
        """Roll rejected rows, and attempt rows of those ``moved``, forward up to a version of the main table."""
        write_deltalake(
            self.table_uri(f"{self.name}__quarantine"),
            pl.concat([quarantine_frame(places, self.topic), attempt_frame(moved, self.topic)]).to_arrow(),
            mode="append",
            storage_options=self.delta_options() or None,
            commit_properties=CommitProperties(app_transactions=[Transaction(self.main().metadata().id, recorded)]),
        )

    def main(self) -> DeltaTable:
        return DeltaTable(self.table_uri(self.name), storage_options=self.delta_options() or None)


def main_frame(places: Sequence[Place], topic: str = "device.raw") -> pl.DataFrame:
    """Rows of the main table; what they measure follows from where they stand."""
    return pl.DataFrame(
        {
            "session": [f"s{partition}" for partition, _, _ in places],
            "value": [float(offset) + (row or 0) / 10 for _, offset, row in places],
            "event_time": [T0 + dt.timedelta(seconds=offset) for _, offset, _ in places],
            "_source": [f"{topic}@1" for _ in places],
            "_partition": [partition for partition, _, _ in places],
            "_offset": [offset for _, offset, _ in places],
            "_row": [row for _, _, row in places],
            "_ingest_time": [T0 for _ in places],
        },
        schema=MAIN_SCHEMA,
    )


def quarantine_frame(places: Sequence[Place], topic: str = "device.raw") -> pl.DataFrame:
    """Rows of the quarantine."""
    return pl.DataFrame(
        {
            "raw": [b"{}" for _ in places],
            "reasons": [["message|json"] if row is None else ["value|max"] for *_, row in places],
            "contract_id": ["c4ef41345c851458" for _ in places],
            "contract_version": [1 for _ in places],
            "_source": [f"{topic}@1" for _ in places],
            "_partition": [partition for partition, _, _ in places],
            "_offset": [offset for _, offset, _ in places],
            "_row": [row for _, _, row in places],
            "_ingest_time": [T0 for _ in places],
        },
        schema=QUARANTINE_SCHEMA,
    )


def attempt_frame(places: Sequence[Place], topic: str = "device.raw") -> pl.DataFrame:
    """Attempt rows of the quarantine: rejects of these places are in the table by now."""
    return quarantine_frame(places, topic).with_columns(
        raw=pl.lit(None, dtype=pl.Binary), reasons=pl.lit(["requeued"], dtype=pl.List(pl.String))
    )
