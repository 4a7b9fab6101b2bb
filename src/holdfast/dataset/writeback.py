"""Files on their way to the disk before anybody waits for them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of Linux's <linux/fs.h>: begin to write, wait for nothing."""


def begin_writeback(descriptor: int) -> None:
    """Let the disk begin with what was written to a file, so that a sync later has less to do.

    Promises nothing: what must be durable is synced afterwards all the same.
    """
    begin = _sync_file_range()
    if begin is not None:
        begin(descriptor, 0, 0, _WRITE)


@lru_cache(maxsize=1)
def _sync_file_range() -> Any:
    import ctypes  # late: most calls copy nothing that is large

    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):  # macOS, Windows: they write as they like
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found
