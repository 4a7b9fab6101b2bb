"""Changing git trees in one sorted pass: only the directories that change are read and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..wire.gitindex import CacheTree
from ..wire.gitobjects import TREE_MODE, ObjectFormat, Oid, encode_tree, iter_tree
from .git import hex_oid
from .object_reader import ObjectReader

Entry = tuple[bytes, Oid]
"""Mode and object of one name in a tree."""

_SAMPLE = 16

AddTree = Callable[[bytes], Oid]


class _Level:
    """One directory while its changes pass by."""

    __slots__ = ("base", "changes", "children", "known", "loaded", "name", "nodes")

    def __init__(self, name: bytes, base: Oid | None, known: CacheTree | None) -> None:
        self.name = name
        self.base = base
        self.known = known
        self.nodes: dict[bytes, CacheTree] = {}
        self.loaded: dict[bytes, Entry] | None = None
        self.changes: dict[bytes, Entry | None] = {}
        self.children: dict[bytes, Entry | None] = {}


class TreeEditor:
    """Applies changes, sorted by path, to a tree.

    Memory is that of the directories on the way to the current path. A file that takes the place
    of a directory, and the reverse, need no order beyond the sort: what is nested wins over a
    deletion of the same name.
    """

    def __init__(
        self,
        read: Callable[[Oid], bytes],
        add_tree: AddTree,
        object_format: ObjectFormat,
        base: Oid | None = None,
        known: CacheTree | None = None,
        *,
        counted: bool = True,
    ) -> None:
        """Begin with the tree ``base``; ``known`` tells how many files its subtrees hold.

        ``counted`` False leaves `cache_tree` out, which takes memory for each directory.
        """
        self._read = read
        self._add_tree = add_tree
        self._format = object_format
        self._stack = [_Level(b"", base, known)]
        self._folder = b""
        self._counted = counted
        self.cache_tree: CacheTree | None = None

    def set(self, path: bytes, mode: bytes, oid: Oid) -> None:
        """Give a path this content."""
        self._level(path).changes[path[path.rfind(b"/") + 1 :]] = (mode, oid)

    def delete(self, path: bytes) -> None:
        """Take a path away, whatever it is."""
        self._level(path).changes[path[path.rfind(b"/") + 1 :]] = None

    def finish(self) -> Oid | None:
        """The changed tree; None when nothing is left in it.

        Afterwards `cache_tree` says, as git's index keeps it, how many files each directory holds.
        """
        while len(self._stack) > 1:
            self._pop()
        oid = self._close(self._stack[0])
        self.cache_tree = self._stack[0].nodes.get(b"")
        return oid

    def _level(self, path: bytes) -> _Level:
        end = path.rfind(b"/")
        folder = path[: end + 1] if end >= 0 else b""
        if folder != self._folder:
            self._walk_to(folder)
        return self._stack[-1]

    def _walk_to(self, folder: bytes) -> None:
        current = self._folder
        while not folder.startswith(current):
            self._pop()
            current = current[: current[:-1].rfind(b"/") + 1]
        for name in folder[len(current) :].split(b"/")[:-1]:
            parent = self._stack[-1]
            found = self._entries(parent).get(name) if parent.base else None
            base = found[1] if found and found[0] == TREE_MODE else None
            self._stack.append(_Level(name, base, _child(parent.known, name)))
        self._folder = folder

    def _entries(self, level: _Level) -> dict[bytes, Entry]:
        if level.loaded is None:
            level.loaded = {}
            if level.base is not None:
                found = iter_tree(self._read(level.base), self._format)
                level.loaded.update((name, (mode, oid)) for mode, name, oid in found)
        return level.loaded

    def _pop(self) -> None:
        level = self._stack.pop()
        oid = self._close(level)
        parent = self._stack[-1]
        parent.children[level.name] = (TREE_MODE, oid) if oid else None
        node = level.nodes.get(b"")
        if node is not None:
            parent.nodes[level.name] = node

    def _close(self, level: _Level) -> Oid | None:
        entries = self._entries(level)
        for name, change in level.changes.items():
            if change is None:
                entries.pop(name, None)
            else:
                entries[name] = change
        for name, child in level.children.items():
            if child is not None:
                entries[name] = child
            elif name in entries and entries[name][0] == TREE_MODE:
                del entries[name]
        if not entries:
            return None
        oid = self._add_tree(encode_tree([(mode, name, e) for name, (mode, e) in entries.items()]))
        if self._counted:
            level.nodes[b""] = _count(level, entries, oid)
        return oid


def _count(level: _Level, entries: dict[bytes, Entry], oid: Oid) -> CacheTree:
    """What git's index keeps of a directory; of one with a part not counted, only its children."""
    nodes: dict[bytes, CacheTree] = {}
    files = 0
    complete = True
    for name, (mode, entry) in entries.items():
        if mode != TREE_MODE:
            files += 1
            continue
        node = level.nodes.get(name) or _child(level.known, name)
        if node is None or node.oid != entry or node.entry_count < 0:
            complete = False
        else:
            files += node.entry_count
            nodes[name] = node
    return CacheTree(files, oid, nodes) if complete else CacheTree(-1, None, nodes)


