"""Numbers and times as people read them, the same on every machine."""

import datetime as dt
from typing import Final

__all__ = ["bytes_text", "count_text", "time_text"]

_STEP: Final = 1024


def count_text(count: int | None) -> str:
    """Give a count with separators, ``?`` when unknown.

    Examples
    --------
    >>> count_text(1234567), count_text(None)
    ('1,234,567', '?')
    """
    return "?" if count is None else f"{count:,}"


def bytes_text(size: int | None) -> str:
    """Give a size in the largest binary unit that keeps it at or above one.

    Examples
    --------
    >>> bytes_text(512), bytes_text(1536), bytes_text(5 * 1024**3)
    ('512 B', '1.5 KiB', '5.0 GiB')
    """
    if size is None:
        return "?"
    if size < _STEP:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= _STEP
        if value < _STEP:
            return f"{value:.1f} {unit}"
    return f"{value / _STEP:.1f} TiB"


def time_text(at: dt.datetime | None) -> str:
    """Give a time in UTC to the second, ``?`` when unknown.

    Examples
    --------
    >>> time_text(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    '2026-01-02 03:04:05 UTC'
    """
    return "?" if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
