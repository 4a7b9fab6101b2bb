"""Room to read files into, as the kernel fills it fastest."""

from __future__ import annotations

import mmap


def aligned_buffer(size: int) -> memoryview:
    """Room for ``size`` bytes, zeros at first, that begins on a page of memory and is ours alone.

    What `bytearray` gives begins 16 bytes behind a page, and there some processors (AMD's Zen with
    fast short ``rep movsb``) copy at a third of their speed: 2 GB/s in place of 6.
    """
    if hasattr(mmap, "MAP_PRIVATE"):  # elsewhere (Windows) there is no fork to share it with
        return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return memoryview(mmap.mmap(-1, size))
