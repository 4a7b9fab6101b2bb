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
from .exchange import is_same, still_there, take_place
from .index_file import IndexChange
from .ingest import copy_file
from .objects import Objects
from .packs import BLOB, ObjectWriter
from .populate import WorkFiles, fill_in
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
        seen = _seen_link(path, file.key) or self._work.seen_pointer(file)
        if seen is None:
            return self._unlocked_before(file)
        temporary = self._folder + b"/file"
        content = fill_in(temporary, file.key, self._objects)
        executable = content is not None and bool(content.st_mode & stat.S_IXUSR)
        os.chmod(temporary, 0o755 if executable else 0o644)
        ours = os.lstat(temporary)
        if not take_place(temporary, path, seen):
            os.unlink(temporary)
            return Status.IMPOSSIBLE
        self._stage_pointer(file, still_there(path, ours), executable=executable)
        return Status.OK

    def _unlocked_before(self, file: TrackedFile) -> Status:
        seen = self._work.seen_content(file)
        if seen is None:
            return Status.IMPOSSIBLE
        self._stage_pointer(file, seen, executable=bool(seen.st_mode & stat.S_IXUSR))
        return Status.NOT_NEEDED

    def lock(self, file: TrackedFile) -> Status:
        """Put a link in the place of content or pointer.

        Not needed where a run that was killed did so already; impossible where it was changed.
        """
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        target = link_target(file.key, file.path.count(b"/"))
        if _read_link(path) == target:
            self._stage(file.path, SYMLINK_MODE, target, _look(path))
            return Status.NOT_NEEDED
        seen = self._work.seen_pointer(file) or self._keep(file, path)
        if seen is None:
            return Status.IMPOSSIBLE
        temporary = self._folder + b"/link"
        os.symlink(target, temporary)
        if not take_place(temporary, path, seen):
            os.unlink(temporary)
            return Status.IMPOSSIBLE
        self._stage(file.path, SYMLINK_MODE, target, _look(path))
        return Status.OK

    def _keep(self, file: TrackedFile, path: bytes) -> os.stat_result | None:
        """Make sure the annex has the content of an unlocked file; None when it was changed."""
        assert file.key is not None
        seen = self._work.seen_content(file)
        if seen is not None and not self._objects.has(file.key):
            temporary = self._folder + b"/copy"
            copy_file(path, temporary)
            if not is_same(path, seen) or seen.st_nlink > 1:
                os.unlink(temporary)
                return None
            self._objects.commit(file.key, temporary)
        return seen

    def _stage_pointer(
        self, file: TrackedFile, seen: os.stat_result | None, *, executable: bool
    ) -> None:
        assert file.key is not None
        mode = EXECUTABLE_MODE if executable else FILE_MODE
        self._stage(file.path, mode, pointer(file.key), seen)

    def _stage(self, path: bytes, mode: bytes, content: bytes, seen: os.stat_result | None) -> None:
        """``seen`` is the file that has this content; None where git has to look for itself."""
        oid = self._writer.add(BLOB, content)
        facts = (0,) * 9 if seen is None else stat_facts(seen)
        entry = encode_entry(path, int(mode, 8), oid, facts)
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


def _seen_link(path: bytes, key: Key) -> os.stat_result | None:
    """A link to content of a key; None when something else is there."""
    seen, target = _look(path), _read_link(path)
    return seen if target is not None and key_of_link(target) == key else None


def _look(path: bytes) -> os.stat_result | None:
    """A link, as it lies there; git tells it from any file."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def _read_link(path: bytes) -> bytes | None:
    """What a link says; None when there is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None
