"""The vectorised judgement of messages agrees with the law said plainly, message by message."""

from collections import defaultdict

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from neuralake_kernel.catalog.findings import FindingList, judge_messages, judge_sent

PLACE = st.tuples(
    st.sampled_from(["a", "b"]),
    st.integers(0, 1),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(0, 3)),
)
SCHEMA = {"source": pl.String, "partition": pl.Int64, "offset": pl.Int64, "row": pl.Int64}


@given(st.lists(PLACE, max_size=14))
def test_a_message_is_held_once_or_blamed(places: list[tuple[str, int, int, int | None]]) -> None:
    messages = defaultdict(list)
    for source, partition, offset, row in places:
        messages[source, partition, offset].append(row)
    found = FindingList()
    held = judge_messages(pl.LazyFrame(places, schema=SCHEMA, orient="row"), found)

    rows = [[row for row in held_rows if row is not None] for held_rows in messages.values()]
    wholes = [held_rows.count(None) for held_rows in messages.values()]
    assert held.height == len(messages)
    assert found.counts["doubled-row"] == sum(len(kept) - len(set(kept)) for kept in rows)
    is_doubled = [whole > 1 or (whole == 1 and kept) for whole, kept in zip(wholes, rows, strict=True)]
    assert (found.counts["doubled-message"] > 0) == any(is_doubled)
    is_sound = all(
        (whole == 1 and not kept) or (whole == 0 and sorted(kept) == list(range(len(kept))))
        for whole, kept in zip(wholes, rows, strict=True)
    )
    assert (not any(found.counts.values())) == is_sound


@given(
    st.dictionaries(st.integers(0, 6), st.integers(1, 3)),
    st.dictionaries(st.integers(0, 6), st.one_of(st.none(), st.integers(1, 3))),
)
def test_what_was_sent_is_what_is_held_or_blamed(held: dict[int, int], sent: dict[int, int | None]) -> None:
    found = FindingList()
    kind = {"partition": pl.Int64, "offset": pl.Int64}
    judge_sent(
        pl.DataFrame([(0, *item) for item in held.items()], schema=kind | {"held_rows": pl.Int64}, orient="row"),
        pl.DataFrame([(0, *item) for item in sent.items()], schema=kind | {"sent_rows": pl.Int64}, orient="row"),
        found,
    )
    both = [(held[key], sent[key]) for key in held.keys() & sent.keys()]
    assert found.counts["missing-message"] == len(sent.keys() - held.keys())
    assert found.counts["unexpected-message"] == len(held.keys() - sent.keys())
    assert found.counts["missing-row"] == sum(wanted is not None and got < wanted for got, wanted in both)
    assert found.counts["doubled-row"] == sum(wanted is not None and got > wanted for got, wanted in both)
