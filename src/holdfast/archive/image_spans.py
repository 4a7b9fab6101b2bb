"""What stands where in the pieces of a packed snapshot: made once, so that any range is found.

Four files beside its plan. ``served-spans`` has a row for each file, folder and tail of a piece, in
the order of the pieces; ``served-kept`` the sections that are not read from sources (nodes of
files, folders, tails); ``served-blocks`` a row for each block, sorted by digest; ``served`` tells
what the others and the notes of the packer have to be. All are made anew from those notes, and are
held against the manifests and the root that were packed before they are believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import IO, NamedTuple

from ..core import faults
from ..core.system_errors import as_fault
from ..dataset import locks
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import RowKind
from ..wire.car import HEADER_SIZE, encode_section
from ..wire.cid import Cid
from ..wire.file_layout import Block, FileBuilder, plan_file
from ..wire.tree_layout import TreeBuilder
from ..wire.unixfs import PROFILE, symlink_block_size
from .piece_tail import PieceTail
from .plan_file import Plan
from .plan_records import (
    FileRecord,
    FolderRecord,
    OpenedRecord,
    PieceRecord,
    Record,
)
from .snapshot_state import DIGEST_SIZE, SnapshotState

HEADER, KEPT, FILE = range(3)
"""What is at a span: the header of a piece, sections that are kept, a file of the plan."""

SPAN = struct.Struct(">IQQBQQQ")
BLOCK = struct.Struct(">8sBQQ")
_NOTES = ("plan", "cids", "digests")
_FILES = ("served-spans", "served-blocks")


class Span(NamedTuple):
    """A range of a piece and what is there.

    ``place`` is that of a file's record in the plan, ``digest`` the number of its first leaf among
    all; ``kept`` says where its nodes in this piece, or what else is here, are kept.
    """

    piece: int
    offset: int
    length: int
    kind: int
    place: int = 0
    digest: int = 0
    kept: int = 0


class BlockRow(NamedTuple):
    """Where a block is: at a place of what is kept, or leaf ``leaf`` of the file of a span."""

    prefix: bytes
    kind: int
    at: int
    leaf: int


def open_spans(folder: bytes, root: Cid) -> None:
    """Make what is needed to serve a snapshot, unless it is there and right.

    Raises:
        ConflictError: What is noted of the snapshot is not what was packed.
        HoldError: It could not be read or written.
    """
    try:
        if _is_right(folder):
            return
        with locks.exclusive(folder + b"/served-lock"), closing(SnapshotState(folder)) as state:
            if not _is_right(folder):  # another server may have made it meanwhile
                _Maker(folder, state, root).make()
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder)) from error


def _is_right(folder: bytes) -> bool:
    try:
        with open(folder + b"/served", encoding="ascii") as file:
            wanted = json.load(file)
        return bool(wanted == _sums(folder))
    except (FileNotFoundError, ValueError):
        return False


def _sums(folder: bytes) -> dict[str, str | int]:
    """What these files are: the kept sections are checked one by one when they are given."""
    sums: dict[str, str | int] = {"kept": os.stat(folder + b"/served-kept").st_size}
    for name in (*_NOTES, *_FILES):
        with open(folder + b"/" + name.encode(), "rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


class _Maker:
    """Goes once through the plan, as the packer did, with digests in the place of content."""

    def __init__(self, folder: bytes, state: SnapshotState, root: Cid) -> None:
        self._folder = folder
        self._state = state
        self._root = root
        self._plan = Plan(folder + b"/plan")
        self._tree = TreeBuilder()
        self._piece = 0
        self._span = 0
        self._leaves = 0
        self._kept_at = 0
        self._nodes: tuple[FileBuilder, int] | None = None

    def make(self) -> None:
        """Write all files; the one that tells what the others are comes last."""
        parts = [self._folder + b"/served-" + name for name in (b"spans", b"kept", b"blocks")]
        with ExitStack() as stack:
            self._blocks = stack.enter_context(SortedSpill(self._folder))
            spans, kept, blocks = (
                stack.enter_context(open(path + b".part", "wb", buffering=1 << 16))
                for path in parts
            )
            self._digests = stack.enter_context(open(self._folder + b"/digests", "rb"))
            self._spans, self._kept = spans, kept
            self._run()
            for row in self._blocks:
                blocks.write(row)
        for path in parts:
            os.rename(path + b".part", path)
        temporary = self._folder + b"/served.part"
        with open(temporary, "w", encoding="ascii") as file:
            json.dump(_sums(self._folder), file)
        os.rename(temporary, self._folder + b"/served")

    _spans: IO[bytes]
    _kept: IO[bytes]

    def _run(self) -> None:
        self._add_span(Span(0, 0, HEADER_SIZE, HEADER))
        for place, record, blocks in self._with_folders():
            if isinstance(record, FileRecord):
                self._take_file(place, record)
            elif isinstance(record, FolderRecord):
                self._check(record.path, is_right=blocks[-1].cid == self._cid(record))
                if record.ref is None:
                    self._keep_span(record.offset, record.length, blocks)
            elif isinstance(record, PieceRecord):
                self._end_piece(record)
        self._check(b"the root", is_right=self._tree.root.cid == self._root)
        self._check(b"the pieces", is_right=self._piece == len(self._state.pieces))

    def _with_folders(self) -> Iterator[tuple[int, Record, list[Block]]]:
        """The records; folders with their blocks, which are told by the path that comes after."""
        tree = self._tree
        waiting: list[tuple[int, Record]] = []
        for place, record in self._plan.iter_placed():
            if isinstance(record, FileRecord):
                blocks = [] if record.start else tree.reach(record.path)
            elif isinstance(record, OpenedRecord):
                blocks = tree.reach_folder(record.path)
            else:
                waiting.append((place, record))
                continue
            yield from _give(waiting, blocks)
            waiting = []
            yield place, record, []
        yield from _give(waiting, self._tree.finish())

    def _take_file(self, place: int, record: FileRecord) -> None:
        cid = self._cid(record)
        size = record.size
        if record.ref is None:
            if record.kind is not RowKind.SYMLINK and size > PROFILE.chunk_size:
                self._take_leaves(place, record, cid)
            else:
                self._add_block(cid, FILE, self._span, 0)
                self._add_span(Span(self._piece, record.offset, record.length, FILE, place))
        if not record.is_end:
            return
        if record.kind is RowKind.SYMLINK:
            size = symlink_block_size(size)
        elif size > PROFILE.chunk_size:
            size = plan_file(size).tsize
        self._tree.add(cid, size)

    def _cid(self, record: FileRecord | FolderRecord) -> Cid:
        self._check(record.path, is_right=record.number < self._state.count)
        return self._state.cid(record.number)

    def _take_leaves(self, place: int, record: FileRecord, cid: Cid) -> None:
        """A file of many leaves, or the part of one that is in this piece."""
        if self._nodes is None:
            self._nodes = FileBuilder(record.size), self._leaves
        builder, first = self._nodes
        kept = self._kept_at
        chunk = PROFILE.chunk_size
        for leaf in range(record.start // chunk, -(-record.stop // chunk)):
            digest = self._digests.read(DIGEST_SIZE)
            self._check(record.path, is_right=len(digest) == DIGEST_SIZE)
            self._leaves += 1
            self._blocks.add(BLOCK.pack(digest[:8], FILE, self._span, leaf))
            for block in builder.add(digest):
                self._keep(block)
        self._add_span(Span(self._piece, record.offset, record.length, FILE, place, first, kept))
        if record.is_end:
            self._check(record.path, is_right=builder.root == cid)
            self._nodes = None

    def _end_piece(self, record: PieceRecord) -> None:
        number = self._piece
        pieces = self._state.pieces
        self._check(
            record.last, is_right=number < len(pieces) and pieces[number].size == record.size
        )
        is_last = number + 1 == len(self._plan.summary.sizes)
        tail = PieceTail(self._plan, self._state, number)
        root = self._tree.root.cid if is_last else None
        before = [piece.ref for piece in pieces[:number]]
        at = self._kept_at
        for block in tail.blocks(record, before, root):
            self._keep(block)
        self._check(record.last, is_right=tail.manifest == pieces[number].manifest)
        length = record.size - record.index_offset
        self._check(record.last, is_right=self._kept_at - at == length)
        self._add_span(Span(number, record.index_offset, length, KEPT, kept=at))
        self._piece += 1
        if not is_last:
            self._add_span(Span(self._piece, 0, HEADER_SIZE, HEADER))

    # what is written

    def _keep_span(self, offset: int, length: int, blocks: list[Block]) -> None:
        at = self._kept_at
        for block in blocks:
            self._keep(block)
        self._check(b"a folder", is_right=self._kept_at - at == length)
        self._add_span(Span(self._piece, offset, length, KEPT, kept=at))

    def _keep(self, block: Block) -> None:
        self._add_block(block.cid, KEPT, self._kept_at, 0)
        section = encode_section(block.cid, block.data)
        self._kept.write(section)
        self._kept_at += len(section)

    def _add_block(self, cid: Cid, kind: int, at: int, leaf: int) -> None:
        self._blocks.add(BLOCK.pack(cid[4:12], kind, at, leaf))

    def _add_span(self, span: Span) -> None:
        self._spans.write(SPAN.pack(*span))
        self._span += 1

    def _check(self, path: bytes, *, is_right: bool) -> None:
        if not is_right:
            detail = f"{path.decode('utf-8', 'replace')} is not noted as it was packed"
            raise faults.ARCHIVE_STATE(path=os.fsdecode(self._folder), detail=detail)


def _give(
    records: list[tuple[int, Record]], blocks: list[Block]
) -> Iterator[tuple[int, Record, list[Block]]]:
    at = 0
    for place, record in records:
        count = record.blocks if isinstance(record, FolderRecord) else 0
        yield place, record, blocks[at : at + count]
        at += count
