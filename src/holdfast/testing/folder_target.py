"""The simplest place that content can be brought to: a folder with one file for each key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.abilities import Partial
from ..core.key import Key


class FolderTarget:
    """Content in ``FOLDER/KEYFILE``, unfinished files in ``FOLDER/tmp``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fsencode(folder)
        os.makedirs(os.path.join(self._folder, b"tmp"), exist_ok=True)

    def has(self, key: Key) -> bool:
        """Whether the content is there, whole."""
        return os.path.exists(self.path_of(key))

    @contextmanager
    def open_partial(self, key: Key) -> Iterator[Partial]:
        """The unfinished file of a key."""
        path = self.partial_path(key)
        yield Partial(path, os.path.getsize(path) if os.path.exists(path) else 0)

    def commit(self, key: Key, path: bytes) -> None:
        """Move a file to its final name."""
        self.put(key, path)

    def put(self, key: Key, path: bytes) -> None:
        """Rename a file to its final name."""
        os.rename(path, self.path_of(key))

    def content(self, key: Key) -> bytes | None:
        """What is there under a key's final name."""
        try:
            with open(self.path_of(key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def path_of(self, key: Key) -> bytes:
        """The file of a key."""
        return os.path.join(self._folder, key.file_name)

    def partial_path(self, key: Key) -> bytes:
        """The unfinished file of a key, which may not be there."""
        return os.path.join(self._folder, b"tmp", key.file_name)
