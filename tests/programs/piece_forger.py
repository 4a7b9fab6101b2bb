"""Makes pieces by hand, whatever they say: for tests of those who read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from holdfast.archive.finding import read_footer
from holdfast.archive.pieces import FilePiece
from holdfast.wire.archive_manifest import (
    BundleRef,
    Footer,
    Manifest,
    PartRef,
    PrevRef,
    encode_footer,
    encode_manifest,
)
from holdfast.wire.archive_rows import PartKind, Row, RowKind, encode_row, encode_rows
from holdfast.wire.car import encode_header, encode_section
from holdfast.wire.cid import Cid, dag_cbor_cid, dag_pb_cid, parse_cid_text, raw_cid
from holdfast.wire.dag_pb import PbLink, PbNode, encode_node
from holdfast.wire.file_layout import Block, FileBuilder, head_size
from holdfast.wire.piece import PLAIN, PieceHasher
from holdfast.wire.unixfs import FOLDER_DATA, PROFILE, symlink_block

MANIFEST = Manifest(
    dataset="id", snapshot=0, made="2026-01-01T00:00:00Z", version="", branch="", annex="",
    profile=PROFILE.name, root=None, number=0, pieces=(), prev=(), bundles=(), parts=(),
)  # fmt: skip


class Forger:
    """Takes blocks and rows, and writes a piece of them that is sound in itself."""

    def __init__(self) -> None:
        self._car = bytearray(encode_header([dag_pb_cid(b"")]))
        self.rows: list[Row] = []

    def put(self, block: Block) -> tuple[int, int]:
        """Write a block; gives the range of its section."""
        at = len(self._car)
        self._car += encode_section(block.cid, block.data)
        return at, len(self._car) - at

    def file(self, path: bytes, data: bytes, *, mode: int = 0o100644) -> Cid:
        """A file of one leaf, with its row."""
        cid = raw_cid(data)
        at, length = self.put(Block(cid, data))
        self.rows.append(Row(path, RowKind.PLAIN, mode, len(data), cid, None, at, length))
        return cid

    def annexed(self, path: bytes, key: bytes, data: bytes) -> Cid:
        """An annexed file of any size, with its row."""
        builder, begin = FileBuilder(len(data)), 0
        for at in range(0, len(data) or 1, PROFILE.chunk_size):
            leaf = data[at : at + PROFILE.chunk_size]
            offset, _ = self.put(Block(raw_cid(leaf), leaf))
            begin = begin or offset
            for block in builder.add(raw_cid(leaf)[4:]):
                self.put(block)
        length = len(self._car) - begin
        row = Row(path, RowKind.ANNEXED, 0o100644, len(data), builder.root, key, begin, length)
        self.rows.append(row)
        return builder.root

    def link(self, path: bytes, target: bytes) -> Cid:
        """A symlink, with its row."""
        data = symlink_block(target)
        cid = dag_pb_cid(data)
        at, length = self.put(Block(cid, data))
        self.rows.append(Row(path, RowKind.SYMLINK, 0o120777, len(target), cid, None, at, length))
        return cid

    def folder(self, entries: Iterable[tuple[bytes, Cid]]) -> Cid:
        """A folder with just these names, in this order."""
        links = [PbLink(cid, name, 0) for name, cid in entries]
        data = encode_node(PbNode(links, FOLDER_DATA))
        cid = dag_pb_cid(data)
        self.put(Block(cid, data))
        return cid

    def write(
        self,
        path: Path,
        root: Cid,
        change: Callable[[Manifest], Manifest] = lambda manifest: manifest,
        bundles: Sequence[BundleRef] = (),
    ) -> None:
        """Write the piece, with its rows, a manifest that may be changed, and a footer."""
        parts = []
        begin = len(self._car)
        if self.rows:
            block = encode_rows(map(encode_row, self.rows), len(self.rows))
            cid = dag_cbor_cid(block)
            start = begin + head_size(len(block))
            self._car += encode_section(cid, block)
            parts.append(PartRef(PartKind.ROWS, self.rows[0].path, start, len(block), cid))
        index_length = len(self._car) - begin
        manifest = MANIFEST._replace(root=root, parts=tuple(parts), bundles=tuple(bundles))
        block = encode_manifest(change(manifest))
        cid = dag_cbor_cid(block)
        start = len(self._car) + head_size(len(block))
        self._car += encode_section(cid, block)
        footer = encode_footer(Footer(start, len(block), begin, index_length, cid))
        self._car += encode_section(raw_cid(footer), footer)
        path.write_bytes(self._car)


def forge_chain(folder: Path, contents: Mapping[bytes, bytes]) -> Path:
    """Two pieces, of two snapshots, named by their PieceCIDs: the first content, and the others.

    Gives the newer one, which names the other.
    """
    items, earlier, path = list(contents.items()), tuple[PrevRef, ...](), folder
    for number, some in enumerate((items[:1], items[1:])):
        path, ref = forge_snapshot(folder, dict(some), number, earlier)
        earlier = (ref,)
    return path


def forge_snapshot(
    folder: Path, contents: Mapping[bytes, bytes], number: int, earlier: tuple[PrevRef, ...]
) -> tuple[Path, PrevRef]:
    """The one piece of a snapshot of annexed files, named by its PieceCID; and how it is named."""
    forger = Forger()
    for place, (key, data) in enumerate(contents.items()):
        forger.annexed(b"files/%06d" % place, key, data)
    new = folder / "new"
    forger.write(new, forger.folder([]), lambda m: m._replace(snapshot=number, prev=earlier))
    hasher = PieceHasher(PLAIN)
    hasher.update(new.read_bytes())
    name = hasher.digest().v2
    path = new.rename(folder / f"{name}.car")
    manifest = read_footer(FilePiece(os.fsencode(path))).manifest_cid
    return path, PrevRef(manifest, parse_cid_text(name), path.stat().st_size)
