"""Making a folder's files durable, many in one call."""

from __future__ import annotations

import os


def sync_file_system(path: bytes) -> None:
    """Bring everything written so far on a file system to the disk, in one call."""
    import ctypes  # late: it costs start-up time, and reading never syncs

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # macOS has no syncfs; sync there waits for no disk, as its fsync does not either.
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fsdecode(path))
    finally:
        os.close(descriptor)
