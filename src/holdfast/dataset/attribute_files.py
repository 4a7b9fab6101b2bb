"""The attribute files of a work tree, read when a file below them is first asked about."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection

from ..core.attributes import AttributeTree, Flag, State
from .repository import Repository


class WorkTreeAttributes:
    """What .gitattributes, .git/info/attributes and the user's own file say of each path."""

    def __init__(self, repository: Repository) -> None:
        self._top = repository.top
        self._info = _read(os.path.join(repository.common_dir, b"info", b"attributes"))
        configured = repository.config.get("core.attributesfile")
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        users = os.path.expanduser(configured) if configured else f"{home}/git/attributes"
        self._below = [_read(b"/etc/gitattributes"), _read(os.fsencode(users))]
        self._files: dict[bytes, bytes] = {}
        self._known: set[bytes] = set()
        self._lock = threading.Lock()
        self._tree = self._build()

    def get(self, path: bytes, name: bytes) -> bytes | None:
        """The text of an attribute; empty when it is set without one, None when it is not set."""
        state = self._state(path, name)
        if isinstance(state, Flag):
            return b"" if state is Flag.SET else None
        return state

    def any_of(self, path: bytes, names: tuple[bytes, ...]) -> bool:
        """Whether one of these attributes is set, with or without a text."""
        states = self._look(path).attributes(path)
        return any(states.get(name, Flag.UNSET) is not Flag.UNSET for name in names)

    def mentions(self, names: Collection[bytes], folders: Collection[bytes]) -> bool:
        """Whether one of these attributes occurs in the files of these folders, or in our own."""
        files = [os.path.join(self._top, folder, b".gitattributes") for folder in folders]
        contents = [self._info, *self._below, *map(_read, files)]
        return any(name in content for content in contents for name in names)

    def _state(self, path: bytes, name: bytes) -> State:
        return self._look(path).value(path, name)

    def _look(self, path: bytes) -> AttributeTree:
        folder = path[: max(path.rfind(b"/"), 0)]
        if folder not in self._known:
            self._discover(folder)
        return self._tree

    def _discover(self, folder: bytes) -> None:
        with self._lock:
            found = False
            while folder not in self._known:
                self._known.add(folder)
                content = _read(os.path.join(self._top, folder, b".gitattributes"))
                if content:
                    self._files[folder] = content
                    found = True
                folder = folder[: max(folder.rfind(b"/"), 0)]
            if found:
                self._tree = self._build()

    def _build(self) -> AttributeTree:
        return AttributeTree(dict(self._files), info=self._info, below=self._below)


def _read(path: bytes) -> bytes:
    try:
        # git follows no symlink here, and neither do we.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        return file.read()
