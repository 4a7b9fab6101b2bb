"""Annexes of other data sets on this machine's disks: found below a folder, and content in them.

They are only looked at. What is there is a candidate for a key by its name and size; who takes it
has to hash it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.backends import is_verifiable, keeps_extension
from ..core.key import Key, object_path, object_path_lower
from ..core.place import Place, PlaceId, Presence
from .objects import stream_of

_OBJECTS = b"annex/objects"


def iter_annexes(folder: bytes) -> Iterator[bytes]:
    """The ``annex/objects`` folder of every repository at or below a folder, in order of path.

    Bare ones, those of data sets inside others and of RIA stores are found too. Links are not
    followed, and folders that may not be read are passed over.
    """
    for top, names, _ in os.walk(folder):
        if b"annex" in names and os.path.isdir(os.path.join(top, _OBJECTS)):
            yield os.path.join(top, _OBJECTS)
            names.remove(b"annex")
            # Of git's own folder only data sets inside are of interest.
            names[:] = sorted(name for name in names if name not in (b"objects", b"refs", b"logs"))
        else:
            names.sort()


class OtherAnnex:
    """The content of another data set, as far as this one may take it."""

    cost = 150.0

    def __init__(self, objects: bytes, *, accept_unhashed: bool = False) -> None:
        """``accept_unhashed`` takes content whose key holds no hash by its key and size alone."""
        self._objects = objects
        self._accept_unhashed = accept_unhashed
        self.place = Place(PlaceId(""), os.fsdecode(_repository_of(objects)))

    def content_path(self, key: Key) -> bytes | None:
        """A file that may hold the content: one of the same key and size, or of the same hash."""
        if not is_verifiable(key.backend) and not (self._accept_unhashed and key.size is not None):
            return None
        for name in _names(key):
            for layout in (object_path, object_path_lower):
                path = self._objects + b"/" + layout(name)
                try:
                    size = os.stat(path).st_size
                except OSError:
                    continue
                if key.size is None or size == key.size:
                    return path
        return None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Nothing is a copy of ours there: its owners may remove it at any time."""
        return [Answer(Presence.UNKNOWN, "it is in another data set") for _ in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not there.
        """
        path = self.content_path(key)
        if path is None:
            raise faults.NOT_PRESENT(path=key.text)
        with stream_of(path, offset) as stream:
            yield stream

    def close(self) -> None:
        """Nothing is kept open."""


def _names(key: Key) -> tuple[Key, ...]:
    """A key, and the one that the same content has with no extension."""
    if not keeps_extension(key.backend) or not is_verifiable(key.backend):
        return (key,)
    digest = key.name.partition(b".")[0]
    return key, Key.make(key.backend[:-1], digest, size=key.size)


def _repository_of(objects: bytes) -> bytes:
    """The folder that people know a repository by."""
    git = objects[: -len(_OBJECTS) - 1]
    return os.path.dirname(git) if os.path.basename(git) == b".git" else git
