"""How a number, a size, an age and a state read as text; the browser's module says them alike."""

from neuralake_kernel.view.protocol import JobState, ServiceState

__all__ = ["age_text", "count_text", "rate_text", "size_text", "state_sign", "state_text"]

# One sign for all that is not known.
_UNKNOWN = "\N{EN DASH}"

# Shape first: the sign tells the states apart without colour.
_SIGNS: dict[str, str] = {
    "ready": "●",
    "running": "●",
    "starting": "◔",
    "paused": "▲",
    "backoff": "▲",
    "stopping": "◔",
    "stopped": "○",
    "failed": "✕",
    "fatal": "✕",
    "fenced": "◆",
}
_TEXTS: dict[str, str] = {
    "backoff": "restarting",
    "fatal": "failed",
    "stopped": "off",
}


def state_sign(state: ServiceState | JobState) -> str:
    """One character for a state."""
    return _SIGNS[state]


def state_text(state: ServiceState | JobState) -> str:
    """Give the word a reader sees for a state."""
    return _TEXTS.get(state, state)


def count_text(value: float | None) -> str:
    """Whole number with thousands apart; a dash where it is not known."""
    return _UNKNOWN if value is None else f"{round(value):,}"


def rate_text(value: float | None, unit: str) -> str:
    """Speed per second; one decimal below ten."""
    if value is None:
        return _UNKNOWN
    figure = f"{value:.1f}" if 0 < value < 10 else f"{round(value):,}"
    return f"{figure} {unit}/s"


def size_text(value: float | None) -> str:
    """Bytes in decimal units, three digits."""
    if value is None:
        return _UNKNOWN
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def age_text(seconds: float | None) -> str:
    """Length of time in its largest fitting unit."""
    if seconds is None:
        return _UNKNOWN
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
