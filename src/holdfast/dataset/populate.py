"""Unlocked files: content in the place of a pointer and back, with git's index agreeing."""

from __future__ import annotations

import os
import stat
from types import TracebackType

from ..wire.gitindex import encode_entry, stat_facts
from ..wire.pointer import POINTER_SIZE_MAX, key_of_pointer, pointer
from .annexed import TrackedFile
from .git import from_hex
from .index_file import IndexChange, update_entries
from .ingest import copy_file
from .objects import Objects
from .repository import Repository
from .scratch import Scratch


class WorkFiles:
    """Changes unlocked files of a work tree, and tells the index of all of them at the end."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        self._changes: dict[bytes, IndexChange] = {}
        self._folder = Scratch(repository.annex_dir + b"/othertmp", b"work")
        self._scratch = self._folder.path

    def populate(self, file: TrackedFile, *, refresh: bool = True) -> bool:
        """Put content where only its pointer is; False when there is something else.

        ``refresh`` False leaves the index as it is: what it has is another version.
        """
        source = self._objects.content_path(file.key) if file.key is not None else None
        if source is None or not self.holds_pointer(file):
            return False
        path = os.path.join(self._repository.top, file.path)
        temporary = self._scratch + b"/file"
        copy_file(source, temporary)
        os.chmod(temporary, 0o755 if file.mode == b"100755" else 0o644)
        os.rename(temporary, path)
        if refresh:
            self.refresh(file)
        return True

    def depopulate(self, file: TrackedFile) -> bool:
        """Put the pointer back where unchanged content is; False when it was changed."""
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        if not self.is_unchanged(file):
            return False
        temporary = self._scratch + b"/file"
        with open(temporary, "wb") as out:
            out.write(pointer(file.key))
        os.chmod(temporary, 0o755 if file.mode == b"100755" else 0o644)
        os.rename(temporary, path)
        self.refresh(file)
        return True

    def is_unchanged(self, file: TrackedFile) -> bool:
        """Whether an unlocked file holds the content its key names; hashes it when times differ."""
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.key.size:
            return False
        held = self._objects.content_path(file.key)
        if held is not None and os.stat(held).st_mtime_ns == status.st_mtime_ns:
            return True
        return matches(path, file)

    def holds_pointer(self, file: TrackedFile) -> bool:
        """Whether the folder has only the pointer of a file, not its content."""
        path = os.path.join(self._repository.top, file.path)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size > POINTER_SIZE_MAX:
            return False
        with open(path, "rb") as present:
            return key_of_pointer(present.read()) == file.key

    def refresh(self, file: TrackedFile) -> None:
        """Remember to tell the index that the file, as it lies there now, is what it has."""
        status = os.lstat(os.path.join(self._repository.top, file.path))
        oid = from_hex(file.oid)
        entry = encode_entry(file.path, int(file.mode, 8), oid, stat_facts(status))
        self._changes[file.path] = (file.path, entry)

    def __enter__(self) -> WorkFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Bring the index up to date."""
        changes = [self._changes[path] for path in sorted(self._changes)]
        self._changes.clear()
        try:
            update_entries(self._repository, changes)
        finally:
            self._folder.close()


def matches(path: bytes, file: TrackedFile) -> bool:
    """Whether a file's bytes are what its key names."""
    from ..core.backends import checker, is_verifiable
    from ..core.errors import IntegrityError

    assert file.key is not None
    if not is_verifiable(file.key.backend):
        return False
    check = checker(file.key)
    try:
        with open(path, "rb", buffering=0) as content:
            while block := content.read(1 << 20):
                check.feed(block)
        check.finish()
    except IntegrityError:
        return False
    return True
