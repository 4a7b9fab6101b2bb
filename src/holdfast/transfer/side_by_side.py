"""Large files copied several at a time, their MD5 made side by side.

One MD5 after the other is slower than copying, and leaves most of a core idle; the kernel makes
eight at once in little more time, where it was built (by `hold doctor`, say).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..core.backends import backend_of, check_hashed
from ..core.buffers import aligned_buffer
from ..core.errors import HoldError
from ..core.key import Key
from ..dataset.reflink import clone
from ..dataset.writeback import begin_writeback

if TYPE_CHECKING:
    from ..kernel.lanes import Lanes

LARGE = 1 << 20
"""Smaller files cost more to open than to hash, and are not written back one by one."""

WORTH_IT = 256 << 20
"""For fewer bytes the kernel is not loaded."""

LANES = 8
_CHUNK = 256 << 10


class Copied(NamedTuple):
    """A copy of a file, checked and write-protected."""

    temporary: bytes
    size: int


End = Copied | HoldError | OSError
"""A copy, or why there is none."""

Item = TypeVar("Item")


def are_worth_it(keys: Iterable[Key]) -> bool:
    """Whether there is so much of such content that the kernel gains time."""
    return sum(key.size or 0 for key in keys if can_be(key)) >= WORTH_IT


def can_be(key: Key) -> bool:
    """Whether content of a key can be hashed so."""
    return backend_of(key) == b"MD5" and (key.size or 0) >= LARGE


class Copy:
    """One file on its way into a temporary one; what it does not finish, it removes.

    Where the file system can, the copy shares the blocks of its original from the beginning: then
    nothing is written, and what is read to be hashed are the copy's own bytes.
    """

    def __init__(self, key: Key, source: bytes, temporary: bytes) -> None:
        """Opens both.

        Raises:
            OSError: One cannot be opened; nothing stays behind.
        """
        self.key = key
        self.size = 0
        self.temporary = temporary
        self.reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._mode = 0o444 | os.fstat(self.reader).st_mode & 0o111
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._writer = os.open(temporary, flags, 0o600)
        except BaseException:
            os.close(self.reader)
            raise
        self.is_clone = (key.size or 0) >= LARGE and clone(self.reader, self._writer)
        if self.is_clone:
            os.close(self.reader)
            self.reader = self._writer

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        while chunk and not self.is_clone:
            chunk = chunk[os.write(self._writer, chunk) :]

    def finish(self) -> Copied:
        """All bytes were right: protect the copy."""
        os.fchmod(self._writer, self._mode)
        if self.size >= LARGE and not self.is_clone:
            begin_writeback(self._writer)
        self._close()
        return Copied(self.temporary, self.size)

    def abandon(self) -> None:
        """They were not, or something failed: nothing stays behind."""
        os.unlink(self.temporary)
        self._close()

    def _close(self) -> None:
        for descriptor in {self._writer, self.reader}:
            os.close(descriptor)


class SideBySide(Generic[Item]):
    """Copies many files over eight lanes; a lane that ends one takes up the next.

    ``begin`` opens what an item names, ``source_name`` is who to name when bytes are wrong.
    For one thread; it keeps 2 MiB.
    """

    def __init__(self, lanes: Lanes, begin: Callable[[Item], Copy], source_name: str) -> None:
        self._lanes = lanes
        self._begin = begin
        self._name = source_name
        memory = aligned_buffer(LANES * _CHUNK)
        self._rooms = [memory[lane * _CHUNK : (lane + 1) * _CHUNK] for lane in range(LANES)]
        self._copies: list[tuple[Item, Copy] | None] = [None] * LANES

    def copy(self, items: Iterable[Item]) -> dict[Item, End]:
        """Copy them all; what became of each."""
        waiting = deque(items)
        ends: dict[Item, End] = {}
        try:
            while self._fill(waiting, ends):
                parts = [self._read(lane, ends) for lane in range(LANES)]
                self._lanes.update(list(parts))
                for lane, part in enumerate(parts):
                    self._write(lane, part, ends)
        finally:
            for lane in range(LANES):
                self._drop(lane)
        return ends

    def _fill(self, waiting: deque[Item], ends: dict[Item, End]) -> bool:
        """Put files on lanes that are free; whether any lane has one."""
        for lane in range(LANES):
            while self._copies[lane] is None and waiting:
                item = waiting.popleft()
                try:
                    self._copies[lane] = item, self._begin(item)
                except (HoldError, OSError) as error:
                    ends[item] = error
        return any(self._copies)

    def _read(self, lane: int, ends: dict[Item, End]) -> memoryview:
        """The next bytes of a lane's file; none at its end, which is judged here."""
        running = self._copies[lane]
        room = self._rooms[lane]
        if running is None:
            return room[:0]
        item, copy = running
        try:
            part = room[: os.readv(copy.reader, [room])]
            if not part:
                ends[item] = self._judged(lane, copy)
        except (HoldError, OSError) as error:
            ends[item] = error
            self._drop(lane)
            return room[:0]
        return part

    def _judged(self, lane: int, copy: Copy) -> Copied:
        hexdigest = self._lanes.finish([lane])[0].hex()
        check_hashed(copy.key, copy.size, hexdigest, self._name)
        copied = copy.finish()
        self._copies[lane] = None
        return copied

    def _write(self, lane: int, part: memoryview, ends: dict[Item, End]) -> None:
        running = self._copies[lane]
        if running is None or not part:
            return
        item, copy = running
        try:
            copy.write(part)
            if copy.key.size is not None and copy.size > copy.key.size:
                check_hashed(copy.key, copy.size, "", self._name)
        except (HoldError, OSError) as error:
            ends[item] = error
            self._drop(lane)

    def _drop(self, lane: int) -> None:
        """Leave a lane's file unfinished."""
        running, self._copies[lane] = self._copies[lane], None
        if running is not None:
            running[1].abandon()
            self._lanes.finish([lane])
