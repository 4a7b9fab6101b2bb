"""What reader, writer and compaction of a packed store stand on: its folder, locks and index.

The packs are the truth. When a store is opened, the length of each pack is held against the index:
what a killed writer has left in one is read, checked, and taken into the index where it is whole;
what is torn is cut off, unless the index was lost with it: then it is kept, and the pack closed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from ..core import faults
from ..core.errors import AccessError, HoldError, PlaceFullError
from ..wire.packed import CONTENT, PACK_START, REMOVAL, SYNC
from .packed_files import Folder, Found, Gap, OpenPacks, iter_records
from .packed_index import (
    BadIndexError,
    PackIndex,
    Part,
    RemovalRow,
    Row,
    digest_of,
    index_paths,
    next_path,
    remove_index,
    signed,
)
from .packed_locks import INDEX, Locks, pack_byte
from .packed_marker import read_marker

T = TypeVar("T")


@dataclass
class KnownPart:
    """A stretch of a pack that was just written."""

    pack: int
    end: int
    rows: Sequence[Row] = ()
    removals: Sequence[RemovalRow] = ()
    closed: bool = False


@dataclass
class ScannedPart:
    """A stretch of a pack, read from its file as the rows are gone through."""

    pack: int
    file: int
    start: int
    size: int
    check_from: int
    may_be_cut: bool
    """Whether nobody was told of anything in it: then it ends where the first record is torn."""
    sure_to: int
    """Up to where all was synced: what is wrong before that is damage."""
    is_written_to: bool = False
    """Whether a writer that lives is at its end."""
    end: int = 0
    removals: list[RemovalRow] = field(default_factory=list)

    @property
    def rows(self) -> Iterator[Row]:
        """The records that are whole; after them, the other fields are right."""
        self.end = max(self.start, len(PACK_START))
        walk = iter_records(self.file, self.start, self.size, check_from=self.check_from)
        for item in walk:
            if not isinstance(item, Found) or item.wrong:
                if self.may_be_cut and self.sure_to <= _start(item):
                    return
                continue
            at, record = item.at, item.record
            self.end = at + record.length
            digest = digest_of(record.key)
            if record.kind == CONTENT and not record.flags:
                yield Row(digest, signed(record.id), self.pack, at, record.length)
            elif record.kind == REMOVAL:
                self.removals.append(RemovalRow(digest, signed(record.id), self.pack, at))

    @property
    def closed(self) -> bool:
        """A tail of which nobody knows whether it was somebody's content is left as it is."""
        return self.end < self.size and not self.may_be_cut and not self.is_written_to


