"""How long acks took, kept in as little memory as it takes to tell quantiles to 2 %."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

__all__ = ["AckTimes"]

_STEP: Final = math.log(1.02)
# Below a microsecond nothing is told apart.
_LEAST_MS: Final = 1e-3


class AckTimes:
    """A histogram of milliseconds, each step 2 % above the one before."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, took_ms: float, messages: int = 1) -> None:
        """Note that so many messages were acked after this time."""
        self._counts[math.ceil(math.log(max(took_ms, _LEAST_MS) / _LEAST_MS) / _STEP)] += messages

    def quantile_ms(self, share: float) -> float:
        """Give the time after which this share of the messages was acked; 0 while there are none."""
        left = share * self._counts.total()
        for step, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return _LEAST_MS * math.exp(step * _STEP) if count else 0.0
        return 0.0
