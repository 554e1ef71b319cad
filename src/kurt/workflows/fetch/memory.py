"""Keeping the memory of a long fetch small, at little cost."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

_M_MMAP_THRESHOLD = -3
_LARGE = 256 * 1024


def give_back_large_blocks() -> None:
    """Have large blocks of memory freed for good, each by itself; for the whole process, and again does no harm.

    The allocator of glibc takes a block that was freed for a sign that more of its size will come, and keeps blocks up
    to 32 MB between small ones from then on, apart for each thread: after 12,000 pages that is more than all else.
    Other allocators are left alone.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


@contextmanager
def swept_cheaply() -> Generator[None]:
    """Let collections of cycles pass over what was there before: modules and classes, a hundred times what a page leaves.

    What becomes free of it meanwhile is found by the first full collection afterwards.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
