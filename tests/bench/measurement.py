"""One measured figure, as ``build/bench.json`` keeps it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A figure with what it was measured beside, in the same run on the same machine.

    Parameters
    ----------
    case
        What was done, in words; the key of the figure.
    value, unit
        The middle one of ``runs`` runs.
    peer, peer_value, ratio
        What it stands beside, the peer's figure, and ``value / peer_value``; empty for a figure that stands alone.
    spread
        Largest less smallest run, as a share of the value.
    aim
        The goal, in words.
    """

    case: str
    value: float
    unit: str
    peer: str = ""
    peer_value: float | None = None
    ratio: float | None = None
    runs: int = 1
    spread: float = 0.0
    aim: str = ""


def measured(
    case: str,
    runs: Sequence[float],
    unit: str,
    *,
    peer: str = "",
    peer_runs: Sequence[float] = (),
    aim: str = "",
) -> Measurement:
    """Sum up the runs of a case, and of its peer."""
    value = statistics.median(runs)
    peer_value = statistics.median(peer_runs) if peer_runs else None
    return Measurement(
        case=case,
        value=value,
        unit=unit,
        peer=peer,
        peer_value=peer_value,
        ratio=value / peer_value if peer_value else None,
        runs=len(runs),
        spread=(max(runs) - min(runs)) / value if value else 0.0,
        aim=aim,
    )
