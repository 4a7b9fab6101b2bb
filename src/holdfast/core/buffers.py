"""Room to read files into, as the kernel fills it fastest."""

from __future__ import annotations

import mmap
from contextlib import suppress

HUGE_PAGE = 2 << 20


def aligned_buffer(size: int) -> memoryview:
    """Room for ``size`` bytes, zeros at first, that begins on a page of memory and is ours alone.

    Linux is asked for huge pages where it is large: a thousand times fewer are to be found then.

    What `bytearray` gives begins 16 bytes behind a page, and there some processors (AMD's Zen with
    fast short ``rep movsb``) copy at a third of their speed: 2 GB/s in place of 6.
    """
    if hasattr(mmap, "MAP_PRIVATE"):  # elsewhere (Windows) there is no fork to share it with
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if size >= 2 * HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a system that has none
                room.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(room)
    return memoryview(mmap.mmap(-1, size))
