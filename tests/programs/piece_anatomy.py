"""Takes whole pieces apart: where the blocks of each file are, and of all folders above it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.archive.finding import read_end, rows_of
from holdfast.archive.pieces import FilePiece
from holdfast.wire.archive_manifest import Manifest
from holdfast.wire.archive_rows import PartKind
from holdfast.wire.car import HEADER_SIZE, CarReader
from holdfast.wire.cid import Cid
from holdfast.wire.dag_walk import iter_dag
from holdfast.wire.file_layout import Block
from holdfast.wire.unixfs import Kind
from holdfast.wire.unixfs_folders import iter_folder, iter_shard_blocks
from holdfast.wire.unixfs_reading import message_of


@dataclass(frozen=True)
class Range:
    """A section of a piece, or its header."""

    piece: Path
    start: int
    end: int


@dataclass
class Anatomy:
    """Of a snapshot of a plain folder, whole."""

    blocks: dict[Cid, tuple[Range, bytes]] = field(default_factory=dict)
    headers: dict[Path, Range] = field(default_factory=dict)
    manifests: dict[Path, Manifest] = field(default_factory=dict)
    manifest_at: dict[Path, Range] = field(default_factory=dict)
    footer_at: dict[Path, Range] = field(default_factory=dict)
    parts: dict[Path, list[tuple[Range, set[str]]]] = field(default_factory=dict)
    """The parts of rows of each piece, with the paths that they tell of."""
    files: dict[str, list[Range]] = field(default_factory=dict)
    folders: dict[str, list[Range]] = field(default_factory=dict)
    """The blocks of all folders on the way to a file."""
    readme: list[Range] = field(default_factory=list)
    last: Path = field(default_factory=Path)

    @classmethod
    def of(cls, pieces: list[Path]) -> Anatomy:
        found = cls()
        root = None
        for path in pieces:
            found._take(path)
            if found.manifests[path].root is not None:
                root, found.last = found.manifests[path].root, path
        assert root is not None
        chain = found._ranges(iter_shard_blocks(found._block(root), found._get))
        for entry in iter_folder(root, found._get):
            if entry.name == b"README.txt":
                found.readme = found._ranges(iter_dag(found._block(entry.cid), found._get))
            elif entry.name == b"files":
                found._walk("", entry.cid, chain)
        return found

    def _take(self, path: Path) -> None:
        self.headers[path] = Range(path, 0, HEADER_SIZE)
        sections = []
        with path.open("rb") as file:
            for one in CarReader(iter(lambda: file.read(1 << 20), b"")):
                at = Range(path, one.offset, one.start + len(one.block))
                self.blocks.setdefault(one.cid, (at, one.block))
                sections.append(at)
        self.manifest_at[path], self.footer_at[path] = sections[-2:]
        end = read_end(FilePiece(os.fsencode(path)), b"")
        self.manifests[path] = end.manifest
        self.parts[path] = [
            (
                self.blocks[part.cid][0],
                {os.fsdecode(row.path) for row in rows_of(end.copies, part, []) if row.cid},
            )
            for part in end.manifest.parts
            if part.kind is PartKind.ROWS
        ]

    def _walk(self, path: str, cid: Cid, above: list[Range]) -> None:
        block = self._block(cid)
        if cid[1] == 0x70 and message_of(block)[0].kind in (Kind.FOLDER, Kind.SHARD):
            chain = above + self._ranges(iter_shard_blocks(block, self._get))
            for entry in iter_folder(cid, self._get):
                name = os.fsdecode(entry.name)
                self._walk(f"{path}/{name}" if path else name, entry.cid, chain)
        else:
            self.files[path] = self._ranges(iter_dag(block, self._get))
            self.folders[path] = above

    def _get(self, cid: Cid) -> bytes:
        return self.blocks[cid][1]

    def _block(self, cid: Cid) -> Block:
        return Block(cid, self._get(cid))

    def _ranges(self, blocks: Iterator[Block]) -> list[Range]:
        return [self.blocks[block.cid][0] for block in blocks]
