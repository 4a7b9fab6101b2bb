"""A file put in the place of another in one step, and of no other: other programs write there too.

Two names change places (Linux: renameat2(2) with RENAME_EXCHANGE; macOS: renamex_np(2) with
RENAME_SWAP), and what came out is looked at. Where the system cannot do that, it is looked at
before alone: what is put there in the next microseconds is then lost.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache

_EXCHANGE = 2
"""The flag of both systems."""
_HERE = -100
"""AT_FDCWD of Linux."""
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM)
"""What says that it cannot be done: the last where a sandbox knows no such call. A rename that may
not be is told of by the rename in its stead."""


def take_place(new: bytes, path: bytes, seen: os.stat_result) -> bool:
    """Put a file at a path, in the place of the one that was seen there, which is removed.

    False when another is there by now, or when it was written to: then all stays as it is.

    Raises:
        OSError: The system refuses.
    """
    if not is_same(path, seen):
        return False
    if not exchange(new, path):
        os.rename(new, path)
        return True
    if not is_same(new, seen):
        exchange(new, path)
        return False
    os.unlink(new)
    return True


def still_there(path: bytes, placed: os.stat_result) -> os.stat_result | None:
    """What the system says now of a file that was put at a path; None when another is there.

    ``placed`` is what it said before. With a new name a file has another time of change, by which
    git tells whether it has seen it.
    """
    try:
        now = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return now if is_same_status(now, placed) else None


def is_same(path: bytes, seen: os.stat_result) -> bool:
    """Whether a path still is the file that was seen there, and nobody wrote to it."""
    return still_there(path, seen) is not None


def is_same_status(now: os.stat_result, seen: os.stat_result) -> bool:
    """The same of what the system says of it now."""
    return (
        now.st_size == seen.st_size
        and now.st_mtime_ns == seen.st_mtime_ns
        and now.st_ino == seen.st_ino
    )


def exchange(one: bytes, other: bytes) -> bool:
    """Let two names change places; False where system or file system cannot, and nothing is done.

    Raises:
        OSError: One of them is not there, or may not be renamed.
    """
    call = _call()
    if call is None:
        return False
    number = call(one, other)
    if number in _CANNOT:
        return False
    if number:
        raise OSError(number, os.strerror(number), one, None, other)
    return True


@cache
def _call() -> Callable[[bytes, bytes], int] | None:
    """What asks the system, and gives the number of its error; 0 when it is done."""
    import ctypes  # late: it costs start-up time

    if os.name == "nt":  # Windows has no such call
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    has_folders = hasattr(libc, "renameat2")
    swap = getattr(libc, "renameat2" if has_folders else "renamex_np", None)
    if swap is None:
        return None

    def call(one: bytes, other: bytes) -> int:
        words = (_HERE, one, _HERE, other) if has_folders else (one, other)
        return ctypes.get_errno() if swap(*words, _EXCHANGE) else 0

    return call
