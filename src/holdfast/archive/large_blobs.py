"""Large files that git has: read once, checked, and kept in a file without a name meanwhile.

git gives an object from its start on and as a whole, and what packs or serves leaves of it wants
any part, as often as it likes. In memory such a file would be as large as it is.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from ..wire.archive_rows import RowKind
from .contents import SourceFault
from .plan_records import FileRecord

if TYPE_CHECKING:
    from ..dataset.repository import Repository

LARGE_BLOB = 8 << 20
"""Files in git that are not larger than that are held in memory."""

_CHUNK = 1 << 20


def is_large_blob(record: FileRecord) -> bool:
    """Whether it is a file that git has, and too large to be held in memory."""
    return record.kind is RowKind.GIT and record.size > LARGE_BLOB


def open_large_blob(repository: Repository, record: FileRecord, folder: bytes) -> int:
    """A file with the bytes, open and without a name, in ``folder`` or where temporary files are.

    Raises:
        SourceFault: git does not have it any more, or what it has is damaged.
        OSError: There is no room for it.
    """
    from ..dataset.git import BOUNDED

    with _nameless(folder) as file:
        process = repository.git.start(*BOUNDED, "cat-file", "blob", record.source)
        assert process.stdout is not None and process.stderr is not None
        hasher, size = repository.object_format.hasher(b"blob %d\0" % record.size), 0
        try:
            while chunk := process.stdout.read(_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
                file.write(chunk)
        finally:
            process.stdout.close()
            process.stderr.close()
            if process.wait():
                size = -1
        if size != record.size or hasher.digest().hex() != record.source:
            raise SourceFault(record, "git does not have it as it was planned", None)
        file.flush()
        return os.dup(file.fileno())


def _nameless(folder: bytes) -> IO[bytes]:
    import tempfile  # late: it loads much, and there are few such files

    try:
        return tempfile.TemporaryFile(dir=os.fsdecode(folder))
    except PermissionError:  # one only serves what another one packed
        return tempfile.TemporaryFile()
