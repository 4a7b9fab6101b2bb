"""A plain folder, as what a snapshot is made of."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from ..core import faults
from ..core.paths import is_within
from ..core.place import new_uuid
from ..core.system_errors import as_fault
from ..kernel.choose import at_hand
from ..wire.archive_rows import RowKind
from .archive_folder import ArchiveFolder
from .contents import SourceFault
from .entries import Entry, FileRun
from .folder_entries import FolderSources, iter_folder
from .in_the_clear import InTheClear, now
from .own_files import with_own
from .passed_over import PassedOver, without_content
from .plan_file import Plan
from .plan_records import PlanHead

_OTHER_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening a file says where it is gone, or something else is there."""


class FolderSource(InTheClear):
    """A plain folder."""

    def __init__(self, folder: bytes, leave_out: bytes) -> None:
        """``leave_out`` is a folder in it that is not packed."""
        self._passed_over = without_content()
        self._folder = folder
        self._leave_out = leave_out

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder to write to that is packed itself.

        Raises:
            UsageError: It is in the folder.
        """
        if is_within(path, self._folder):
            raise faults.ARCHIVE_WITHIN(path=os.fsdecode(path))

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """There is nothing to choose."""

    def is_outdated(self, plan: Plan) -> bool:
        """Nobody tells when a file of a folder changes."""
        return True

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; an archive keeps the name it got first."""
        name = archive.name
        if not name:
            name = new_uuid()
            archive.keep_name(name)
        return PlanHead(name, archive.next_number, now(), piece_size=piece_size, prev=archive.prev)

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """All of its files, and README.txt."""
        return with_own(self._found(), archive, head)

    def _found(self) -> Iterator[Entry | FileRun]:
        self._passed_over = without_content()
        return iter_folder(self._folder, self._leave_out, self._passed_over.add, at_hand())

    @property
    def passed_over(self) -> PassedOver:
        """What was left out when it was gone through last."""
        return self._passed_over

    def sources(self, state_folder: bytes) -> FolderSources:
        """Where their bytes come from."""
        return FolderSources(self._folder, state_folder)

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """The file as it is now; nothing for one that is gone.

        Raises:
            HoldError: It is there, and cannot be read.
        """
        record = fault.record
        path = self.sources(state_folder).path_of(record)
        try:
            seen = os.lstat(path)
            is_link = stat.S_ISLNK(seen.st_mode)
            if is_link != (record.kind is RowKind.SYMLINK):
                return None
            if not is_link and not stat.S_ISREG(seen.st_mode):
                return None
            size = len(os.readlink(path)) if is_link else seen.st_size
        except OSError as error:
            if error.errno in _OTHER_FILE:
                return None
            raise as_fault(error, os.fsdecode(path), reading=True) from error
        cause = fault.__cause__
        if isinstance(cause, OSError) and cause.errno not in _OTHER_FILE:
            raise as_fault(cause, os.fsdecode(path), reading=True)
        return Entry(record.path, record.kind, seen.st_mode, size, None, record.source)
