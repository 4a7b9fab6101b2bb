"""The folders of a snapshot while it is packed: each is built when its plan says that it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..wire.cid import Cid
from ..wire.file_layout import Block
from ..wire.tree_layout import build_links
from ..wire.unixfs import Profile


class _Entries(NamedTuple):
    """What is in a folder that is open."""

    names: list[bytes]
    cids: list[Cid]
    tsizes: list[int]


class PackedTree:
    """Takes what is packed in the order of the plan; holds the entries of folders that are open."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._open: dict[bytes, _Entries] = {}
        self._folder: bytes | None = None
        self._entries = _Entries([], [], [])
        self._root: Cid | None = None

    def add(self, path: bytes, cid: Cid, tsize: int) -> None:
        """What is at a path."""
        at = path.rfind(b"/")
        folder = path[: max(0, at)]
        if folder != self._folder:
            self._folder = folder
            if folder not in self._open:
                self._open[folder] = _Entries([], [], [])
            self._entries = self._open[folder]
        names, cids, tsizes = self._entries
        names.append(path[at + 1 :])
        cids.append(cid)
        tsizes.append(tsize)

    def add_run(
        self, folder: bytes, names: Sequence[bytes], cids: Sequence[Cid], tsizes: Sequence[int]
    ) -> None:
        """What is in one folder, whose path ends with a slash."""
        entries = self._open.setdefault(folder[:-1], _Entries([], [], []))
        entries.names.extend(names)
        entries.cids.extend(cids)
        entries.tsizes.extend(tsizes)

    def close(self, folder: bytes) -> list[Block]:
        """The blocks of a folder that has ended, its own last."""
        names, cids, tsizes = self._open.pop(folder, _Entries([], [], []))
        built = build_links(names, cids, tsizes, self._profile)
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
