"""Many small files in one call: looked at, read, hashed by MD5, without a step of Python for each.

What the kernel in C can do is done there, and lets Python's other threads run meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from array import array
from collections.abc import Sequence
from hashlib import md5

from ..wire.fr32 import Buffer
from ..wire.piece import Kernel, Numbers
from .choose import compiled

UNSETTLED_S = 0.02
"""A write sets the times of a file when it begins, in steps of some milliseconds.

So one that is still going on is not told by the times of a file that was just written to.
"""


def look_at(kernel: Kernel, folder: bytes, names: Sequence[bytes]) -> tuple[Numbers, Numbers]:
    """The mode and size of things in a folder by their names; links are not followed.

    What cannot be looked at has the mode 0, and as its size the number of the error.
    """
    found = compiled(kernel)
    if found is not None:
        return found.look_at(folder, names)
    modes, sizes = array("Q"), array("Q")
    for name in names:
        try:
            seen = os.lstat(os.path.join(folder, name))
            mode, size = seen.st_mode, seen.st_size
        except OSError as error:
            mode, size = 0, error.errno or errno.EIO
        modes.append(mode)
        sizes.append(size)
    return modes, sizes


def read_files(
    kernel: Kernel, paths: list[bytes], base: memoryview, places: Numbers, sizes: Numbers
) -> bytes:
    """Read files to places in ``base``; gives a byte for each, 0 for one that is right.

    It is right when it is a file that has exactly that size, did not change while it was read, and
    was not written to in the last `UNSETTLED_S`. What is at the place of another one is anything.
    """
    found = compiled(kernel)
    if found is not None:
        return found.read_files(paths, base, places, sizes, UNSETTLED_S)
    return bytes(
        not _read_file(path, base[at : at + size])
        for path, at, size in zip(paths, places, sizes, strict=True)
    )


def md5_many(kernel: Kernel, base: Buffer, places: Numbers, sizes: Numbers) -> bytes:
    """The MD5 of each of the buffers at places in ``base``, one after the other."""
    found = compiled(kernel)
    if found is not None:
        return found.md5_many(base, places, sizes)
    view = memoryview(base)
    return b"".join(
        md5(view[at : at + size], usedforsecurity=False).digest()
        for at, size in zip(places, sizes, strict=True)
    )


def signature(seen: os.stat_result) -> tuple[int, int, int]:
    """What is another one as soon as a file was written to."""
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def until_settled_s(seen: os.stat_result) -> float:
    """How long, in seconds, until a file was not written to for `UNSETTLED_S`; 0 if that is so.

    A date in the future tells nothing.
    """
    left_s = seen.st_mtime + UNSETTLED_S - time.time()
    return left_s if 0 < left_s <= UNSETTLED_S else 0.0


def _read_file(path: bytes, view: memoryview) -> bool:
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(path, flags)
    except OSError:
        return False
    try:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode) or before.st_size != len(view):
            return False
        if before.st_mtime + UNSETTLED_S > time.time():
            return False
        done = 0
        while done < len(view):
            got = os.readv(file, [view[done:]])
            if not got:
                return False
            done += got
        return signature(os.fstat(file)) == signature(before)
    except OSError:
        return False
    finally:
        os.close(file)
