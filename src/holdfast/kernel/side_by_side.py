"""One large payload hashed by several threads: its units are independent of each other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ..core import faults
from ..wire.fr32 import Buffer
from ..wire.piece import UNIT_HEIGHT, UNIT_SIZE, Kernel, PieceHasher
from .choose import best

PART_SIZE = 64 * UNIT_SIZE
"""What one thread reads and hashes at a time: 4 MiB."""

ReadAt = Callable[[int, int], Buffer]
"""Gives the bytes at an offset, as many as asked for; called by several threads at once."""


def commit_file(
    path: bytes, threads: int, kernel: Kernel | None = None, *, keep: int | None = None
) -> PieceHasher:
    """The commitment of a file; see `commit_side_by_side`.

    Raises:
        OSError: The file cannot be read.
        IntegrityError: It became shorter meanwhile.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        return commit_side_by_side(
            lambda start, count: os.pread(handle, count, start), size, threads, kernel, keep=keep
        )
    finally:
        os.close(handle)


def commit_side_by_side(
    read: ReadAt, size: int, threads: int, kernel: Kernel | None = None, *, keep: int | None = None
) -> PieceHasher:
    """The commitment of ``size`` bytes, read and hashed by several threads, in bounded memory.

    The hasher is given, so that `PieceHasher.kept` can be asked for as well as the digest.

    Raises:
        IntegrityError: There were fewer bytes.
    """
    kernel = kernel or best()
    hasher = PieceHasher(kernel, keep=keep)
    if size < 1 << UNIT_HEIGHT << 5:  # a tree that may be lower than a unit's
        hasher.update(_read(read, 0, size))
        return hasher
    with ThreadPoolExecutor(threads, "piece") as pool:
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        try:
            for start in range(0, size, PART_SIZE):
                count = min(PART_SIZE, size - start)
                waiting.append((count, pool.submit(_roots, kernel, read, start, count)))
                if len(waiting) > 2 * threads:
                    _take(hasher, *waiting.popleft())
            while waiting:
                _take(hasher, *waiting.popleft())
        finally:
            for _, part in waiting:
                part.cancel()
    return hasher


def _take(hasher: PieceHasher, count: int, part: Future[bytes]) -> None:
    hasher.add_roots(part.result(), count)


def _roots(kernel: Kernel, read: ReadAt, start: int, count: int) -> bytes:
    data = memoryview(_read(read, start, count))
    whole = count - count % UNIT_SIZE
    roots = kernel.roots(data[:whole])
    if whole < count:
        roots += kernel.roots(bytes(data[whole:]).ljust(UNIT_SIZE, b"\0"))
    return roots


def _read(read: ReadAt, start: int, count: int) -> Buffer:
    data = read(start, count) if count else b""
    if len(data) == count:
        return data
    joined = bytearray(data)
    while len(joined) < count:
        more = read(start + len(joined), count - len(joined))
        if not len(more):
            raise faults.WRONG_PROOF(what=f"{count} bytes are there from {start} on")
        joined += more
    return joined
