"""A tree of files on a WebDAV server: sent under temporary names, then moved to their own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..core import faults
from ..core.abilities import OnBytes, PathAndContent
from ..core.errors import HoldError
from .lanes import iter_done
from .special import SpecialRemote
from .webdav import LANES, WebDav, open_store

_MANY = 64
"""Folders so deep are not remembered as made."""


class WebDavTree:
    """A `TreeStore`."""

    can_rename = True

    def __init__(self, store: WebDav) -> None:
        """Nothing is connected yet."""
        self.place = store.place
        self._store = store
        store.remember_collections(_MANY)

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """Ask side by side."""
        with ThreadPoolExecutor(LANES, thread_name_prefix="ask") as pool:
            return list(pool.map(self._store.size_at, paths))

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Send several at a time; what is on its way leaves nothing in the tree."""
        self._store.get_ready()
        try:
            yield from iter_done(
                lambda path, content: self._store.put_file(path, content, progress),
                items,
                lanes=LANES,
            )
        finally:
            with suppress(HoldError):
                self._store.clear_up()

    def rename(self, old: bytes, new: bytes) -> None:
        """Move a file; collections are made for it, and those it leaves empty are removed."""
        if self._store.size_at(old) is None:
            raise faults.NOT_THERE(place=self.place.label, key=os.fsdecode(old), detail="no file")
        self._store.move_file(old, new)
        self._remove_empty([old])

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """Delete files, several at a time, then what collections are empty."""
        with ThreadPoolExecutor(LANES, thread_name_prefix="delete") as pool:
            for _ in pool.map(self._store.delete_at, paths):
                pass
        self._remove_empty(paths)

    def close(self) -> None:
        """End connections."""
        self._store.close()

    def _remove_empty(self, paths: Sequence[bytes]) -> None:
        """Inner collections first; a server deletes one with all in it, so it is listed before."""
        folders = {folder for path in paths for folder in _folders(path)}
        for folder in sorted(folders, key=lambda name: name.count(b"/"), reverse=True):
            if self._store.is_empty(folder):
                self._store.delete_at(folder + b"/")


def _folders(path: bytes) -> Iterator[bytes]:
    while path := os.path.dirname(path):
        yield path


def open_tree(remote: SpecialRemote) -> WebDavTree:
    """The server of a special remote.

    Raises:
        PlaceUnavailableError: Its configuration names no URL.
    """
    return WebDavTree(open_store(remote))
