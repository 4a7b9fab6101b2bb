"""What is at a path before a file from elsewhere is put there: in the folder, and in the index."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.names import refusal_of_path
from ..wire.gitobjects import FILE_MODE, SYMLINK_MODE, Oid, hash_object
from ..wire.pointer import POINTER_SIZE_MAX, key_of_link, key_of_pointer
from .annexed import TrackedFile
from .git import hex_oid
from .index_file import read_index
from .objects import Objects
from .populate import matches
from .repository import Repository

_READ_MAX = 64 << 20


class Spot(NamedTuple):
    """What lies at a path: nothing, content of a key, or something else.

    ``kept`` says that what lies there can be had back, so that it may give way.
    """

    status: os.stat_result | None
    key: Key | None = None
    kept: bool = False

    @property
    def there(self) -> bool:
        """Whether anything lies there."""
        return self.status is not None


class Spots:
    """Looks at paths of one work tree; its index is read once."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        self._top = repository.top + b"/"
        self._index = read_index(repository)
        self._good_folders: set[bytes] = set()

    def refusal(self, path: bytes) -> HoldError | None:
        """Why no file may be made at a path that somebody else named; None when one may."""
        why = refusal_of_path(path) or self._way_is_blocked(path)
        return faults.UNSAFE_NAME(path=os.fsdecode(path), detail=why) if why else None

    def look(self, path: bytes) -> Spot:
        """What lies there now."""
        full = self._top + path
        try:
            status = os.lstat(full)
        except (FileNotFoundError, NotADirectoryError):
            return Spot(None)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(full)
            key = key_of_link(target) if b".git/annex/objects/" in target else None
            return Spot(status, key=key, kept=key is not None)
        if not stat.S_ISREG(status.st_mode):
            return Spot(status)
        return self._look_at_file(path, full, status)

    def is_settled(self, path: bytes) -> bool:
        """Whether something is there that is to stay; not what a killed run left on its way."""
        spot = self.look(path)
        return spot.there and (spot.key is None or self.is_tracked(path))

    def is_tracked(self, path: bytes) -> bool:
        """Whether the index knows the path."""
        return self._index is not None and self._index.find(path) is not None

    def _look_at_file(self, path: bytes, full: bytes, status: os.stat_result) -> Spot:
        known = self._unlocked_key(path)
        if known is not None and self._is_as_held(known, status):
            return Spot(status, key=known, kept=True)
        data, size = b"", status.st_size
        if size <= _READ_MAX:
            with open(full, "rb") as file:
                data = file.read()
            key = key_of_pointer(data) if size <= POINTER_SIZE_MAX else None
            if key is not None:
                return Spot(status, key=key, kept=True)
        return self._as_indexed(path, full, status, data if size <= _READ_MAX else None)

    def _as_indexed(
        self, path: bytes, full: bytes, status: os.stat_result, data: bytes | None
    ) -> Spot:
        position = self._index.find(path) if self._index is not None else None
        if self._index is None or position is None:
            return Spot(status)
        oid = Oid(self._index.row(position)[2])
        if data is not None and hash_object(b"blob", data, self._repository.object_format) == oid:
            return Spot(status, kept=True)
        key = self._unlocked_key(path)
        if key is None or not matches(full, TrackedFile(path, FILE_MODE, hex_oid(oid), key)):
            return Spot(status)
        return Spot(status, key=key, kept=True)

    def _unlocked_key(self, path: bytes) -> Key | None:
        """The key of an unlocked file, as the index has it."""
        position = self._index.find(path) if self._index is not None else None
        if self._index is None or position is None:
            return None
        _, mode, oid, _, _ = self._index.row(position)
        return None if mode == int(SYMLINK_MODE, 8) else self._pointed(Oid(oid))

    def _is_as_held(self, key: Key, status: os.stat_result) -> bool:
        """Whether a file looks like the copy that was made of content here."""
        return status.st_size == key.size and self._objects.looks_like(key, status)

    def _pointed(self, oid: Oid) -> Key | None:
        reader = self._repository.git.objects
        sizes = dict(reader.iter_sizes([hex_oid(oid)]))
        if not 0 < sizes.get(hex_oid(oid), 0) <= POINTER_SIZE_MAX:
            return None
        answer = reader.read(hex_oid(oid))
        return key_of_pointer(answer[1]) if answer is not None else None

    def _way_is_blocked(self, path: bytes) -> str:
        """Whether a folder on the way is none, or leads elsewhere."""
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            folder = b"/".join(parts[:count])
            if folder in self._good_folders:
                continue
            why = self._blocks(folder)
            if why:
                return why
            self._good_folders.add(folder)
        if self._has_below(path):
            return "it is recorded as a folder"
        return ""

    def _blocks(self, folder: bytes) -> str:
        name = os.fsdecode(folder)
        try:
            mode = os.lstat(self._top + folder).st_mode
        except (FileNotFoundError, NotADirectoryError):
            mode = stat.S_IFDIR
        if not stat.S_ISDIR(mode):
            return f"{name} is no folder"
        if self.is_tracked(folder):
            return f"{name} is recorded as a file or another data set"
        if os.path.lexists(self._top + folder + b"/.git"):
            return f"{name} is another repository"
        return ""

    def _has_below(self, path: bytes) -> bool:
        index = self._index
        if index is None:
            return False
        position = index.bisect(path + b"/")
        return position < len(index) and index.path(position).startswith(path + b"/")
