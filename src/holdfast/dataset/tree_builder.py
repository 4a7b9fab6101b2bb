"""Making git trees from nothing, of files that come in the order of their paths."""

from __future__ import annotations

from ..wire.gitobjects import TREE_MODE, Oid, encode_tree
from .trees import AddTree, Entry


class TreeBuilder:
    """Makes a tree in one pass; memory is that of the directories on the way to the last path.

    As with `TreeEditor`, a directory takes the place of a file of the same name.
    """

    def __init__(self, add_tree: AddTree) -> None:
        self._add_tree = add_tree
        self._folder = b""
        self._open: list[tuple[bytes, dict[bytes, Entry]]] = [(b"", {})]

    def set(self, path: bytes, mode: bytes, oid: Oid) -> None:
        """Give a path this content."""
        end = path.rfind(b"/") + 1
        folder = path[:end]
        if folder != self._folder:
            self._go_to(folder)
        self._open[-1][1][path[end:]] = mode, oid

    def finish(self) -> Oid | None:
        """The tree; None when there is nothing in it."""
        while len(self._open) > 1:
            self._close()
        _, entries = self._open[0]
        return self._add(entries) if entries else None

    def _go_to(self, folder: bytes) -> None:
        current = self._folder
        while not folder.startswith(current):
            self._close()
            current = current[: current.rfind(b"/", 0, -1) + 1]
        self._open += [(name, {}) for name in folder[len(current) :].split(b"/")[:-1]]
        self._folder = folder

    def _close(self) -> None:
        name, entries = self._open.pop()
        self._open[-1][1][name] = TREE_MODE, self._add(entries)

    def _add(self, entries: dict[bytes, Entry]) -> Oid:
        return self._add_tree(encode_tree([(mode, name, o) for name, (mode, o) in entries.items()]))
