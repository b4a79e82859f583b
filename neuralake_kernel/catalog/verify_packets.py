"""The checker's view of a table that holds sample blocks: each sample that was delivered, as often as it was delivered.

Packets are joined into blocks, so a block names the offsets it came from, not each message. What the table alone tells:
every run of blocks has all channels of its stream, each sample index below a stream's end is held or told as a gap, and
without a mark it is held once, so that nothing is doubled to the reader. What was sent (``expect``) tells the rest: how
often each index was delivered must be how often it is held.
"""

from typing import TYPE_CHECKING, Final

from neuralake_kernel.catalog.coverage import Coverage
from neuralake_kernel.catalog.expectation import PACKET_COLUMNS
from neuralake_kernel.catalog.findings import FindingList
from neuralake_kernel.catalog.verify_report import FindingKind, SampleCount

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BLOCK_COLUMNS", "judge_blocks", "judge_packets_sent", "read_blocks", "spanned_offsets"]

#: What tells a table of blocks from one of rows.
BLOCK_COLUMNS: Final = frozenset({"stream_id", "channel", "sample_start", "sample_stop", "_offset_first"})
_SAMPLES: Final = ("samples", "samples_i32", "samples_i64", "samples_f32", "samples_f64")
_RUN: Final = ("stream", "partition", "offset", "offset_last", "mark", "start", "stop")


def read_blocks(frame: "pl.LazyFrame") -> "pl.DataFrame":
    """Read places of blocks, without their samples: ``samples`` is how many each holds."""
    import polars as pl

    names = frame.collect_schema().names()
    held = [pl.col(name).list.len() for name in _SAMPLES if name in names]
    return frame.select(
        source=pl.col("_source").cast(pl.String),
        partition=pl.col("_partition").cast(pl.Int64),
        offset=pl.col("_offset_first"),
        offset_last=pl.col("_offset_last"),
        stream=pl.col("stream_id"),
        channel=pl.col("channel"),
        start=pl.col("sample_start"),
        stop=pl.col("sample_stop"),
        mark=pl.col("mark"),
        samples=pl.coalesce(held).cast(pl.Int64),
    ).collect()


def judge_blocks(
    blocks: "pl.DataFrame", gaps: "pl.DataFrame", ends: dict[str, int], covered: Coverage, found: FindingList
) -> SampleCount:
    """Judge the blocks of a table by themselves.

    Parameters
    ----------
    blocks
        Of `read_blocks`.
    gaps
        ``stream``, ``start``, ``stop`` of what the lake tells as missing.
    ends
        Index after the highest sample of each stream, as the table remembers it beside its positions.
    covered
        The offsets that the job has covered.
    found
        Where breaches go.
    """
    import polars as pl

    _judge_places(blocks, covered, found)
    where = "stream {stream} samples {start} to {stop}, offsets {offset} to {offset_last}: "
    lies = blocks.filter(pl.col("samples").ne_missing(pl.col("stop") - pl.col("start")))
    found.add_places("lying-block", lies, where + "channel {channel} holds {samples}")
    widths = blocks.group_by("stream").agg(width=pl.col("channel").max() + 1)
    runs = (
        blocks.group_by(_RUN, maintain_order=True)
        .agg(held=pl.len().cast(pl.Int64), distinct=pl.col("channel").n_unique().cast(pl.Int64))
        .join(widths, on="stream")
    )
    fewer, more = pl.col("distinct") < pl.col("width"), pl.col("held") > pl.col("distinct")
    found.add_places("missing-sample", runs.filter(fewer), where + "{distinct} of {width} channels")
    found.add_places("doubled-sample", runs.filter(more), where + "{held} blocks of {distinct} channels")
    first = runs.filter(pl.col("mark").is_null())
    _add_depth(found, "doubled-sample", _depth(first).filter(pl.col("depth") > 1), "held {depth} times without a mark")
    told = pl.concat([runs.select("stream", "start", "stop"), gaps.join(widths, on="stream", how="semi")])
    # Before its first sample a stream misses nothing, even if older ones come later.
    begins = first.group_by("stream").agg(begin=pl.col("start").min())
    holes = _depth(told).join(begins, on="stream").filter(pl.col("depth") == 0, pl.col("start") >= pl.col("begin"))
    _add_depth(found, "missing-sample", holes, "neither held nor told as a gap")
    highest = dict(runs.group_by("stream").agg(pl.col("stop").max()).iter_rows())
    for stream in sorted(highest.keys() | ends.keys()):
        if highest.get(stream) != ends.get(stream):
            text = f"stream {stream}: held up to {highest.get(stream)}, remembered {ends.get(stream)}"
            found.add("stream-end", text)
    lengths = {name: int((frame["stop"] - frame["start"]).sum()) for name, frame in (("all", runs), ("first", first))}
    return SampleCount(streams=widths.height, held=lengths["first"], behind=lengths["all"] - lengths["first"])


