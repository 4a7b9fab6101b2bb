"""The bytes of leaves, read from their sources again: right, or none.

A leaf is hashed before it is given. One that was right once is given again without, as long as its
file is by its times the same one, and nobody may write to it, as to content of an annex. Who has
mapped a file to write to it can change it without a change of its times.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

from ..wire.archive_rows import RowKind
from ..wire.unixfs import PROFILE, symlink_block
from .contents import SourceFault, Sources, is_blob, is_sealed
from .large_blobs import is_large_blob
from .plan_records import FileRecord
from .sealed_contents import SealedLeaves, SealedSources

SETTLED_S = 10.0
"""Times of files are told finer by every system, and clocks of file servers go less wrong."""

_FILES_MAX = 1 << 16
_BLOBS_MAX = 256
_BLOBS_SIZE = 4 << 20
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

Signature = tuple[int, int, int, int, int]


class Verified:
    """Which leaves of which files were right, for many threads; so many files at most."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[bytes, int], tuple[Signature, bytearray]] = OrderedDict()
        self._guard = threading.Lock()

    def has(self, file: tuple[bytes, int], signature: Signature, leaf: int) -> bool:
        """Whether this leaf was right in the same file."""
        with self._guard:
            known = self._files.get(file)
            if known is None or known[0] != signature:
                return False
            self._files.move_to_end(file)
            return len(known[1]) > leaf >> 3 and bool(known[1][leaf >> 3] >> (leaf & 7) & 1)

    def add(self, file: tuple[bytes, int], signature: Signature, leaf: int) -> None:
        """This leaf was right."""
        with self._guard:
            known = self._files.get(file)
            if known is None or known[0] != signature:
                known = self._files[file] = signature, bytearray()
                if len(self._files) > _FILES_MAX:
                    self._files.popitem(last=False)
            bits = known[1]
            if len(bits) <= leaf >> 3:
                bits.extend(bytes((leaf >> 3) + 1 - len(bits)))
            bits[leaf >> 3] |= 1 << (leaf & 7)


class SourceLeaves:
    """Reads leaves of one snapshot; for one thread. Close it."""

    def __init__(self, folder: bytes, sources: Sources, verified: Verified) -> None:
        self._folder = folder
        self._sources = sources
        self._verified = verified
        self._file = -1
        self._number = -1
        self._signature: Signature = (0, 0, 0, 0, 0)
        self._is_settled = False
        self._blobs: dict[int, bytes | None] = {}
        self._sealed: SealedLeaves | None = None

    def read(self, record: FileRecord, leaf: int, view: memoryview, digest: bytes) -> None:
        """Fill the view with a leaf that has that digest.

        Raises:
            SourceFault: The source is gone, or is not what was packed.
        """
        if is_blob(record) and not is_large_blob(record):
            self._read_blob(record, leaf, view, digest)
            return
        if is_sealed(record):
            self._read_sealed(record, leaf, view, digest)
            return
        if self._number != record.number:
            self._open(record)
        self._fill(record, view, leaf * PROFILE.chunk_size)
        name = self._folder, record.number
        if self._is_settled and self._verified.has(name, self._signature, leaf):
            # What was written to it before we read shows in its times now.
            if _signature(os.fstat(self._file)) == self._signature:
                return
            self.close()
        if sha256(view).digest() != digest:
            raise SourceFault(record, "its bytes are not those that were packed", None)
        if self._is_settled:
            self._verified.add(name, self._signature, leaf)

    def expect(self, records: Sequence[FileRecord]) -> None:
        """These will be read soon: what git has of them is read at once."""
        wanted, size = list[FileRecord](), 0
        for record in records:
            if not is_blob(record) or len(wanted) == _BLOBS_MAX or size > _BLOBS_SIZE:
                break
            if is_large_blob(record):
                break
            wanted.append(record)
            size += record.size
        found = self._sources.iter_blobs(iter(wanted))
        self._blobs = {record.number: data for record, data in zip(wanted, found, strict=True)}

    def has(self, record: FileRecord) -> bool:
        """Whether it was read already."""
        return record.number in self._blobs

    def close(self) -> None:
        """Nothing more is read of the file that is open."""
        if self._file >= 0:
            os.close(self._file)
        self._file = self._number = -1
        self._is_settled = False
        self._close_sealed()

    def _read_sealed(self, record: FileRecord, leaf: int, view: memoryview, digest: bytes) -> None:
        if self._sealed is None or self._sealed.record.number != record.number:
            self._close_sealed()
            assert isinstance(self._sources, SealedSources), "an encrypted plan has other sources"
            self._sealed = self._sources.open_leaves(record)
        self._sealed.fill(view, leaf * PROFILE.chunk_size, digest)

    def _close_sealed(self) -> None:
        if self._sealed is not None:
            self._sealed.close()
        self._sealed = None

    def _read_blob(self, record: FileRecord, leaf: int, view: memoryview, digest: bytes) -> None:
        if record.number not in self._blobs:
            self.expect([record])
        data = self._blobs[record.number]
        if data is None or len(data) != record.size:
            raise SourceFault(record, "it is not there any more as it was packed", None)
        if record.kind is RowKind.SYMLINK:
            data = symlink_block(data)
        start = leaf * PROFILE.chunk_size
        view[:] = data[start : start + len(view)]
        if sha256(view).digest() != digest:
            raise SourceFault(record, "its bytes are not those that were packed", None)

    def _open(self, record: FileRecord) -> None:
        self.close()
        in_git = is_large_blob(record)
        path = None if in_git else self._sources.path_of(record)
        if path is None and not in_git:
            raise SourceFault(record, "its content is not here any more", None)
        try:
            # Not to wait for who writes to a pipe, if it is one now.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file = self._sources.open_blob(record) if path is None else os.open(path, flags)
            seen = os.fstat(self._file)
        except OSError as error:
            raise SourceFault(record, str(error.strerror).lower(), None) from error
        if not stat.S_ISREG(seen.st_mode) or seen.st_size != record.size:
            self.close()
            raise SourceFault(record, f"it should be a file of {record.size} bytes", seen.st_size)
        self._number = record.number
        self._signature = _signature(seen)
        age = time.time() - max(seen.st_mtime, seen.st_ctime)
        self._is_settled = age > SETTLED_S and not seen.st_mode & _WRITE_BITS
        if record.size > PROFILE.chunk_size and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def _fill(self, record: FileRecord, view: memoryview, start: int) -> None:
        done = 0
        try:
            while done < len(view):
                got = os.preadv(self._file, [view[done:]], start + done)
                if not got:
                    raise SourceFault(record, "it is cut short", start + done)
                done += got
        except OSError as error:
            raise SourceFault(record, str(error.strerror).lower(), None) from error


def _signature(seen: os.stat_result) -> Signature:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
