"""Writing to a packed store: each writer appends to a pack of its own, so that none waits.

A batch goes to the end of one pack; it is synced once, and then the index tells of it. Until then
nobody is shown it; whatever fails, the pack is cut back to where the batch, or the record, began.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from zlib import crc32

from ..core import faults
from ..core.errors import HoldError
from ..core.system_errors import as_fault
from ..wire.packed import (
    CONTENT,
    END_SIZE,
    FIXED_SIZE,
    KEY_MAX,
    PACK_START,
    REMOVAL,
    SYNC,
    Record,
    write_end,
    write_header,
    write_small,
)
from .packed_files import CHUNK
from .packed_ground import Ground, KnownPart
from .packed_index import RemovalRow, Row, digest_of, signed
from .packed_locks import pack_byte
from .packed_marker import sync_folder

_TRIED_MAX = 16
_IDLE_MAX = 8
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync

OnBytes = Callable[[int], None]


class PackWriter:
    """The end of one pack, locked for us. One thread uses it at a time."""

    def __init__(self, ground: Ground, pack: int, end: int) -> None:
        """The pack's lock is held by the caller, and `close` lets go of it."""
        self.pack = pack
        self.end = end
        """Where the next record will begin."""
        self._ground = ground
        self._file = os.open(ground.folder.pack(pack), os.O_RDWR | os.O_CLOEXEC)
        self._durable = end
        self._buffer = bytearray()
        self._rows: list[Row] = []
        self._removals: list[RemovalRow] = []

    @property
    def size(self) -> int:
        """How many bytes wait to be committed."""
        return self.end - self._durable

    def put(self, key: bytes, size: int, chunks: Iterable[bytes], progress: OnBytes) -> None:
        """Append content whose whole was found right when its last chunk came.

        Raises:
            HoldError: What the chunks raise, or what the system says; the record is cut off again.
        """
        record = Record(CONTENT, new_id(), size, key)
        self.append(record, chunks, progress=progress)

    def append(
        self, record: Record, chunks: Iterable[bytes], *,
        progress: OnBytes = lambda _: None, checksum: int | None = None,
    ) -> None:  # fmt: skip
        """Append a record of content as it is; when its checksum is told, it has to be right."""
        if len(record.key) > KEY_MAX:
            name = record.key[:40].decode("utf-8", "replace") + "…"
            raise faults.NAME_TOO_LONG(path=name, detail=f"{KEY_MAX} bytes are the most")
        self._begin()
        start, told = self.end, 0
        try:
            found = 0
            self._write(write_header(record))
            for chunk in chunks:
                found = crc32(chunk, found)
                self._write(chunk)
                told += len(chunk)
                progress(len(chunk))
            if told != record.size:
                text = record.key.decode("utf-8", "surrogateescape")
                detail = f"{told} bytes came of it instead of {record.size}"
                raise faults.DAMAGED_HERE(key=text, detail=detail)
            if checksum not in (None, found):
                raise faults.DAMAGED_HERE(
                    key=record.key.decode("utf-8", "surrogateescape"),
                    detail="its checksum is not right",
                )
            self._write(write_end(found))
        except BaseException as error:
            self._cut(start)
            if isinstance(error, HoldError | OSError):
                progress(-told)
            if isinstance(error, OSError):
                raise self._as_fault(error) from error
            raise
        self._rows.append(
            Row(digest_of(record.key), signed(record.id), self.pack, start, record.length)
        )

    def remove(self, key: bytes, number: int) -> None:
        """Append that a record of a key is removed."""
        self._begin()
        at = self.end
        with self._faults():
            self._write(write_small(Record(REMOVAL, number, 0, key), b""))
        self._removals.append(RemovalRow(digest_of(key), signed(number), self.pack, at))

    def commit(self) -> None:
        """Make all that waits durable, and let it be seen.

        Raises:
            PlaceFullError: There is no room; none of what waited is there.
        """
        if not self._rows and not self._removals:
            return
        with self._faults():
            self._flush()
            _sync_data(self._file)
        part = KnownPart(self.pack, self.end, self._rows, self._removals)
        self._rows, self._removals = [], []
        # If this fails, the records are there all the same: the next one to open the pack takes
        # them in. They are not cut off, since nobody knows what the index has of them.
        self._ground.commit(part)
        self._durable = self.end

    def rollback(self) -> None:
        """Throw away what waits."""
        self._rows, self._removals = [], []
        self._cut(self._durable)

    def close(self) -> None:
        """Throw away what waits, and let others append to the pack."""
        if self._file < 0:
            return
        try:
            if self._rows or self._removals:
                self.rollback()
        finally:
            file, self._file = self._file, -1
            os.close(file)
            if self._ground.locks is not None:
                self._ground.locks.release(pack_byte(self.pack))

    def _begin(self) -> None:
        """Note, before the first record of a batch, that all before it was synced."""
        if self.end == self._durable and self.end > len(PACK_START):
            with self._faults():
                self._write(write_small(Record(SYNC, 0, 0, b""), b""))

    def _write(self, data: bytes) -> None:
        self._buffer += data
        self.end += len(data)
        if len(self._buffer) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        at = self.end - len(self._buffer)
        with memoryview(self._buffer) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(self._file, view[done:], at + done)
        self._buffer.clear()

    def _cut(self, end: int) -> None:
        """Go back to an earlier end."""
        written = self.end - len(self._buffer)
        del self._buffer[max(0, end - written) :]
        self.end = end
        # What cannot be cut off now is no record, or one that nobody was told of.
        with suppress(OSError):
            if os.fstat(self._file).st_size > end:
                os.ftruncate(self._file, end)

    def _faults(self) -> _Faults:
        return _Faults(self)

    def _as_fault(self, error: OSError) -> HoldError:
        path = os.fsdecode(self._ground.folder.pack(self.pack))
        if error.errno in _FULL:
            return faults.PACKED_FULL(path=path, detail=(error.strerror or str(error)).lower())
        return as_fault(error, path)


