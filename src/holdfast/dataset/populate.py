"""Unlocked files: content in the place of a pointer and back, with git's index agreeing."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from types import TracebackType

from ..core.key import Key
from ..wire.gitindex import encode_entry, stat_facts
from ..wire.pointer import POINTER_SIZE_MAX, key_of_pointer, pointer
from .annexed import TrackedFile
from .exchange import still_there, take_place
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
        seen = self.seen_pointer(file) if source is not None else None
        if source is None or seen is None:
            return False
        path = os.path.join(self._repository.top, file.path)
        temporary = self._scratch + b"/file"
        try:
            copy_file(source, temporary)
        except FileNotFoundError:  # it has just left
            return False
        return self._put(temporary, path, file, seen, refresh=refresh)

    def depopulate(self, file: TrackedFile) -> bool:
        """Put the pointer back where unchanged content is; False when it was changed."""
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        seen = self.seen_content(file)
        if seen is None:
            return False
        temporary = self._scratch + b"/file"
        with open(temporary, "wb") as out:
            out.write(pointer(file.key))
        return self._put(temporary, path, file, seen)

    def _put(
        self, temporary: bytes, path: bytes, file: TrackedFile, seen: os.stat_result,
        *, refresh: bool = True,
    ) -> bool:  # fmt: skip
        """Put a file in the place of the one that was seen; False when that is another by now."""
        os.chmod(temporary, 0o755 if file.mode == b"100755" else 0o644)
        ours = os.lstat(temporary)
        if not take_place(temporary, path, seen):
            os.unlink(temporary)
            return False
        now = still_there(path, ours)
        # What another program has put there since, git has to look at.
        if refresh and now is not None:
            self.refresh(file, now)
        return True

    def seen_content(self, file: TrackedFile) -> os.stat_result | None:
        """An unlocked file that holds the content its key names; None when it does not.

        Hashes it when times differ.
        """
        assert file.key is not None
        path = os.path.join(self._repository.top, file.path)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.key.size:
            return None
        same = self._objects.looks_like(file.key, status) or matches(path, file)
        return status if same else None

    def seen_pointer(self, file: TrackedFile) -> os.stat_result | None:
        """The pointer of a file, where the folder has that alone; else None."""
        path = os.path.join(self._repository.top, file.path)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode) or status.st_size > POINTER_SIZE_MAX:
                return None
            with open(path, "rb") as present:
                return status if key_of_pointer(present.read()) == file.key else None
        except FileNotFoundError:
            return None

    def refresh(self, file: TrackedFile, seen: os.stat_result) -> None:
        """Remember to tell the index that the file, as it was seen there, is what it has."""
        oid = from_hex(file.oid)
        entry = encode_entry(file.path, int(file.mode, 8), oid, stat_facts(seen))
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


def fill_in(path: bytes, key: Key, objects: Objects) -> os.stat_result | None:
    """Make a file of content that is here, or else of its pointer; gives what that content is."""
    source = objects.content_path(key)
    if source is not None:
        with suppress(FileNotFoundError):  # content may leave at any moment
            status = os.stat(source)
            copy_file(source, path)
            return status
    with open(path, "wb") as out:
        out.write(pointer(key))
    return None


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
    except (FileNotFoundError, IntegrityError):
        return False
    return True
