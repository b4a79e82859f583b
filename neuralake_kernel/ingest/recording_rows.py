"""What a recording says of itself in the signal tables, beside its samples."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuralake_kernel.source import Annotation, Band, Gap, Recording, Segment

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NewRecording", "NewStream", "batches"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewStream:
    """A band in one segment, under its id."""

    id: str
    band: Band
    segment: Segment


@dataclass(frozen=True, slots=True)
class NewRecording:
    """A recording to be published, under its id."""

    id: str
    content_hash: str
    recording: Recording
    streams: tuple[NewStream, ...]
    origin: str | None
    licence: str | None


def batches(added: NewRecording) -> "dict[str, pa.RecordBatch]":
    """Give the rows of a recording by table; a table without a row is left out.

    Parameters
    ----------
    added
        What is added.

    Returns
    -------
    dict
        Record batches of the tables' own columns; a column that is not known is null.
    """
    import pyarrow as pa

    from neuralake_kernel import _bridge

    rows = {
        "recordings": [_recording(added)],
        "streams": [_stream(added, stream) for stream in added.streams],
        "channels": [row for stream in added.streams for row in _channels(added, stream)],
        "events": [_event(added, mark) for mark in added.recording.annotations if mark.duration_s == 0],
        "intervals": [
            *(_interval(added, mark) for mark in added.recording.annotations if mark.duration_s > 0),
            *(_gap(added, gap) for gap in added.recording.gaps),
        ],
    }
    return {
        table: pa.RecordBatch.from_pylist(found, pa.record_batch(_bridge.signal_columns(table)).schema)
        for table, found in rows.items()
        if found
    }


def _recording(added: NewRecording) -> Row:
    start = added.recording.start
    return {
        "recording_id": added.id,
        "content_hash": added.content_hash,
        "name": added.recording.name,
        "format": added.recording.format,
        "origin": added.origin,
        "licence": added.licence,
        "start_time": start.time,
        "start_trust": start.trust,
        "start_note": start.note,
        "duration_s": added.recording.duration_s,
        "state": "complete",
        "added_at": dt.datetime.now(dt.UTC),
        # The last commit knows them.
        **{f"{table}_version": -1 for table in ("streams", "channels", "signals", "events", "intervals")},
    }


def _stream(added: NewRecording, stream: NewStream) -> Row:
    band, segment = stream.band, stream.segment
    arrival = added.recording.arrival
    return {
        "stream_id": stream.id,
        "recording_id": added.id,
        "segment": segment.number,
        "band": band.name,
        "rate_hz": band.rate_hz,
        "measured_rate_hz": None if arrival is None else arrival.measured_rate_hz,
        "dtype": band.dtype.name,
        "n_channels": len(band.channels),
        "sample_start": segment.first,
        "sample_stop": segment.last,
        "start_time": segment.start_us,
        "blocks_table": "signals",
    }


def _channels(added: NewRecording, stream: NewStream) -> list[Row]:
    return [
        {
            "stream_id": stream.id,
            "recording_id": added.id,
            "channel": place,
            "source_index": channel.index,
            "name": channel.name,
            "type": channel.type,
            "physical_unit": channel.physical_unit,
            "gain_to_unit": channel.gain_to_unit,
            "offset_to_unit": channel.offset_to_unit,
            "digital_min": channel.digital_min,
            "digital_max": channel.digital_max,
        }
        for place, channel in enumerate(stream.band.channels)
    ]


def _event(added: NewRecording, mark: Annotation) -> Row:
    return {
        "recording_id": added.id,
        "onset_s": mark.start_s,
        "event_time": _moment(added, mark.start_s),
        "label": mark.label,
    }


def _interval(added: NewRecording, mark: Annotation) -> Row:
    return {
        "recording_id": added.id,
        "onset_s": mark.start_s,
        "duration_s": mark.duration_s,
        "event_time_start": _moment(added, mark.start_s),
        "event_time_stop": _moment(added, mark.start_s + mark.duration_s),
        "kind": "annotation",
        "label": mark.label,
    }


def _gap(added: NewRecording, gap: Gap) -> Row:
    return {
        "recording_id": added.id,
        "sample_start": gap.sample_index,
        "sample_stop": gap.sample_index,
        "onset_s": gap.sample_index / added.recording.rate_hz,
        "duration_s": gap.silence_s,
        "kind": "gap",
        "label": f"{gap.missing_packets} packets missing",
        "value_number": float(gap.missing_packets),
    }


def _moment(added: NewRecording, at_s: float) -> dt.datetime | None:
    start = added.recording.start
    if start.time is None or start.trust == "placeholder":
        return None
    return start.time + dt.timedelta(seconds=at_s)
