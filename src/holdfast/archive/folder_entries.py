"""A plain folder as entries of a snapshot, and where their bytes come from."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from ..core import faults
from ..core.system_errors import as_fault
from ..kernel.many import look_at
from ..wire.archive_rows import RowKind
from ..wire.folder_names import ESCAPED, NAME_MAX, link_name
from ..wire.piece import PLAIN, Kernel, Numbers
from ..wire.unixfs import FOLDERS_DEEP_MAX
from .contents import FILES, SourceFault
from .entries import OF_STATE, RUN_MAX, RUN_MIN, Entry, FileRun
from .plan_records import FileRecord, RunRecord

_SHORT = (NAME_MAX - len(ESCAPED)) // 3
"""No name of so few bytes is too long, however it is written."""


def iter_folder(
    folder: bytes,
    leave_out: bytes = b"",
    passed: Callable[[bytes], None] = lambda _: None,
    kernel: Kernel = PLAIN,
) -> Iterator[Entry | FileRun]:
    """Everything in a folder, in tree order; ``leave_out`` is a folder in it that is passed over.

    Sockets, pipes and devices have no content that could be kept; they are left out, and their
    paths in the folder given to ``passed``.

    Raises:
        AccessError: Something in it cannot be read.
        UsageError: A name cannot be in an archive.
    """
    yield from _Walk(leave_out, passed, kernel).iter_below(folder, FILES[:-1])


class _Walk:
    """A folder that is gone through."""

    def __init__(self, leave_out: bytes, passed: Callable[[bytes], None], kernel: Kernel) -> None:
        self._leave_out = leave_out
        self._passed = passed
        self._kernel = kernel

    def iter_below(self, folder: bytes, path: bytes) -> Iterator[Entry | FileRun]:
        """A folder, and all that is in it."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            if error.errno == errno.ENOENT and path != FILES[:-1]:
                return  # gone since the folder above was listed
            raise as_fault(error, os.fsdecode(folder), reading=True) from error
        modes, sizes = look_at(self._kernel, folder, names)
        yield Entry(path, None, 0, 0)
        path += b"/"
        start = 0
        for at, mode in enumerate(modes):
            if stat.S_ISREG(mode):
                continue
            yield from _iter_files(path, names[start:at], modes[start:at], sizes[start:at])
            start = at + 1
            yield from self._iter_other(
                os.path.join(folder, names[at]), path + names[at], mode, sizes[at]
            )
        yield from _iter_files(path, names[start:], modes[start:], sizes[start:])

    def _iter_other(
        self, here: bytes, path: bytes, mode: int, size: int
    ) -> Iterator[Entry | FileRun]:
        """What is no file."""
        if not mode:
            if size == errno.ENOENT:
                return  # gone since the folder was listed
            error = OSError(size, os.strerror(size), here)
            raise as_fault(error, os.fsdecode(here), reading=True)
        check_name(path)
        if stat.S_ISDIR(mode):
            if here != self._leave_out:
                yield from self.iter_below(here, path)
        elif stat.S_ISLNK(mode):
            try:
                size = len(os.readlink(here))
            except FileNotFoundError:
                return
            except OSError as error:
                raise as_fault(error, os.fsdecode(here), reading=True) from error
            yield Entry(path, RowKind.SYMLINK, mode, size)
        else:
            self._passed(path[len(FILES) :])


def _iter_files(
    folder: bytes, names: Sequence[bytes], modes: Numbers, sizes: Numbers
) -> Iterator[Entry | FileRun]:
    """Files of a folder that follow each other: their names, modes and sizes."""
    check_names(folder, names)
    for start in range(0, len(names), RUN_MAX):
        some = slice(start, start + RUN_MAX)
        columns = names[some], modes[some].tolist(), sizes[some].tolist()
        count = len(columns[0])
        if count < RUN_MIN:
            yield from (
                Entry(folder + name, RowKind.PLAIN, mode, size)
                for name, mode, size in zip(*columns, strict=True)
            )
            continue
        kinds, keys = [int(RowKind.PLAIN)] * count, [None] * count
        nothing, unknown = [""] * count, [b""] * count
        yield FileRun(folder, columns[0], kinds, *columns[1:], keys, nothing, unknown)


def check_names(folder: bytes, names: Sequence[bytes]) -> None:
    """`check_name` of these in a folder, the path of which ends with a slash."""
    if len(folder) + max(map(len, names), default=0) > _SHORT:
        for name in names:
            check_name(folder + name)


def check_name(path: bytes) -> None:
    """Pass when a path can be in an archive.

    Raises:
        UsageError: It cannot.
    """
    if len(path) <= _SHORT:
        return
    if path.count(b"/") >= FOLDERS_DEEP_MAX:
        detail = f"it is more than {FOLDERS_DEEP_MAX} folders deep, and would not be restored"
        raise faults.ARCHIVE_NAME(path=path.decode("utf-8", "backslashreplace"), detail=detail)
    if any(len(link_name(name)) > NAME_MAX for name in path.split(b"/")):
        name, detail = path.decode("utf-8", "backslashreplace"), "a name in it is too long"
        raise faults.ARCHIVE_NAME(path=name, detail=detail)


class FolderSources:
    """The bytes of a plain folder's files, and of those in the folder of the snapshot."""

    def __init__(self, folder: bytes, state_folder: bytes) -> None:
        self._folder = folder
        self._state_folder = state_folder

    def path_of(self, record: FileRecord) -> bytes:
        """The file that has the bytes."""
        if record.source.startswith(OF_STATE):
            return os.path.join(self._state_folder, os.fsencode(record.source[1:]))
        return os.path.join(self._folder, record.path[len(FILES) :])

    def usual_path_of(self, record: FileRecord) -> bytes:
        """The same: it is not looked for."""
        return self.path_of(record)

    def usual_paths(self, run: RunRecord) -> list[bytes]:
        """The same of a run."""
        folder = os.path.join(self._folder, run.folder[len(FILES) :])
        return [
            b"" if kind == RowKind.GIT else folder + name
            for name, kind in zip(run.names, run.kinds, strict=True)
        ]

    def open_blob(self, record: FileRecord) -> int:
        """Nothing is git's."""
        raise SourceFault(record, "a plain folder has nothing in git", None)

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        """What links say."""
        for record in records:
            try:
                yield os.readlink(os.path.join(self._folder, record.path[len(FILES) :]))
            except OSError:
                yield None
