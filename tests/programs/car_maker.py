"""Makes CARs in memory, for tests: of files, and of trees as a dictionary of paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from holdfast.core.errors import NotFoundError
from holdfast.wire.car import HEADER_SIZE, encode_head, encode_header
from holdfast.wire.cid import Cid, dag_pb_cid, raw_cid
from holdfast.wire.file_layout import Block, FileBuilder
from holdfast.wire.tree_layout import TreeBuilder, TreeEntry, tree_order
from holdfast.wire.unixfs import PROFILE, Kind, Profile, symlink_block


class Leading(NamedTuple):
    """A symlink to somewhere."""

    target: bytes


Tree = Mapping[bytes, bytes | Leading | None]
"""Paths with the content of files, with symlinks, and with None for folders."""

PERIOD = bytes((i * i + 7 * i) % 251 for i in range(251))


def content(size: int) -> bytes:
    """The generated content of the golden files."""
    return (PERIOD * (size // 251 + 1))[:size]


class CarMade:
    """The blocks of a CAR as they are written, and where each is."""

    def __init__(self, profile: Profile = PROFILE) -> None:
        self.profile = profile
        self.blocks: list[Block] = []
        self.by_cid: dict[Cid, bytes] = {}
        self.rows: list[tuple[bytes, int]] = []
        self.size = HEADER_SIZE

    def put(self, block: Block) -> None:
        self.blocks.append(block)
        self.by_cid[block.cid] = block.data
        self.rows.append((block.cid, self.size))
        self.size += len(encode_head(block.cid, len(block.data))) + len(block.data)

    def put_file(self, data: bytes) -> tuple[Cid, int]:
        builder = FileBuilder(len(data), self.profile)
        for at in range(0, len(data) or 1, self.profile.chunk_size):
            leaf = data[at : at + self.profile.chunk_size]
            cid = raw_cid(leaf)
            self.put(Block(cid, leaf))
            for block in builder.add(cid[4:]):
                self.put(block)
        return builder.root, builder.tsize

    def put_tree(self, tree: Tree) -> Cid:
        builder = TreeBuilder(self.profile)
        for path in sorted(tree, key=tree_order):
            what = tree[path]
            for block in builder.reach_folder(path) if what is None else builder.reach(path):
                self.put(block)
            if isinstance(what, Leading):
                data = symlink_block(what.target)
                self.put(Block(dag_pb_cid(data), data))
                builder.add(dag_pb_cid(data), len(data))
            elif what is not None:
                builder.add(*self.put_file(what))
        for block in builder.finish():
            self.put(block)
        return builder.root.cid

    def chunks(self, root: Cid) -> Iterator[bytes]:
        """The CAR."""
        yield encode_header([root])
        for cid, data in self.blocks:
            yield encode_head(cid, len(data))
            yield data

    def get(self, cid: Cid) -> bytes:
        """A block of it, as readers ask for it."""
        if cid not in self.by_cid:
            raise NotFoundError("no such block")
        return self.by_cid[cid]


def told(tree: Tree) -> list[TreeEntry]:
    """A tree as its plan is asked for."""
    return [_told(path, tree[path]) for path in sorted(tree, key=tree_order)]


def _told(path: bytes, what: bytes | Leading | None) -> TreeEntry:
    if what is None:
        return TreeEntry(path, Kind.FOLDER, 0)
    if isinstance(what, Leading):
        return TreeEntry(path, Kind.SYMLINK, len(what.target))
    return TreeEntry(path, Kind.FILE, len(what))