class Ground:
    """A packed store's folder, opened. Threads may share it."""

    def __init__(self, path: bytes) -> None:
        """Open a store; mends the index where a killed process has left it behind.

        Raises:
            PlaceUnavailableError: There is none, or somebody holds its index for too long.
            ConflictError: It is of a later version of the format.
        """
        self.folder = Folder(path)
        self.uuid = read_marker(self.folder)
        self.packs = OpenPacks(self.folder)
        self.locks: Locks | None = None
        try:
            self.locks = Locks(self.folder.locks)
            self.index = self._open_index()
        except (AccessError, OSError):
            # Nobody can write here, or at least not we.
            self._close_locks()
            self.index = self._index_to_read()
        self.refresh()

    @property
    def writing_locks(self) -> Locks:
        """The locks, for who writes.

        Raises:
            AccessError: We may not write here.
        """
        if self.locks is None:
            path = os.fsdecode(self.folder.path)
            raise faults.NO_PERMISSION(path=path, detail="the store cannot be locked or indexed")
        return self.locks

    def ask_index(self, question: Callable[[PackIndex], T]) -> T:
        """Ask the index that counts now; one that is of no use is made anew first."""
        for _ in range(2):
            self._follow_index()
            try:
                return question(self.index)
            except BadIndexError:
                self._make_anew()
        return question(self.index)

    def commit(self, part: Part) -> None:
        """Take a stretch of a pack that is on the disk into the index."""
        assert self.locks is not None, "nobody writes without locks"
        self.change_index(lambda index: index.add(part))

    def change_index(self, change: Callable[[PackIndex], T]) -> T:
        """Change the index that counts now, while nobody makes a new one."""
        if self.locks is None:
            return change(self.index)
        for _ in range(3):
            self._follow_index()
            try:
                with self.locks.holding(INDEX, alone=False, what="the index"):
                    if self.index.is_current():
                        return change(self.index)
            except BadIndexError:
                self._make_anew()
        return change(self.index)

    @contextmanager
    def mending(self) -> Iterator[None]:
        """A long work with the index; when it turns out to be bad, a new one is made for the next.

        Raises:
            PlaceUnavailableError: It was bad.
        """
        try:
            yield
        except BadIndexError as error:
            path = os.fsdecode(self.index.path or b"memory")
            self._make_anew()
            raise faults.DISK_ERROR(path=path, detail=f"the index was bad: {error}") from error

    def refresh(self) -> None:
        """Hold the packs against the index, and take in what it does not know.

        Packs that a living writer holds are left to it, unless the index has never seen them.
        """
        try:
            self._refresh()
        except BadIndexError:
            self._use(self._new_index())
            self._refresh()
        except PlaceFullError:
            # What is not told to the index now nobody was told of, or else we only read.
            if not self._is_usable(self.index):
                self._close_locks()
                self._use(PackIndex(None))
                self._refresh()

    def _refresh(self) -> None:
        if not self._is_behind():
            return
        if self.locks is not None:
            with self.locks.holding(INDEX, alone=True, what="the index"):
                self._catch_up(self._take_locked)
            return
        if self.index.path is not None:
            # What its writers have not told it yet is theirs; what else is wrong, none can mend.
            if self._is_usable(self.index):
                return
            self._use(PackIndex(None))
        self._catch_up(self._take_unlocked)

    def settle(self, pack: int) -> int:
        """Take in what stands in a pack beyond what is known; gives where it ends now.

        Its lock is held by the caller. What is torn at its end is cut off, if the index knew it.
        """
        path = self.folder.pack(pack)
        known = self.index.ends().get(pack)
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(file).st_size < len(PACK_START):
                # Whoever made it was killed before it had its first bytes.
                os.pwrite(file, PACK_START, 0)
            part = self._part(pack, file, known)
            if known is not None and part.start == part.size:
                return part.size
            # What others are shown has to be on the disk; its writer may have died before that.
            os.fsync(file)
            self.index.add(part)
            if part.may_be_cut and part.end < part.size:
                os.ftruncate(file, part.end)
            return part.end
        finally:
            os.close(file)

    def close(self) -> None:
        """Let go of all. May be called twice."""
        self.packs.close()
        self.index.close()
        self._close_locks()

    def _close_locks(self) -> None:
        locks, self.locks = self.locks, None
        if locks is not None:
            locks.close()

    def _part(self, pack: int, file: int, known: tuple[int, bool] | None) -> ScannedPart:
        size = os.fstat(file).st_size
        if known is None or known[0] > size:
            self.index.forget(pack)
            last = _last_sync(file, 0, size)
            return ScannedPart(pack, file, 0, size, last, may_be_cut=False, sure_to=last)
        end, closed = known
        size = end if closed else size
        last = _last_sync(file, end, size)
        return ScannedPart(pack, file, end, size, end, may_be_cut=not closed, sure_to=last)

    def _is_behind(self) -> bool:
        return next(self._iter_behind(), None) is not None

    def _iter_behind(self) -> Iterator[int]:
        """Packs of which the index knows less, or more, than there is."""
        ends = self.index.ends()
        for pack in self.folder.numbers():
            end, closed = ends.pop(pack, (-1, False))
            try:
                size = os.stat(self.folder.pack(pack)).st_size
            except FileNotFoundError:
                continue
            if size < end or (size > end and not closed):
                yield pack
        yield from ends

    def _catch_up(self, take: Callable[[int], object]) -> None:
        for pack in list(self._iter_behind()):
            if os.path.exists(self.folder.pack(pack)):
                take(pack)
            else:
                self.index.forget(pack)

    def _take_locked(self, pack: int) -> None:
        locks = self.writing_locks
        if locks.try_alone(pack_byte(pack)):
            try:
                self.settle(pack)
            except FileNotFoundError:
                self.index.forget(pack)
            finally:
                locks.release(pack_byte(pack))
        elif pack not in self.index.ends():
            self._take_unlocked(pack)

    def _take_unlocked(self, pack: int) -> None:
        opened = self.packs.get(pack)
        if opened.size < len(PACK_START):
            return
        part = self._part(pack, opened.file, self.index.ends().get(pack))
        if self.locks is not None:
            part.is_written_to = True
            os.fsync(opened.file)
        self.index.add(part)

    def _open_index(self) -> PackIndex:
        paths = index_paths(self.folder.path)
        if paths:
            try:
                return PackIndex(paths[-1])
            except BadIndexError:
                pass
        return self._make_index(paths[-1] if paths else None)

    def _index_to_read(self) -> PackIndex:
        """The index that lies there, if it knows all packs; else one in memory, made of them."""
        try:
            for path in index_paths(self.folder.path)[-1:]:
                index = PackIndex(path, "ro")
                if self._is_usable(index):
                    return index
        except (BadIndexError, HoldError):
            pass
        return PackIndex(None)

    def _is_usable(self, index: PackIndex) -> bool:
        """Whether an index that we may not write knows each pack, and nothing that is not there."""
        ends = index.ends()
        try:
            sizes = {
                pack: os.stat(self.folder.pack(pack)).st_size for pack in self.folder.numbers()
            }
        except FileNotFoundError:
            return False
        return sizes.keys() == ends.keys() and all(ends[p][0] <= sizes[p] for p in sizes)

    def _make_index(self, bad: bytes | None) -> PackIndex:
        """A new index in the place of a bad one, unless another process has made it meanwhile."""
        with self.writing_locks.holding(INDEX, alone=True, what="the index"):
            paths = index_paths(self.folder.path)
            if paths and paths[-1] != bad:
                return PackIndex(paths[-1])
            path = next_path(paths, self.folder.path)
            remove_index(path)  # a journal that was left alone would be taken for the new one's
            index = PackIndex(path, "rwc")
            for path in paths:
                remove_index(path)
            return index

    def _follow_index(self) -> None:
        """Go over to the index that counts, where another process has made a new one."""
        if not self.index.is_current():
            self._use(self._index_to_read() if self.locks is None else self._open_index())
            self.refresh()

    def _make_anew(self) -> None:
        self._use(self._new_index())
        self.refresh()

    def _new_index(self) -> PackIndex:
        return PackIndex(None) if self.locks is None else self._make_index(self.index.path)

    def _use(self, index: PackIndex) -> None:
        # The old one is closed when the last thread that still asks it is done.
        self.index = index


def _start(item: Found | Gap) -> int:
    return item.at if isinstance(item, Found) else item.start


def _last_sync(file: int, start: int, size: int) -> int:
    """Where a pack was last known to be on the disk: what lies behind has to be read to be sure."""
    last = start
    for item in iter_records(file, start, size, check_from=size):
        if isinstance(item, Found) and item.record.kind == SYNC:
            last = item.at
    return last
