"""Large files copied several at a time, their hashes made side by side.

One hash after the other is slower than copying, and leaves most of a core idle; the kernel in C
makes several at once, of files that it copies, where it was built (by `hold doctor`, say).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..core.backends import backend_of, check_hashed
from ..core.errors import HoldError
from ..core.key import Key
from ..dataset.reflink import clone
from ..dataset.writeback import begin_writeback

if TYPE_CHECKING:
    from ..kernel.lanes import CopyLanes, Taken

LARGE = 1 << 20
"""Smaller files cost more to open than to hash, and are not written back one by one."""

WORTH_IT = 256 << 20
"""For fewer bytes the kernel is not loaded."""


ALGORITHMS = {b"MD5": "md5", b"SHA256": "sha256"}
"""Of backends whose content can be hashed so, as hashlib calls them."""


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
    return backend_of(key) in ALGORITHMS and (key.size or 0) >= LARGE


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
        self._source = source
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

    @property
    def writer(self) -> int | None:
        """Where what is read is to be written, if it is."""
        return None if self.is_clone else self._writer

    def check(self, taken: Taken) -> None:
        """Look at what a lane did for it.

        Raises:
            OSError: It could not be read or written; its filename says which.
        """
        for number, name in (
            (taken.failed_read, self.temporary if self.is_clone else self._source),
            (taken.failed_write, self.temporary),
        ):
            if number:
                raise OSError(number, os.strerror(number), name)

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
    """Copies many files over lanes; a lane that ends one takes up the next.

    ``begin`` opens what an item names, ``source_name`` is who to name when bytes are wrong.
    For one thread.
    """

    def __init__(
        self,
        lanes: CopyLanes,
        begin: Callable[[Item], Copy],
        source_name: str,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """``check`` is called after each step; what it raises ends all."""
        self._lanes = lanes
        self._begin = begin
        self._name = source_name
        self._check = check
        self._running: dict[int, tuple[Item, Copy]] = {}

    def copy(self, items: Iterable[Item]) -> dict[Item, End]:
        """Copy them all; what became of each."""
        waiting = deque(items)
        ends: dict[Item, End] = {}
        free = list(range(len(self._lanes)))
        try:
            while self._fill(free, waiting, ends):
                self._lanes.step()
                self._check()
                for lane, (item, copy) in list(self._running.items()):
                    end = self._look(lane, copy)
                    if end is not None:
                        ends[item] = end
                        free.append(lane)
        finally:
            for lane in list(self._running):
                self._leave(lane)
        return ends

    def _fill(self, free: list[int], waiting: deque[Item], ends: dict[Item, End]) -> bool:
        """Put files on lanes that are free; whether any lane has one."""
        while free and waiting:
            item = waiting.popleft()
            try:
                copy = self._begin(item)
            except (HoldError, OSError) as error:
                ends[item] = error
                continue
            lane = free.pop()
            self._running[lane] = item, copy
            self._lanes.begin(lane, copy.reader, copy.writer)
        return bool(self._running)

    def _look(self, lane: int, copy: Copy) -> End | None:
        """What the last step made of a lane's file, if that was its end."""
        taken = self._lanes.taken(lane)
        copy.size += taken.size
        try:
            copy.check(taken)
            if copy.key.size is not None and copy.size > copy.key.size:
                check_hashed(copy.key, copy.size, "", self._name)
            if not taken.is_end:
                return None
            check_hashed(copy.key, copy.size, self._lanes.end(lane).hex(), self._name)
            copied = copy.finish()
        except (HoldError, OSError) as error:
            self._leave(lane)
            return error
        del self._running[lane]
        return copied

    def _leave(self, lane: int) -> None:
        """Leave a lane's file unfinished."""
        _, copy = self._running.pop(lane)
        self._lanes.end(lane)
        copy.abandon()