def _child(node: CacheTree | None, name: bytes) -> CacheTree | None:
    return node.children.get(name) if node is not None else None


class TreeFinder:
    """Looks paths up in one tree, many at a time: each directory is read once, in bulk.

    Costs one bulk read a level, not one a path. What the last call read is kept, so that a
    `TreeEditor` that changes the same paths need not read it again.
    """

    def __init__(self, reader: ObjectReader, object_format: ObjectFormat, root: Oid) -> None:
        self._reader = reader
        self._format = object_format
        self.root = root
        self._contents: dict[Oid, bytes] = {}

    def find(self, paths: Sequence[bytes]) -> dict[bytes, Oid]:
        """The objects at those of these paths that exist."""
        self._contents.clear()
        found: dict[bytes, Oid] = {}
        wanted = [(path, self.root) for path in paths]
        depth = 0
        while wanted:
            trees = self._read_all({tree for _, tree in wanted})
            deeper: list[tuple[bytes, Oid]] = []
            for path, tree in wanted:
                parts = path.split(b"/")
                entry = trees[tree].get(parts[depth])
                if entry is None:
                    continue
                if depth == len(parts) - 1:
                    found[path] = entry[1]
                elif entry[0] == TREE_MODE:
                    deeper.append((path, entry[1]))
            wanted = deeper
            depth += 1
        return found

    def estimate(self) -> int:
        """About how many files the tree holds, told from a few of its directories.

        For trees like the git-annex branch: two levels of directories, of about the same size.
        """
        root = self._read_all({self.root})[self.root]
        folders = sorted(oid for mode, oid in root.values() if mode == TREE_MODE)
        if not folders:
            return len(root)
        sample = set(folders[:: max(1, len(folders) // _SAMPLE)])
        inside = sum(map(len, self._read_all(sample).values()))
        return len(root) + inside * len(folders) // len(sample)

    def read(self, oid: Oid) -> bytes:
        """The content of one tree."""
        content = self._contents.get(oid)
        if content is None:
            answer = self._reader.read(hex_oid(oid))
            assert answer is not None, "a tree that another names is missing; git fsck tells more"
            content = answer[1]
        return content

    def _read_all(self, oids: set[Oid]) -> dict[Oid, dict[bytes, Entry]]:
        order = list(oids)
        found: dict[Oid, dict[bytes, Entry]] = {}
        for oid, answer in zip(order, self._reader.iter_read(map(hex_oid, order)), strict=True):
            assert answer is not None, "a tree that another names is missing; git fsck tells more"
            self._contents[oid] = answer[1]
            found[oid] = {
                name: (mode, entry) for mode, name, entry in iter_tree(answer[1], self._format)
            }
        return found
