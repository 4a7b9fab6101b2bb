"""What can be packed encrypted: a version of a data set, or a plain folder, hashed before.

An encrypted content has its name, and with it its file key, of a hash of its bytes
(`sealed_source`). A data set has these; the files of a folder are read for them when it is planned.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol

from ..core.key import Key
from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..kernel.many import read_files, signature
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.piece import Kernel
from .archive_folder import ArchiveFolder
from .contents import FILES, Sources
from .dataset_source import DatasetSource
from .entries import Entry, FileRun
from .folder_source import FolderSource
from .passed_over import PassedOver
from .plan_file import Plan
from .plan_records import FileRecord, PlanHead

_READ = 1 << 20
_FRESH_NS = 2_000_000_000
_FRESH = "fresh"


class Sealable(Protocol):
    """What an encrypted snapshot is made of, in the clear."""

    @property
    def has_history(self) -> bool:
        """Whether what git has is packed as history, and no files of it."""

    @property
    def passed_over(self) -> PassedOver:
        """As `Source.passed_over`."""

    def refuse_within(self, path: bytes) -> None:
        """As `Source.refuse_within`."""

    def is_outdated(self, plan: Plan) -> bool:
        """As `Source.is_outdated`."""

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """As `Source.head`."""

    def entries(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """Its files in tree order: with keys, of git, or missing; and folders that are empty."""

    def sources(self, state_folder: bytes) -> Sources:
        """Where their bytes come from."""

    def link_target(self, entry: Entry) -> bytes:
        """Where a symlink leads."""

    def content_path(self, key: Key) -> bytes | None:
        """The file with the content of a key that has no hash."""

    def is_as_planned(self, record: FileRecord) -> bool:
        """Whether a file with a key is seen, without reading it, to be what it was when planned."""

    def lost_row(self, state_folder: bytes, record: FileRecord, why: str) -> MissingRow:
        """What is told of a file that was not what was planned."""


class SealableDataset(DatasetSource):
    """A version of a data set."""

    @property
    def has_history(self) -> bool:
        """As it was made."""
        return self._has_history

    def link_target(self, entry: Entry) -> bytes:
        """What git has."""
        found = self._repository.git.objects.read(entry.source.encode())
        assert found is not None, "a tree of git names what is not there"
        return found[1]

    def content_path(self, key: Key) -> bytes | None:
        """The object of the annex."""
        return self._objects.content_path(key)

    def is_as_planned(self, record: FileRecord) -> bool:
        """Nobody writes to what an annex has."""
        return True

    def lost_row(self, state_folder: bytes, record: FileRecord, why: str) -> MissingRow:
        """What is known of its content; what git has in its place is not asked for."""
        row = self.sources(state_folder).instead_of(record, why).missing
        assert row is not None
        return row


class SealableFolder(FolderSource):
    """A plain folder. Each file has a SHA256 key, of what it was when it was planned."""

    has_history = False

    def __init__(self, folder: bytes, leave_out: bytes, progress: Progress, kernel: Kernel) -> None:
        """As a folder in the clear; ``progress`` is told of what is hashed."""
        super().__init__(folder, leave_out)
        self._progress = progress
        self._kernel = kernel
        self._files = self._bytes = 0

    def entries(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """Its files, which are read; of folders those that are empty.

        Raises:
            AccessError: Something in it cannot be read.
        """
        self._progress.start(None, None)
        self._progress.note("hashing")
        self._files = self._bytes = 0
        try:
            waiting: Entry | None = None
            for what in self._found():
                path = what.folder if isinstance(what, FileRun) else what.path
                if waiting is not None and not path.startswith(waiting.path + b"/"):
                    yield waiting
                waiting = None
                if isinstance(what, FileRun):
                    yield from self._hashed_run(what)
                elif what.kind is None:
                    waiting = what
                elif what.kind is RowKind.SYMLINK:
                    yield what
                elif (hashed := self._hashed(what)) is not None:
                    yield hashed
            if waiting is not None:
                yield waiting
        finally:
            self._progress.advance(-self._files, -self._bytes)  # all of it is read again
            self._progress.note("")
            self._progress.stop()

    def _hashed_run(self, run: FileRun) -> Iterator[Entry | FileRun]:
        """Files with the keys of their contents, small ones read and hashed many at a time."""
        start = size = 0
        for stop, more in enumerate((*run.sizes, _READ + 1)):
            if size + more > _READ and stop > start:
                yield from self._hashed_some(run.part(start, stop), size)
                start, size = stop, 0
            size += more

    def _hashed_some(self, run: FileRun, size: int) -> Iterator[Entry | FileRun]:
        folder = os.path.join(self._folder, run.folder[len(FILES) :])
        paths, sizes = [folder + name for name in run.names], array("Q", run.sizes)
        places = array("Q", accumulate(sizes[:-1], initial=0))
        buffer = memoryview(bytearray(max(1, min(size, _READ))))
        if size > _READ or any(read_files(self._kernel, paths, buffer, places, sizes)):
            # It is large, or one is not as it was seen to be.
            yield from filter(None, map(self._hashed, run.entries()))
            return
        _, digests = self._kernel.roots_beside_each(b"", buffer, places, sizes)
        text = digests.hex().encode()
        keys = [
            b"SHA256-s%d--%b" % (size, text[at : at + 64])
            for size, at in zip(run.sizes, range(0, len(text), 64), strict=True)
        ]
        count = len(keys)
        self._note_done(count, size)
        # What is that small is held against its key before it is encrypted, whatever it looks like.
        kinds, looks = [int(RowKind.ANNEXED)] * count, [_FRESH] * count
        yield run._replace(kinds=kinds, keys=keys, sources=looks)

    def _note_done(self, files: int, size: int) -> None:
        self._progress.advance(files, size)
        self._files, self._bytes = self._files + files, self._bytes + size

    def _hashed(self, entry: Entry) -> Entry | None:
        """A file with the key of its content; None when it is gone meanwhile, or is no file."""
        path = self._path_of(entry)
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(os.open(path, flags), "rb", buffering=0) as file:
                seen = os.fstat(file.fileno())
                if not stat.S_ISREG(seen.st_mode):
                    return None
                hasher, size = hashlib.sha256(), 0
                buffer = bytearray(min(_READ, seen.st_size + 1))
                view = memoryview(buffer)
                while count := file.readinto(buffer):
                    hasher.update(view[:count])
                    size += count
                    self._progress.advance(0, count)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise as_fault(error, os.fsdecode(path), reading=True) from error
        key = Key.make(b"SHA256", hasher.hexdigest().encode(), size=size)
        self._note_done(1, 0)
        self._bytes += size  # of that was told meanwhile
        # What was just written to may be so again, and look the same: clocks of files are coarse.
        is_fresh = max(seen.st_mtime_ns, seen.st_ctime_ns) > time.time_ns() - _FRESH_NS
        look = _FRESH if is_fresh else _look(seen)
        return Entry(entry.path, RowKind.ANNEXED, seen.st_mode, size, key, look)

    def link_target(self, entry: Entry) -> bytes:
        """What it says now."""
        path = self._path_of(entry)
        try:
            return os.readlink(path)
        except OSError as error:
            raise as_fault(error, os.fsdecode(path), reading=True) from error

    def content_path(self, key: Key) -> bytes | None:
        """There is no key without a hash."""
        return None

    def is_as_planned(self, record: FileRecord) -> bool:
        """Whether it looks as it did before it was hashed."""
        try:
            return _look(os.lstat(self._path_of(record))) == record.source
        except OSError:
            return False

    def lost_row(self, state_folder: bytes, record: FileRecord, why: str) -> MissingRow:
        """What was wrong with it: there is nothing else that is known of it."""
        assert record.key is not None
        return MissingRow(record.path, Key(record.key), record.size, (), why)

    def _path_of(self, file: Entry | FileRecord) -> bytes:
        return os.path.join(self._folder, file.path[len(FILES) :])


def _look(seen: os.stat_result) -> str:
    """What changes with the content of a file, as a record keeps it."""
    return ".".join(map(str, signature(seen)))
