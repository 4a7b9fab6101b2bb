"""Unlocked files that waited for content which a save brings under another name.

They are found in the index while it is mapped, by what their entries look like, so that a data set
without any pays one search through its bytes; no object is read.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable

from ..core.key import Key
from ..wire.gitindex import IndexView
from ..wire.gitobjects import EXECUTABLE_MODE, FILE_MODE, Oid, hash_object
from ..wire.pointer import pointer
from .annexed import TrackedFile
from .checkout import fill_files
from .commit import Recorded
from .git import hex_oid
from .repository import Repository

_MODE_AT = 24
_REGULAR = rb"\0\0\x81[\xa4\xed]"
_UNLOCKED = (FILE_MODE, EXECUTABLE_MODE)
_OWNER = rb".{8}"
_UNKNOWN_SIZE = 0


class Waiting:
    """The files whose entries look as if only a pointer to content of a save lay there."""

    def __init__(self, repository: Repository, sizes: Collection[int]) -> None:
        """``sizes`` are those of the pointers; they are looked at when the search begins."""
        self._repository = repository
        self._sizes = sizes
        self._found: dict[bytes, tuple[bytes, bytes]] = {}

    def look(self, view: IndexView) -> None:
        """Find them in an index."""
        wanted = {size.to_bytes(4, "big") for size in (*self._sizes, _UNKNOWN_SIZE)}
        sizes = b"|".join(map(re.escape, sorted(wanted)))
        pattern = re.compile(_REGULAR + rb"(?=" + _OWNER + rb"(?:" + sizes + rb"))", re.DOTALL)
        offsets = view.offsets
        for match in pattern.finditer(view.data):
            offset = match.start() - _MODE_AT
            position = bisect_left(offsets, offset)
            if position < len(view) and offsets[position] == offset:
                path, mode, oid, _, _ = view.row(position)
                self._found[path] = b"%06o" % mode, oid

    def fill(self, batch: Iterable[Recorded]) -> None:
        """Give them their content, now that what was saved is recorded and the index is free.

        What the batch says of a path counts, not what the index had.
        """
        for record in batch:
            self._found.pop(record.path, None)
            # Of a pointer no content was taken, so it has no size; or it went to git as a text.
            is_like_one = record.size == _UNKNOWN_SIZE or record.size in self._sizes
            if record.oid is not None and record.mode in _UNLOCKED and is_like_one:
                self._found[record.path] = record.mode, record.oid
        if not self._found:
            return
        wanted = {oid for _, oid in self._found.values()}
        keys: dict[bytes, Key] = {}
        for record in batch:
            if record.key is not None:
                key = Key(record.key)
                oid = hash_object(b"blob", pointer(key), self._repository.object_format)
                if oid in wanted:
                    keys[oid] = key
        files = [
            TrackedFile(path, mode, hex_oid(Oid(oid)), keys[oid])
            for path, (mode, oid) in self._found.items()
            if oid in keys
        ]
        if files:
            fill_files(self._repository, files)
