"""The judgements of the checker over whole columns at once, and the list that keeps what they find."""

from collections import Counter
from typing import TYPE_CHECKING

from neuralake_kernel.catalog.coverage import Coverage
from neuralake_kernel.catalog.verify_report import FINDINGS_KEPT, Finding, FindingKind

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FindingList", "judge_messages", "judge_sent"]


class FindingList:
    """Counts every breach and keeps the first few of each kind."""

    def __init__(self) -> None:
        #: Whether a place is told with its source: in a table of several topics partitions share their numbers.
        self.tells_source = False
        self.counts: Counter[FindingKind] = Counter()
        self._kept: list[Finding] = []

    @property
    def kept(self) -> tuple[Finding, ...]:
        """The findings kept so far, in the order found."""
        return tuple(self._kept)

    def add(self, kind: FindingKind, text: str, *, partition: int | None = None) -> None:
        """Count one breach that is not a place in the table."""
        self.counts[kind] += 1
        if self.counts[kind] <= FINDINGS_KEPT:
            self._kept.append(Finding(kind, text, partition=partition))

    def add_places(self, kind: FindingKind, places: "pl.DataFrame", text: str) -> None:
        """Count one breach per row of ``places``; ``text`` may name its columns in braces."""
        if not places.height:
            return
        self.counts[kind] += places.height
        if self.tells_source:
            text += next((f" of {{{name}}}" for name in ("source", "topic") if name in places.columns), "")
        for place in places.head(FINDINGS_KEPT).iter_rows(named=True):
            finding = Finding(
                kind,
                text.format(**place),
                partition=place.get("partition"),
                offset=place.get("offset"),
                row=place.get("row"),
            )
            self._kept.append(finding)

    def add_beyond(self, rows: "pl.DataFrame") -> None:
        """Blame rows at or after the position, and rows whose partition has none."""
        import polars as pl

        messages = rows.unique(["source", "partition", "offset"]).sort("partition", "offset")
        has_position = pl.col("position").is_not_null()
        self.add_places(
            "beyond-position",
            messages.filter(has_position),
            "partition {partition} offset {offset}: position {position}",
        )
        nameless = pl.col("partition").is_null() | pl.col("offset").is_null()
        self.add_places(
            "unreadable-identity",
            messages.filter(nameless),
            "source {source} partition {partition} offset {offset}",
        )
        self.add_places(
            "no-position",
            messages.filter(~has_position & ~nameless).unique(["run", "partition"]).sort("run", "partition"),
            "partition {partition} has no position",
        )

    def add_misplaced(self, rows: "pl.DataFrame") -> None:
        """Blame rows of the table without a number, and messages before the first position."""
        import polars as pl

        is_rowless = pl.col("row").is_null() & ~pl.col("in_quarantine")
        where = "partition {partition} offset {offset}: "
        self.add_places("unreadable-identity", rows.filter(is_rowless), where + "_row is null")
        self.add_places(
            "unexpected-message",
            rows.filter(~is_rowless).unique(["source", "partition", "offset"]),
            where + "the first position is {first}",
        )

    def count_missing(
        self,
        held: "pl.DataFrame",
        covered: Coverage,
        absent: int,
    ) -> None:
        """On a source without gaps every absent offset is a lost message."""
        import polars as pl

        if not absent:
            return
        placed = held.with_columns(run=covered.source_of("source"))
        for run in covered.runs:
            span = pl.DataFrame({"offset": pl.int_range(run.first, run.stop, eager=True)}).with_columns(
                partition=pl.lit(run.partition, dtype=pl.Int64), run=pl.lit(run.source), source=pl.lit(run.source)
            )
            self.add_places(
                "missing-message",
                span.join(placed, on=["run", "partition", "offset"], how="anti", maintain_order="left"),
                "partition {partition} offset {offset}",
            )


def judge_messages(rows: "pl.LazyFrame", found: FindingList) -> "pl.DataFrame":
    """Judge every message by itself: held once, whole or in rows 0..n-1.

    Parameters
    ----------
    rows
        ``source``, ``partition``, ``offset``, ``row`` (null: the whole message).
    found
        Where breaches go.

    Returns
    -------
    polars.DataFrame
        ``source``, ``partition``, ``offset``, ``held_rows`` (distinct; null for a whole message), one per message.
    """
    import polars as pl

    message = ("source", "partition", "offset")
    ordered = rows.select(*message, "row").collect().sort(*message, "row", nulls_last=False).lazy()
    same_message = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in message)
    before = pl.col("row").shift()
    is_whole = pl.col("row").is_null()
    is_again = pl.col("same") & pl.col("row").eq_missing(pl.col("before"))
    step = pl.when("same").then(pl.col("row") - pl.col("before")).otherwise(pl.col("row") + 1)
    judged = (
        ordered.with_row_index("_at")
        # The very first row has nothing before it; a shifted null would otherwise look alike.
        .with_columns(same=same_message & (pl.col("_at") > 0), before=before)
        .with_columns(
            is_whole=is_whole,
            is_again=is_again,
            is_mixed=pl.col("same") & ~is_whole & pl.col("before").is_null(),
            # After a whole message the rows are judged as mixed, not as gaps.
            is_gap=(step > 1).fill_null(value=False),
        )
        .collect()
    )
    whole_again = (pl.col("is_again") & pl.col("is_whole")) | pl.col("is_mixed")
    found.add_places(
        "doubled-message",
        judged.filter(whole_again),
        "partition {partition} offset {offset}",
    )
    found.add_places(
        "doubled-row",
        judged.filter(pl.col("is_again") & ~pl.col("is_whole")),
        "partition {partition} offset {offset} row {row}",
    )
    found.add_places(
        "row-gap",
        judged.filter("is_gap"),
        "partition {partition} offset {offset}: nothing right before row {row}",
    )
    number = pl.col("same").not_().cum_sum()
    return (
        judged.lazy()
        .with_columns(number=number)
        .group_by("number", maintain_order=True)
        .agg(
            pl.col("source", "partition", "offset").first(),
            held_rows=(~pl.col("is_again") & ~pl.col("is_whole")).sum().cast(pl.Int64),
            has_whole=pl.col("is_whole").any(),
        )
        .select(
            "source",
            "partition",
            "offset",
            held_rows=pl.when("has_whole").then(None).otherwise(pl.col("held_rows")),
        )
        .collect()
    )


def judge_sent(held: "pl.DataFrame", sent: "pl.DataFrame", found: FindingList) -> None:
    """Compare what is held with what was sent.

    Parameters
    ----------
    held
        ``source``, ``partition``, ``offset``, ``held_rows`` of `judge_messages`.
    sent
        ``partition``, ``offset``, ``sent_rows`` (null: unknown) that must be held by now; ``topic`` and ``source``
        where they are told, and then ``held`` has them too.
    found
        Where breaches go.
    """
    import polars as pl

    key = [name for name in ("topic", "source", "partition", "offset") if name in sent.columns]
    place = "partition {partition} offset {offset}"
    missing = sent.join(held, on=key, how="anti").sort(key)
    found.add_places("missing-message", missing, place)
    found.add_places("unexpected-message", held.join(sent, on=key, how="anti").sort(key), place)
    both = held.join(sent, on=key, how="inner").sort(key)
    counts = place + ": {held_rows} of {sent_rows} rows"
    fewer = both.filter(pl.col("held_rows") < pl.col("sent_rows"))
    found.add_places("missing-row", fewer, counts)
    more = both.filter(pl.col("held_rows") > pl.col("sent_rows"))
    found.add_places("doubled-row", more, counts)
