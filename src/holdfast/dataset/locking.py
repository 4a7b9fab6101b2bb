"""Changing annexed files between their two forms: protected link, and content in its place."""

from __future__ import annotations

import os
import stat
from types import TracebackType

from ..core.key import Key
from ..core.outcome import Status
from ..wire.gitindex import encode_entry, stat_facts
from ..wire.gitobjects import EXECUTABLE_MODE, FILE_MODE, SYMLINK_MODE
from ..wire.pointer import key_of_link, link_target, pointer
from .annexed import TrackedFile
from .index_file import IndexChange
from .ingest import copy_file
from .objects import Objects
from .packs import BLOB, ObjectWriter
from .populate import WorkFiles
from .repository import Repository
from .scratch import Scratch


class Locker:
    """Locks and unlocks files of one work tree; the index is told at the end."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        self._writer = ObjectWriter(repository.common_dir, repository.object_format)
        self._work = WorkFiles(repository, objects)
        self._changes: list[IndexChange] = []
        self._scratch = Scratch(repository.annex_dir + b"/othertmp", b"lock")
        self._folder = self._scratch.path

    def unlock(self, file: TrackedFile) -> Status:
        """Put content, or its pointer, in the place of a link.

        Not needed where a run that was killed did so already; impossible where something else is.
        """
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        if not _links_to(path, file.key) and not self._work.holds_pointer(file):
            return self._unlocked_before(file, path)
        temporary = self._folder + b"/file"
        source = self._objects.content_path(file.key)
        executable = False
        if source is not None:
            copy_file(source, temporary)
            executable = bool(os.stat(source).st_mode & stat.S_IXUSR)
        else:
            with open(temporary, "wb") as out:
                out.write(pointer(file.key))
        os.chmod(temporary, 0o755 if executable else 0o644)
        os.rename(temporary, path)
        self._stage_pointer(file, executable=executable)
        return Status.OK

    def _unlocked_before(self, file: TrackedFile, path: bytes) -> Status:
        if not self._work.is_unchanged(file):
            return Status.IMPOSSIBLE
        self._stage_pointer(file, executable=bool(os.stat(path).st_mode & stat.S_IXUSR))
        return Status.NOT_NEEDED

    def lock(self, file: TrackedFile) -> Status:
        """Put a link in the place of content or pointer.

        Not needed where a run that was killed did so already; impossible where it was changed.
        """
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        target = link_target(file.key, file.path.count(b"/"))
        if _read_link(path) == target:
            self._stage(file.path, SYMLINK_MODE, target)
            return Status.NOT_NEEDED
        if not self._work.holds_pointer(file) and not self._keep(file, path):
            return Status.IMPOSSIBLE
        temporary = self._folder + b"/link"
        os.symlink(target, temporary)
        os.rename(temporary, path)
        self._stage(file.path, SYMLINK_MODE, target)
        return Status.OK

    def _keep(self, file: TrackedFile, path: bytes) -> bool:
        """Make sure the annex has the content of an unlocked file; False when it was changed."""
        assert file.key is not None
        if not self._work.is_unchanged(file):
            return False
        if not self._objects.has(file.key):
            temporary = self._folder + b"/copy"
            copy_file(path, temporary)
            if os.lstat(path).st_nlink > 1:
                os.unlink(temporary)
                return False
            self._objects.commit(file.key, temporary)
        return True

    def _stage_pointer(self, file: TrackedFile, *, executable: bool) -> None:
        assert file.key is not None
        self._stage(file.path, EXECUTABLE_MODE if executable else FILE_MODE, pointer(file.key))

    def _stage(self, path: bytes, mode: bytes, content: bytes) -> None:
        oid = self._writer.add(BLOB, content)
        status = os.lstat(os.path.join(self._repository.top, path))
        entry = encode_entry(path, int(mode, 8), oid, stat_facts(status))
        self._changes.append((path, entry))

    def finish(self) -> list[IndexChange]:
        """Bring new objects to the disk; gives what the index is to be told."""
        self._writer.finish()
        return self._changes

    def __enter__(self) -> Locker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._work.finish()
        self._scratch.close()


def _links_to(path: bytes, key: Key) -> bool:
    target = _read_link(path)
    return target is not None and key_of_link(target) == key


def _read_link(path: bytes) -> bytes | None:
    """What a link says; None when there is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None
