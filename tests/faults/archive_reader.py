"""Reads pieces back with nothing but the codecs: what a stranger could do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from holdfast.wire.archive_manifest import FOOTER_SIZE, Manifest, decode_footer, decode_manifest
from holdfast.wire.archive_rows import (
    MissingRow,
    PartKind,
    Row,
    decode_missing,
    decode_rows,
)
from holdfast.wire.car import CarReader
from holdfast.wire.cid import DAG_PB, Cid, parse_cid
from holdfast.wire.dag_pb import decode_node
from holdfast.wire.unixfs import Kind, decode_unixfs

Tree = dict[str, tuple[str, bytes]]
"""Path to what it is (``file`` or ``link``) and its bytes."""


class Pieces:
    """All blocks of some pieces, each checked."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.blocks: dict[Cid, bytes] = {}
        self.manifests: list[Manifest] = []
        self.rows: list[tuple[int, Row]] = []
        self.missing: list[MissingRow] = []
        self.repeated: list[Cid] = []
        self.cars = [path.read_bytes() for path in files]
        for number, car in enumerate(self.cars):
            for section in CarReader([car]):
                if section.cid in self.blocks:
                    self.repeated.append(section.cid)
                self.blocks[section.cid] = section.block
            self._read_tail(number, car)

    def _read_tail(self, number: int, car: bytes) -> None:
        footer = decode_footer(car[-FOOTER_SIZE:], len(car))
        at, length = footer.manifest_offset, footer.manifest_length
        manifest = decode_manifest(car[at : at + length])
        assert self.blocks[footer.manifest_cid] == car[at : at + length]
        self.manifests.append(manifest)
        for part in manifest.parts:
            block = car[part.offset : part.offset + part.length]
            assert self.blocks[part.cid] == block
            if part.kind is PartKind.ROWS:
                self.rows += [(number, row) for row in decode_rows(block)]
            else:
                self.missing += decode_missing(block)

    @property
    def root(self) -> Cid:
        """The root of the newest snapshot that is whole."""
        last = max((m for m in self.manifests if m.root), key=lambda m: m.snapshot)
        assert last.root is not None
        return last.root

    def tree(self, root: Cid | None = None) -> Tree:
        """Everything below the root."""
        return dict(self._walk(root or self.root, ""))

    def _walk(self, cid: Cid, path: str) -> Iterator[tuple[str, tuple[str, bytes]]]:
        block = self.blocks[cid]
        if parse_cid(cid).codec != DAG_PB:
            yield path, ("file", block)
            return
        node = decode_node(block)
        message = decode_unixfs(node.data or b"")
        if message.kind is Kind.FILE:
            yield path, ("file", b"".join(self._content(link.cid) for link in node.links))
        elif message.kind is Kind.SYMLINK:
            yield path, ("link", message.data or b"")
        else:
            for link in node.links:
                name = (link.name or b"").decode()
                if message.kind is Kind.SHARD:
                    name = name[2:]
                yield from self._walk(link.cid, f"{path}/{name}" if path and name else path or name)

    def _content(self, cid: Cid) -> bytes:
        block = self.blocks[cid]
        if parse_cid(cid).codec != DAG_PB:
            return block
        return b"".join(self._content(link.cid) for link in decode_node(block).links)


def files_of(folder: Path) -> Tree:
    """The same for a data set's work tree, annexed files by their content."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() and ".git/annex/objects" not in str(path.readlink()):
            found[f"files/{name}"] = ("link", os.readlink(os.fsencode(path)))
        elif path.exists():
            found[f"files/{name}"] = ("file", path.read_bytes())
        else:
            found[f"files/{name}"] = ("link", os.readlink(os.fsencode(path)))
    return found
