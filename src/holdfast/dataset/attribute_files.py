"""The attribute files of a work tree, read when a file below them is first asked about."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Collection

from ..core.attributes import AttributeTree, Flag, State
from .attributes_in_index import NAME, AttributesInIndex
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
        self._index = AttributesInIndex(repository)
        self._files: dict[bytes, bytes] = {}
        self._known: set[bytes] = set()
        self._lock = threading.Lock()
        self._mentioned: dict[tuple[AttributeTree, tuple[bytes, ...]], bool] = {}
        self._tree = self._build()

    def get(self, path: bytes, name: bytes) -> bytes | None:
        """The text of an attribute; empty when it is set without one, None when it is not set."""
        return self.get_all(path, (name,))[0]

    def get_all(self, path: bytes, names: tuple[bytes, ...]) -> list[bytes | None]:
        """The texts of several attributes, as `get` gives them."""
        tree = self._look(path)
        if not self._mentions(tree, names):
            return [None] * len(names)
        states = tree.attributes(path)
        return [_text(states.get(name, Flag.UNSPECIFIED)) for name in names]

    def any_of(self, path: bytes, names: tuple[bytes, ...]) -> bool:
        """Whether one of these attributes is set, with or without a text."""
        states = self._look(path).attributes(path)
        return any(states.get(name, Flag.UNSET) is not Flag.UNSET for name in names)

    def mentions(self, names: Collection[bytes], folders: Collection[bytes]) -> bool:
        """Whether one of these attributes occurs in the files of these folders, or in our own."""
        contents = [self._info, *self._below, *map(self._read_folder, folders)]
        return any(name in content for content in contents for name in names)

    def _mentions(self, tree: AttributeTree, names: tuple[bytes, ...]) -> bool:
        """Whether any file read so far speaks of these: most data sets have none that does."""
        mentioned = self._mentioned.get((tree, names))
        if mentioned is None:
            mentioned = self._mentioned[tree, names] = tree.mentions(names)
        return mentioned

    def _look(self, path: bytes) -> AttributeTree:
        folder = path[: max(path.rfind(b"/"), 0)]
        if folder not in self._known:
            self._discover(folder)
        return self._tree

    def _discover(self, folder: bytes) -> None:
        with self._lock:
            found = False
            new: set[bytes] = set()
            while folder not in self._known and folder not in new:
                new.add(folder)
                content = self._read_folder(folder)
                if content:
                    self._files[folder] = content
                    found = True
                folder = folder[: max(folder.rfind(b"/"), 0)]
            if found:
                self._tree, self._mentioned = self._build(), {}
            # Last: another thread that finds a folder here takes the tree as it is.
            self._known.update(new)

    def _read_folder(self, folder: bytes) -> bytes:
        """The file of a folder; where it cannot be opened git takes the index's, and so do we."""
        content = _open_and_read(os.path.join(self._top, folder, NAME))
        return self._index.read(folder) if content is None else content

    def _build(self) -> AttributeTree:
        return AttributeTree(dict(self._files), info=self._info, below=self._below)


def _text(state: State) -> bytes | None:
    if isinstance(state, Flag):
        return b"" if state is Flag.SET else None
    return state


def _read(path: bytes) -> bytes:
    return _open_and_read(path) or b""


def _open_and_read(path: bytes) -> bytes | None:
    """What a file holds; None when it cannot be opened, nothing of what is no file."""
    try:
        # git follows no symlink here, and neither do we.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return b""
    with open(descriptor, "rb") as file:
        return file.read()
