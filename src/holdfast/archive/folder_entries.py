"""A plain folder as entries of a snapshot, and where their bytes come from."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from ..core import faults
from ..core.system_errors import as_fault
from ..wire.archive_rows import RowKind
from ..wire.folder_names import ESCAPED, NAME_MAX, link_name
from ..wire.unixfs import FOLDERS_DEEP_MAX
from .contents import FILES, SourceFault
from .entries import OF_STATE, RUN_MAX, RUN_MIN, Entry, FileRun
from .plan_records import FileRecord, RunRecord

_SHORT = (NAME_MAX - len(ESCAPED)) // 3
"""No name of so few bytes is too long, however it is written."""


def iter_folder(
    folder: bytes, leave_out: bytes = b"", passed: Callable[[bytes], None] = lambda _: None
) -> Iterator[Entry | FileRun]:
    """Everything in a folder, in tree order; ``leave_out`` is a folder in it that is passed over.

    Sockets, pipes and devices have no content that could be kept; they are left out, and their
    paths in the folder given to ``passed``.

    Raises:
        AccessError: Something in it cannot be read.
        UsageError: A name cannot be in an archive.
    """
    yield from _iter_below(folder, FILES[:-1], leave_out, passed)


def _iter_below(
    folder: bytes, path: bytes, leave_out: bytes, passed: Callable[[bytes], None]
) -> Iterator[Entry | FileRun]:
    try:
        with os.scandir(folder) as found:
            items = sorted(found, key=attrgetter("name"))
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder), reading=True) from error
    yield Entry(path, None, 0, 0)
    files: list[tuple[bytes, int, int]] = []
    for item in items:
        name, is_folder = item.name, item.is_dir(follow_symlinks=False)
        if not is_folder:
            seen = item.stat(follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode):
                files.append((name, seen.st_mode, seen.st_size))
                continue
        yield from _iter_files(path + b"/", files)
        files.clear()
        name = path + b"/" + name
        check_name(name)
        if is_folder:
            if item.path != leave_out:
                yield from _iter_below(item.path, name, leave_out, passed)
        elif stat.S_ISLNK(seen.st_mode):
            yield Entry(name, RowKind.SYMLINK, seen.st_mode, len(os.readlink(item.path)))
        else:
            passed(name[len(FILES) :])
    yield from _iter_files(path + b"/", files)


def _iter_files(
    folder: bytes, files: Sequence[tuple[bytes, int, int]]
) -> Iterator[Entry | FileRun]:
    """Files of a folder that follow each other: their names, modes and sizes."""
    check_names(folder, [name for name, _, _ in files])
    for start in range(0, len(files), RUN_MAX):
        some = files[start : start + RUN_MAX]
        if len(some) < RUN_MIN:
            yield from (
                Entry(folder + name, RowKind.PLAIN, mode, size) for name, mode, size in some
            )
            continue
        names, modes, sizes = zip(*some, strict=True)
        kinds, keys = [int(RowKind.PLAIN)] * len(some), [None] * len(some)
        nothing, unknown = [""] * len(some), [b""] * len(some)
        yield FileRun(folder, names, kinds, modes, sizes, keys, nothing, unknown)


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