def judge_packets_sent(
    blocks: "pl.DataFrame", letters: "pl.DataFrame | None", sent: "pl.DataFrame", covered: Coverage, found: FindingList
) -> None:
    """Compare what was sent with what is held: each message somewhere, each sample index as often.

    Parameters
    ----------
    blocks
        Of `read_blocks`.
    letters
        ``source``, ``partition``, ``offset`` of whole messages in quarantine.
    sent
        What must be held by now; samples are compared where lines tell of them (`PACKET_COLUMNS`).
    covered
        The offsets that the job has covered.
    found
        Where breaches go.
    """
    import polars as pl

    key = [name for name in ("topic", "source", "partition", "offset") if name in sent.columns]
    topic = covered.topic_of("source")
    kept = sent if letters is None else sent.join(letters.with_columns(topic=topic), on=key, how="anti")
    spans = _merged(blocks).with_columns(topic=topic)
    by = key[:-1]
    reached = kept.sort("offset").join_asof(spans.sort("offset"), on="offset", by=by, check_sortedness=False)
    lost = reached.filter(pl.col("offset_last").is_null() | (pl.col("offset") > pl.col("offset_last")))
    found.add_places("missing-message", lost.sort(key), "partition {partition} offset {offset}")
    if not set(PACKET_COLUMNS) <= set(sent.columns):
        return
    packets = kept.drop_nulls(PACKET_COLUMNS).select("stream", start="sample_start", stop="sample_stop", weight=1)
    held = blocks.unique(_RUN).select("stream", "start", "stop", weight=-1)
    owed = _depth(pl.concat([packets, held]))
    _add_depth(found, "missing-sample", owed.filter(pl.col("depth") > 0), "held {depth} times less than sent")
    more = owed.filter(pl.col("depth") < 0).with_columns(-pl.col("depth"))
    _add_depth(found, "doubled-sample", more, "held {depth} times more than sent")


def spanned_offsets(blocks: "pl.DataFrame", letters: "pl.DataFrame | None") -> int:
    """Count the offsets that blocks and dead letters span."""
    import polars as pl

    key = ["source", "partition"]
    places = blocks.select(*key, "offset", "offset_last")
    if letters is not None:
        places = pl.concat([places, letters.select(*key, "offset", offset_last="offset")])
    ends = _merged(places).sort(*key, "offset")
    # Of each span what the spans before it have not reached.
    before = pl.col("offset_last").shift().over(key).fill_null(pl.col("offset") - 1)
    new = pl.col("offset_last") - pl.max_horizontal(before, pl.col("offset") - 1)
    return int(ends.select(new.clip(0).sum()).item() or 0)


def _merged(spans: "pl.DataFrame") -> "pl.DataFrame":
    """Spans by their first offset, each with the last offset that it or one before it reaches."""
    import polars as pl

    key = ["source", "partition"]
    ends = spans.group_by(*key, "offset").agg(pl.col("offset_last").max()).sort(*key, "offset")
    return ends.with_columns(pl.col("offset_last").cum_max().over(key))


def _judge_places(blocks: "pl.DataFrame", covered: Coverage, found: FindingList) -> None:
    """Blocks stand below the positions and not before the first of them."""
    import polars as pl

    placed = blocks.with_columns(run=covered.source_of("source")).join(
        covered.frame(), on=["run", "partition"], how="left"
    )
    is_beyond = (pl.col("offset_last") >= pl.col("position")) | pl.col("position").is_null()
    found.add_beyond(placed.filter(is_beyond))
    before = placed.filter(pl.col("offset") < pl.col("first")).unique(["source", "partition", "offset"])
    found.add_places(
        "unexpected-message", before, "partition {partition} offset {offset}: the first position is {first}"
    )


def _depth(spans: "pl.DataFrame") -> "pl.DataFrame":
    """Give ``stream``, ``start``, ``stop``, ``depth``: how many spans lie over each stretch between two ends."""
    import polars as pl

    weight = pl.col("weight") if "weight" in spans.columns else pl.lit(1)
    edges = pl.concat(
        [
            spans.select("stream", at=pl.col("start"), step=weight.cast(pl.Int64)),
            spans.select("stream", at=pl.col("stop"), step=-weight.cast(pl.Int64)),
        ]
    )
    summed = edges.group_by("stream", "at").agg(pl.col("step").sum()).sort("stream", "at")
    return summed.select(
        "stream",
        start=pl.col("at"),
        stop=pl.col("at").shift(-1).over("stream"),
        depth=pl.col("step").cum_sum().over("stream"),
    ).drop_nulls("stop")


def _add_depth(found: FindingList, kind: FindingKind, stretches: "pl.DataFrame", text: str) -> None:
    found.add_places(kind, stretches, "stream {stream} samples {start} to {stop}: " + text)
