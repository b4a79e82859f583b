"""What a demonstration found, as a file that a script can read."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DemoFacts"]

Answers = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class DemoFacts:
    """Facts of one run.

    Parameters
    ----------
    profile
        Where it ran.
    messages_sent
        Messages acked by the broker, the poisoned ones included.
    rows, quarantined_rows, dead_letters
        As the checker counted them at ``table_version``: rows in the table; rows, and whole messages, in quarantine.
    table_uri, quarantine_uri
        Where the tables are; they are removed when the demonstration runs again.
    table_version, positions
        Version that all questions were asked at, and the next offset to read of each partition.
    caught_up
        A read-committed consumer at these positions reached the end without a message.
    verified
        Table and quarantine hold each message sent, and each row of it, exactly once.
    seconds_to_first_row, seconds_total
        From the beginning of the run to the first committed row, and to the last fact.
    answers
        Rows by question and engine: ``polars``, ``hot`` (DataFusion), ``cold`` (Spark; local profile).
    agree
        Whether all engines gave the same answers.
    pictures
        Files written.
    """

    profile: str
    messages_sent: int
    rows: int
    quarantined_rows: int
    dead_letters: int
    table_uri: str
    quarantine_uri: str
    table_version: int
    positions: Mapping[str, int]
    caught_up: bool
    verified: bool
    seconds_to_first_row: float
    seconds_total: float
    answers: Answers
    agree: bool
    pictures: Sequence[str]

    @property
    def is_good(self) -> bool:
        """Whether everything that was promised held."""
        return self.caught_up and self.verified and self.agree

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON; times as ISO 8601."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return plain

    def write(self, path: Path) -> None:
        """Write the facts as a whole."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.to_json(), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
