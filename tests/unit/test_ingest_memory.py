"""Memory that a worker has freed goes back to the system, also from the middle of the heap."""

import ctypes
import os
import sys
from pathlib import Path

import pytest

from neuralake_kernel.ingest.memory import give_back

# Below the size from which glibc maps a block of its own, which goes back by itself.
BLOCK_BYTES = 64 << 10
BLOCKS = 1_500


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's ways, and /proc")
def test_what_was_freed_below_a_block_in_use_goes_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks = [ctypes.c_void_p(libc.malloc(BLOCK_BYTES)) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    held = blocks.pop()
    for block in blocks:
        libc.free(block)
    before = resident_bytes()
    give_back()
    assert before - resident_bytes() > BLOCKS * BLOCK_BYTES * 0.8
    libc.free(held)
