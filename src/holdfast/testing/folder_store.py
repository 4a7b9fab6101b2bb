"""A place in a folder, laid out as git-annex's directory special remote: the simplest `Store`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.key import Key, object_path_lower
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver


class FolderStore:
    """Files named after keys; whole before they have their name. For tests."""

    cost = 100.0

    def __init__(self, place: Place, folder: str) -> None:
        self.place = place
        self._folder = os.fsencode(folder)

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for the files."""
        there = {True: Presence.PRESENT, False: Presence.ABSENT}
        return [Answer(there[os.path.exists(self._path(key))]) for key in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Read a file."""
        try:
            file = open(self._path(key), "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="") from None
        with file:
            size = file.seek(0, os.SEEK_END)
            file.seek(offset)
            yield Stream(offset, size, iter(lambda: file.read(1 << 16), b""))

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Write a file beside, then give it its name."""
        path = self._path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        beside = b"%b.%d-%d" % (path, os.getpid(), threading.get_ident())
        try:
            with open(beside, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                    progress(len(chunk))
            os.rename(beside, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(beside)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Remove a file."""
        assert (leave.key, leave.place) == (key, self.place.id), "leave is for one key and place"
        with suppress(FileNotFoundError):
            os.chmod(os.path.dirname(self._path(key)), 0o755)
            os.unlink(self._path(key))

    def close(self) -> None:
        """There is nothing to end."""

    def _path(self, key: Key) -> bytes:
        return os.path.join(self._folder, object_path_lower(key))
