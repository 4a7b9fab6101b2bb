"""A tree of files on whatever rclone reaches: several put, moved or deleted at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..core.abilities import Content, OnBytes, PathAndContent
from ..core.errors import HoldError
from .lanes import iter_done
from .rclone import THREADS, RcloneStore, open_store
from .special import SpecialRemote


class RcloneTree:
    """A `TreeStore`. Where a kind of storage gives files no other names, rclone copies them."""

    can_rename = True

    def __init__(self, store: RcloneStore) -> None:
        """Nothing is started yet."""
        self.place = store.place
        self._store = store

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """Ask side by side."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="ask") as pool:
            return list(pool.map(self._store.size_at, paths))

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Let rclone copy several at a time, whatever is there by that name."""

        def put(path: bytes, content: Content) -> None:
            self._store.put_at(path, content, progress)

        return iter_done(put, items, lanes=THREADS)

    def rename(self, old: bytes, new: bytes) -> None:
        """Move a file; rclone makes its folders, and those it leaves empty are removed."""
        self._store.move_at(old, new)
        self._remove_empty([old])

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """Delete files, several at a time, then what folders are empty."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="delete") as pool:
            for _ in pool.map(self._store.delete_at, paths):
                pass
        self._remove_empty(paths)

    def close(self) -> None:
        """End rclone."""
        self._store.close()

    def _remove_empty(self, paths: Sequence[bytes]) -> None:
        """Inner folders first; rclone refuses to remove one that holds something."""
        folders = {folder for path in paths for folder in _folders(path)}
        for folder in sorted(folders, key=lambda name: name.count(b"/"), reverse=True):
            with suppress(HoldError):
                self._store.remove_folder(folder)


def _folders(path: bytes) -> Iterator[bytes]:
    while path := os.path.dirname(path):
        yield path


def open_tree(remote: SpecialRemote) -> RcloneTree:
    """The remote of rclone's configuration.

    Raises:
        PlaceUnavailableError: The place's configuration names none.
        PolicyError: It names more than a remote of rclone's configuration here.
    """
    return RcloneTree(open_store(remote))