class _Faults:
    """A block that writes: when it fails, all that waits is thrown away."""

    def __init__(self, writer: PackWriter) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        self._writer.rollback()
        if isinstance(error, OSError):
            raise self._writer._as_fault(error) from error


class Writers:
    """The writers of one store: lent to a thread at a time, kept for the next one."""

    def __init__(self, ground: Ground, pack_size: int) -> None:
        self._ground = ground
        self._pack_size = pack_size
        self._idle: list[PackWriter] = []
        self._lock = threading.Lock()

    def has_room(self, writer: PackWriter, length: int) -> bool:
        """Whether a record of that length may go to the pack; to an empty one any may."""
        return writer.end + length <= self._pack_size or writer.end <= len(PACK_START)

    def borrow(self, key: bytes = b"", size: int = 0) -> PackWriter:
        """A writer with room for a content, nobody else's until it is given back.

        Raises:
            AccessError: We may not write there.
            PlaceFullError: There is no room for a new pack.
        """
        length = record_length(key, size)
        with self._lock:
            for number, writer in enumerate(self._idle):
                if self.has_room(writer, length):
                    return self._idle.pop(number)
        try:
            return self._open_known(length) or self.open_new()
        except OSError as error:
            path = os.fsdecode(self._ground.folder.packs)
            if error.errno in _FULL:
                raise faults.PACKED_FULL(path=path, detail=str(error.strerror).lower()) from error
            raise as_fault(error, path) from error

    def give_back(self, writer: PackWriter) -> None:
        """Keep a writer for the next one."""
        with self._lock:
            if len(self._idle) < _IDLE_MAX and self.has_room(writer, 1 << 20):
                self._idle.append(writer)
                return
        writer.close()

    def close(self) -> None:
        """Let go of all packs."""
        with self._lock:
            idle, self._idle = self._idle, []
        for writer in idle:
            writer.close()

    def _open_known(self, length: int) -> PackWriter | None:
        """The fullest pack with room that nobody else writes to."""
        size_max = max(self._pack_size - length, len(PACK_START))
        for pack in self._ground.ask_index(lambda index: index.with_room(size_max, _TRIED_MAX)):
            writer = self._try_open(pack)
            if writer is None:
                continue
            if self.has_room(writer, length):
                return writer
            writer.close()
        return None

    def _try_open(self, pack: int) -> PackWriter | None:
        locks = self._ground.writing_locks
        if not locks.try_alone(pack_byte(pack)):
            return None
        try:
            end = self._ground.change_index(lambda _: self._ground.settle(pack))
            ends = self._ground.ask_index(lambda index: index.ends())
            if not ends.get(pack, (0, True))[1]:
                return PackWriter(self._ground, pack, end)
        except FileNotFoundError:
            pass
        except BaseException:
            locks.release(pack_byte(pack))
            raise
        locks.release(pack_byte(pack))
        return None

    def open_new(self) -> PackWriter:
        """A new pack, whose name is on the disk and in the index before anything is in it."""
        ground, locks = self._ground, self._ground.writing_locks
        # Names come never again: who has read a pack by its name shall not meet another one. The
        # clock sees to that when the index, which knows the last number, was lost.
        least = max([int(time.time()), *(number + 1 for number in ground.folder.numbers())])
        while True:
            pack = ground.change_index(lambda index: index.next_number(least))
            if not locks.try_alone(pack_byte(pack)):
                continue
            try:
                if _create(ground.folder.pack(pack)):
                    sync_folder(ground.folder.packs)
                    ground.commit(KnownPart(pack, len(PACK_START)))
                    return PackWriter(ground, pack, len(PACK_START))
            except BaseException:
                locks.release(pack_byte(pack))
                raise
            locks.release(pack_byte(pack))


def record_length(key: bytes, size: int) -> int:
    """How long a record of content will be."""
    return FIXED_SIZE + len(key) + size + END_SIZE


def _create(path: bytes) -> bool:
    """Make an empty pack; False when there is one already."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        os.pwrite(file, PACK_START, 0)
        os.fsync(file)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(file)
    return True


def new_id() -> int:
    return int.from_bytes(os.urandom(8), "big")
