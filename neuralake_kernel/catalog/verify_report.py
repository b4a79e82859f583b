"""What the checker of the law found: counts, the first findings of each kind, text and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from neuralake_kernel.catalog.coverage import Jump

__all__ = ["FINDINGS_KEPT", "Finding", "FindingKind", "SampleCount", "VerifyReport"]

FindingKind = Literal[
    "missing-message",
    "missing-row",
    "doubled-message",
    "doubled-row",
    "row-gap",
    "unexpected-message",
    "beyond-position",
    "position-moved-back",
    "epoch-not-risen",
    "quarantine-behind",
    "moved-missing",
    "quarantine-unread",
    "no-position",
    "unreadable-identity",
    "missing-sample",
    "doubled-sample",
    "lying-block",
    "stream-end",
]

#: Findings listed by name per kind; all are counted.
FINDINGS_KEPT: Final = 20

_MEANING: Final[dict[FindingKind, str]] = {
    "missing-message": "messages that were sent and are in neither table nor quarantine",
    "missing-row": "messages that hold fewer rows than were sent",
    "doubled-message": "messages held twice: whole and in rows, or whole more than once",
    "doubled-row": "rows of a message held more than once",
    "row-gap": "messages whose rows are not 0 to n-1",
    "unexpected-message": "messages held that were not sent",
    "beyond-position": "messages held at or after the recorded position",
    "position-moved-back": "commits that lowered a position",
    "epoch-not-risen": "commits that took an epoch not above the one before",
    "quarantine-behind": "versions that named rejected rows which the quarantine does not hold yet",
    "moved-missing": "rejects that left the quarantine and are not in the table",
    "quarantine-unread": "a quarantine that cannot be read",
    "no-position": "partitions with rows and without a recorded position",
    "unreadable-identity": "rows without partition or offset",
    "missing-sample": "stretches of samples that are held less often than they were delivered",
    "doubled-sample": "stretches of samples that are held more often than they were delivered",
    "lying-block": "blocks that hold another number of samples than their row says",
    "stream-end": "streams that end elsewhere than the table remembers",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of the law, or one place of it."""

    kind: FindingKind
    text: str
    partition: int | None = None
    offset: int | None = None
    row: int | None = None

    def to_json(self) -> dict[str, object]:
        """The finding as plain values, absent places left out."""
        places = {"partition": self.partition, "offset": self.offset, "row": self.row}
        found = {name: value for name, value in places.items() if value is not None}
        return {"kind": self.kind, "text": self.text, **found}


@dataclass(frozen=True, slots=True)
class SampleCount:
    """Samples of each channel, over all streams: ``held`` once each, and ``behind`` under a mark, late or repeated."""

    streams: int
    held: int
    behind: int

    def __str__(self) -> str:
        return f"{self.held:,} samples of {self.streams} streams, {self.behind:,} late or repeated under a mark"

    def to_json(self) -> dict[str, int]:
        """The counts as plain values."""
        return {"streams": self.streams, "held": self.held, "behind": self.behind}


@dataclass(frozen=True)
class VerifyReport:
    """Whether table and quarantine together hold each message exactly once.

    ``ok`` is the verdict. ``messages`` counts what is held below the positions, ``absent_offsets``
    the offsets between first position and position that no message has: normal on compacted topics
    and after transaction markers, decided by ``expect`` or ``dense``. ``pending`` counts messages
    that were sent and lie at or after the position. ``jumps`` are the places where the job went on
    elsewhere by somebody's choice, ``left_out`` the messages sent that it passed by: they are no loss. In a table of
    sample packets ``rows`` are blocks, ``messages`` the offsets that blocks and dead letters span, and ``samples``
    tells what they hold.
    """

    table: str
    version: int
    quarantine_version: int | None
    positions: Mapping[str, int]
    first_positions: Mapping[str, int]
    epoch: int | None
    messages: int
    rows: int
    quarantined_rows: int
    dead_letters: int
    expected: int | None
    pending: int
    absent_offsets: int
    counts: Mapping[FindingKind, int] = field(default_factory=dict)
    problems: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: int = 0
    jumps: tuple[Jump, ...] = ()
    samples: SampleCount | None = None

    @property
    def ok(self) -> bool:
        """Whether the law holds."""
        return not any(self.counts.values())

    @property
    def missing(self) -> int:
        """Messages or rows of messages that were sent and are not held."""
        return self.counts.get("missing-message", 0) + self.counts.get("missing-row", 0)

    @property
    def doubled(self) -> int:
        """Messages or rows held more than once."""
        return self.counts.get("doubled-message", 0) + self.counts.get("doubled-row", 0)

    def to_json(self) -> dict[str, object]:
        """The report as plain values, ready for ``json.dumps``."""
        return {
            "ok": self.ok,
            "table": self.table,
            "version": self.version,
            "quarantine_version": self.quarantine_version,
            "epoch": self.epoch,
            "positions": dict(self.positions),
            "first_positions": dict(self.first_positions),
            "messages": self.messages,
            "rows": self.rows,
            "quarantined_rows": self.quarantined_rows,
            "dead_letters": self.dead_letters,
            "expected": self.expected,
            "pending": self.pending,
            "left_out": self.left_out,
            "jumps": [jump.to_json() for jump in self.jumps],
            "samples": None if self.samples is None else self.samples.to_json(),
            "absent_offsets": self.absent_offsets,
            "missing": self.missing,
            "doubled": self.doubled,
            "counts": {kind: count for kind, count in self.counts.items() if count},
            "problems": [finding.to_json() for finding in self.problems],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        verdict = "holds each message exactly once" if self.ok else "BREAKS the law of the message"
        quarantine = (
            "no quarantine"
            if self.quarantine_version is None
            else f"quarantine rolled forward to {self.quarantine_version}"
        )
        held = f"rows {self.rows:,} in the table, {self.quarantined_rows:,} in quarantine"
        lines = [
            f"{self.table} at version {self.version} ({quarantine}) {verdict}.",
            f"  messages {self.messages:,} = {held}, {self.dead_letters:,} dead letters",
        ]
        if self.samples is not None:
            lines.append(f"  {self.samples}")
        if self.expected is not None:
            lines.append(f"  sent {self.expected:,}, not yet read {self.pending:,}")
        if self.left_out:
            lines.append(f"  left out by choice {self.left_out:,}")
        lines += [f"  {jump}" for jump in self.jumps]
        if self.absent_offsets:
            lines.append(f"  offsets without a message {self.absent_offsets:,}")
        for key, position in self.positions.items():
            first = self.first_positions.get(key)
            since = "" if first is None else f"from {first:,} "
            lines.append(f"  partition {key}: {since}to {position:,}")
        if self.epoch is not None:
            lines.append(f"  epoch {self.epoch}")
        for kind in get_args(FindingKind):
            count = self.counts.get(kind, 0)
            if count:
                lines.append(f"  {kind}: {count:,} {_MEANING[kind]}")
                lines += [f"    {found.text}" for found in self.problems if found.kind == kind]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    __repr__ = __str__
