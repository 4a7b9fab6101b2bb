"""The folders of a snapshot while it is packed: each is built when its plan says that it ends."""

from __future__ import annotations

from ..wire.cid import Cid
from ..wire.file_layout import Block
from ..wire.folder_layout import Entry, build_folder
from ..wire.unixfs import Profile


class PackedTree:
    """Takes what is packed in the order of the plan; holds the entries of folders that are open."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._open: dict[bytes, list[Entry]] = {}
        self._folder: bytes | None = None
        self._entries: list[Entry] = []
        self._root: Cid | None = None

    def add(self, path: bytes, cid: Cid, tsize: int) -> None:
        """What is at a path."""
        at = path.rfind(b"/")
        folder = path[: max(0, at)]
        if folder != self._folder:
            self._folder = folder
            self._entries = self._open.setdefault(folder, [])
        self._entries.append(Entry(path[at + 1 :], cid, tsize))

    def close(self, folder: bytes) -> list[Block]:
        """The blocks of a folder that has ended, its own last."""
        built = build_folder(self._open.pop(folder, []), self._profile)
        self._folder = None
        cid = built.blocks[-1].cid
        if folder:
            self.add(folder, cid, built.tsize)
        else:
            self._root = cid
        return built.blocks

    @property
    def root(self) -> Cid:
        """What all is under, once the root has ended."""
        assert self._root is not None, "the tree is not finished"
        return self._root
