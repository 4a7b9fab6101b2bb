"""A plain folder as entries of a snapshot, and where their bytes come from."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from operator import attrgetter

from ..core import faults
from ..core.system_errors import as_fault
from ..wire.archive_rows import RowKind
from ..wire.folder_names import ESCAPED, NAME_MAX, link_name
from ..wire.unixfs import FOLDERS_DEEP_MAX
from .contents import FILES
from .entries import OF_STATE, Entry
from .plan_records import FileRecord, RunRecord

_SHORT = (NAME_MAX - len(ESCAPED)) // 3
"""No name of so few bytes is too long, however it is written."""


def iter_folder(
    folder: bytes, leave_out: bytes = b"", passed: Callable[[bytes], None] = lambda _: None
) -> Iterator[Entry]:
    """Everything in a folder, in tree order; ``leave_out`` is a folder in it that is passed over.

    Sockets, pipes and devices have no content that could be kept; they are left out, and their
    paths in the folder given to ``passed``.

    Raises:
        AccessError: Something in it cannot be read.
    """
    yield from _iter_below(folder, FILES[:-1], leave_out, passed)


def _iter_below(
    folder: bytes, path: bytes, leave_out: bytes, passed: Callable[[bytes], None]
) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            items = sorted(found, key=attrgetter("name"))
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder), reading=True) from error
    yield Entry(path, None, 0, 0)
    for item in items:
        name = path + b"/" + item.name
        if item.is_dir(follow_symlinks=False):
            if item.path != leave_out:
                yield from _iter_below(item.path, name, leave_out, passed)
            continue
        seen = item.stat(follow_symlinks=False)
        mode = seen.st_mode
        if stat.S_ISREG(mode):
            yield Entry(name, RowKind.PLAIN, mode, seen.st_size)
        elif stat.S_ISLNK(mode):
            yield Entry(name, RowKind.SYMLINK, mode, len(os.readlink(item.path)))
        else:
            passed(name[len(FILES) :])


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

    def iter_blobs(self, records: Iterator[FileRecord]) -> Iterator[bytes | None]:
        """What links say."""
        for record in records:
            try:
                yield os.readlink(os.path.join(self._folder, record.path[len(FILES) :]))
            except OSError:
                yield None
