"""What the catalog says of the signal tables that every lake has; their columns stand in the native module."""

from typing import Final

__all__ = ["COLUMN_TEXTS", "TABLE_TEXTS"]

TABLE_TEXTS: Final = {
    "recordings": "Recordings and live runs; what no row here names is hidden from readers.",
    "streams": "Bands of a device, one row per gap-free segment.",
    "channels": "Channels of a stream: name, type, unit, gain.",
    "signals": "Samples: one row is a block of one channel, about a second.",
    "events": "Points in time: labels without a duration.",
    "intervals": "Spans of time: annotations, trials, artefacts, gaps.",
}

COLUMN_TEXTS: Final = {
    "content_hash": "SHA-256 of the file",
    "start_trust": "host-clock, header or placeholder",
    "dtype": "type of the stored samples",
    "source_index": "place among the channels of the recording",
    "gain_to_unit": "physical value = gain_to_unit * sample + offset_to_unit",
    "sample_start": "index of the first sample, by the sample clock",
    "sample_stop": "index after the last sample",
    "event_time_start": "time of the first sample, where it is known",
    "event_time_stop": "time after the last sample",
    "samples": "int16 samples as delivered",
    "samples_i32": "int32 and 24-bit samples as delivered",
    "samples_f32": "float32 samples as delivered",
    "samples_f64": "float64 samples as delivered",
    "min": "lowest sample of the block",
    "max": "highest sample of the block",
    "rms": "root mean square of the block's samples",
    "envelope_min": "lowest of each 64 samples",
    "envelope_max": "highest of each 64 samples",
    "mark": "why the block stands out: late, repeated",
}
