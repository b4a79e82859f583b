"""Memory that was freed goes back to the system.

glibc keeps what each thread once held for that thread alone. A checkpoint reads a table's log on whichever thread is
free, so that after thousands of commits each of them keeps as much as the largest checkpoint took.
"""

import ctypes
import functools
from collections.abc import Callable

__all__ = ["give_back"]


def give_back() -> None:
    """Return free memory of all threads; does nothing where the C library has no ``malloc_trim``."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], object] | None:
    trim: Callable[[int], object] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
