"""A tree of files in a CAR: where everything will stand, and the blocks of its folders.

Tree order: the names in a folder by their bytes, a folder where its name stands; everything in a
folder before the folder's own blocks, the root's last. So every folder is one range of the CAR, and
so is every file. Nothing is left out that repeats: what repeats is not known before it is read.
Paths are any bytes; links are named, and sorted in their folder, as `folder_names` has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..core.errors import LocalProtocolError
from .car import HEADER_SIZE
from .cid import Cid
from .file_layout import Block, plan_file, section_size
from .folder_layout import Entry, FolderBlocks, FolderPlan, build_from_columns, plan_folder
from .folder_names import in_order_of_links
from .unixfs import FOLDERS_DEEP_MAX, PROFILE, Kind, Profile, symlink_block_size


class TreeEntry(NamedTuple):
    """A file with its size, a symlink with the size of its target, or a folder.

    A folder has to be told only when it may be empty.
    """

    path: bytes
    kind: Kind
    size: int


class Planned(NamedTuple):
    """What will be at a range of a CAR: with all that is in it, if it is a folder."""

    path: bytes
    kind: Kind
    offset: int
    length: int
    tsize: int
    blocks: int


def tree_order(path: bytes) -> bytes:
    """Sorts paths as they are written."""
    return path.replace(b"/", b"\0")


def plan_tree(
    entries: Iterable[TreeEntry], offset: int = HEADER_SIZE, profile: Profile = PROFILE
) -> Iterator[Planned]:
    """Where each entry will be, in tree order; each folder after what is in it, the root last.

    Holds the names of the folders that are open, and nothing else. The end of the last range is
    the end of the CAR.

    Raises:
        LocalProtocolError: Entries are out of order, a path is there twice, or cannot be.
    """
    chunk, blocks = profile.chunk_size, 0
    walk = _Walk(_Folder(b"", offset, 0))
    for path, kind, size in entries:
        folder, name = (path, b"") if kind is Kind.FOLDER else _split(path)
        if folder != walk.path:
            for closed in walk.leave(folder):
                planned = _plan_closed(closed, offset, blocks, profile)
                offset, blocks = planned.offset + planned.length, closed.blocks + planned.blocks
                walk.add(closed.name, planned.tsize)
                yield planned
            walk.enter(folder, offset, blocks)
        if kind is Kind.FOLDER:
            continue
        count = 1
        if kind is Kind.SYMLINK:
            tsize = symlink_block_size(size)
            length = section_size(tsize)
        elif kind is not Kind.FILE:
            raise LocalProtocolError(f"no entry of a tree is a {kind.name}: {path[:80]!r}")
        elif 0 <= size <= chunk:
            tsize, length = size, section_size(size)
        else:
            _, leaves, nodes, length, tsize = plan_file(size, profile)
            count = leaves + nodes
        walk.add(name, tsize)
        yield Planned(path, kind, offset, length, tsize, count)
        offset += length
        blocks += count
    for closed in walk.leave(None):
        planned = _plan_closed(closed, offset, blocks, profile)
        offset, blocks = planned.offset + planned.length, closed.blocks + planned.blocks
        walk.add(closed.name, planned.tsize)
        yield planned


def _plan_closed(closed: _Folder, offset: int, blocks: int, profile: Profile) -> Planned:
    sizes, length, tsize = plan_links(closed.names, closed.tsizes, profile)
    start = closed.offset
    length += offset - start
    return Planned(
        closed.path, Kind.FOLDER, start, length, tsize, blocks - closed.blocks + len(sizes)
    )


def plan_links(names: list[bytes], tsizes: list[int], profile: Profile = PROFILE) -> FolderPlan:
    """As `plan_folder`, of names that need not be UTF-8, in the order of their bytes."""
    links = in_order_of_links(names)
    if links is None:
        return plan_folder(names, tsizes, profile)
    return plan_folder([name for name, _ in links], [tsizes[at] for _, at in links], profile)


def build_links(
    names: list[bytes], cids: list[Cid], tsizes: list[int], profile: Profile = PROFILE
) -> FolderBlocks:
    """As `build_folder`, of names that need not be UTF-8, in the order of their bytes."""
    if (links := in_order_of_links(names)) is not None:
        names, order = [name for name, _ in links], [at for _, at in links]
        cids, tsizes = [cids[at] for at in order], [tsizes[at] for at in order]
    return build_from_columns(names, cids, tsizes, profile)


def _split(path: bytes) -> tuple[bytes, bytes]:
    folder, slash, name = path.rpartition(b"/")
    if slash and not folder:
        raise LocalProtocolError(f"a path in a tree that is absolute: {path[:80]!r}")
    return folder, name


class TreeBuilder:
    """Gives the blocks of a tree's folders, told in tree order what is in them.

    `reach` a path, write what it gives, write the blocks of what is there, then `add` it. Holds
    the entries of the folders that are open.

    Raises:
        LocalProtocolError: As `plan_tree`.
    """

    def __init__(self, profile: Profile = PROFILE) -> None:
        self._profile = profile
        self._walk = _Walk(_Folder(b"", 0, 0))
        self._name = b""
        self._root: Entry | None = None

    def reach(self, path: bytes) -> list[Block]:
        """The blocks of the folders that end before a file or symlink."""
        folder, self._name = _split(path)
        return [] if folder == self._walk.path else self.reach_folder(folder)

    def reach_folder(self, folder: bytes) -> list[Block]:
        """The blocks of the folders that end before a folder; that one is in the tree then."""
        blocks = self._close(folder)
        self._walk.enter(folder, 0, 0)
        return blocks

    def add(self, cid: Cid, tsize: int) -> None:
        """What is at the path that was reached."""
        self._walk.add(self._name, tsize, cid)

    def finish(self) -> list[Block]:
        """The blocks of the folders still open, the root last."""
        return self._close(None)

    @property
    def root(self) -> Entry:
        """The tree as a whole, once it is finished."""
        assert self._root is not None and not self._walk.is_open, "the tree is not finished"
        return self._root

    def _close(self, folder: bytes | None) -> list[Block]:
        blocks: list[Block] = []
        for closed in self._walk.leave(folder):
            built = build_links(closed.names, closed.cids, closed.tsizes, self._profile)
            blocks += built.blocks
            cid = built.blocks[-1].cid
            self._root = Entry(closed.name, cid, built.tsize)
            self._walk.add(closed.name, built.tsize, cid)
        return blocks


class _Folder:
    """A folder that is open: where it began, and what is in it so far."""

    __slots__ = ("blocks", "cids", "name", "names", "offset", "path", "tsizes")

    def __init__(self, path: bytes, offset: int, blocks: int) -> None:
        self.path = path
        self.name = path.rpartition(b"/")[2]
        self.offset = offset
        self.blocks = blocks
        self.names: list[bytes] = []
        self.tsizes: list[int] = []
        self.cids: list[Cid] = []


class _Walk:
    """The folders that are open, from the root to the one that entries are in now."""

    def __init__(self, root: _Folder) -> None:
        self._open = [root]

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    @property
    def path(self) -> bytes:
        return self._open[-1].path

    def leave(self, folder: bytes | None) -> Iterator[_Folder]:
        """Close folders, innermost first, until one holds the given one; all for None."""
        while self._open and not self._holds(folder):
            yield self._open.pop()

    def _holds(self, folder: bytes | None) -> bool:
        path = self.path
        return folder is not None and (not path or folder == path or folder.startswith(path + b"/"))

    def enter(self, folder: bytes, offset: int, blocks: int) -> None:
        """Open all folders down to that one, each of them at that offset."""
        path = self.path
        if folder == path:
            return
        for name in folder[len(path) + bool(path) :].split(b"/"):
            path = path + b"/" + name if path else name
            self._open.append(_Folder(path, offset, blocks))
        if len(self._open) > FOLDERS_DEEP_MAX:
            raise LocalProtocolError(f"folders more than {FOLDERS_DEEP_MAX} deep: {folder[:80]!r}…")

    def add(self, name: bytes, tsize: int, cid: Cid | None = None) -> None:
        """Put something into the innermost folder; the root is in none."""
        if not self._open:
            return
        folder = self._open[-1]
        folder.names.append(name)
        folder.tsizes.append(tsize)
        if cid is not None:
            folder.cids.append(cid)
