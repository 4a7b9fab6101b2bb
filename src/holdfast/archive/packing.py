"""Packs a snapshot as its plan says: every byte is read once, checked, hashed and committed to.

A file that is not what its key says, or that changed, stops the run (`SourceFault`); nothing from
it on counts as packed. Who called decides what the plan says of it then, and runs again.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import suppress

from ..core.progress import Progress
from ..wire.archive_rows import RowKind
from ..wire.cid import RAW_SHA256, Cid, cid_text, dag_pb_cid
from ..wire.file_layout import Block, FileBuilder, plan_file
from ..wire.folder_layout import build_folder
from ..wire.piece import Kernel
from ..wire.tree_layout import TreeBuilder
from ..wire.unixfs import PROFILE, Profile, symlink_block, symlink_block_size
from .contents import Blob, Content, File, SourceFault, Sources, is_blob, leaf_digest
from .piece_stream import CarFile, PieceStream
from .piece_tail import PieceTail
from .plan_records import (
    FileRecord,
    FolderRecord,
    OpenedRecord,
    PieceRecord,
    Plan,
    Record,
)
from .sealed_contents import is_sealed, open_sealed
from .snapshot_state import DonePiece, SnapshotState

EMPTY_FOLDER = build_folder([]).blocks[-1].cid
"""What the header of every piece but the last names as its root."""


class Packer:
    """Packs one snapshot; may be stopped anywhere, and a new one goes on."""

    def __init__(
        self,
        plan: Plan,
        state: SnapshotState,
        sources: Sources,
        kernel: Kernel,
        progress: Progress,
        *,
        folder: bytes = b"",
        profile: Profile = PROFILE,
    ) -> None:
        """``folder`` is where the pieces are written, if they are."""
        self._plan = plan
        self._state = state
        self._sources = sources
        self._kernel = kernel
        self._progress = progress
        self._folder = folder
        self._profile = profile
        self._builder = TreeBuilder(profile)
        self._stream: PieceStream | None = None
        self._file: CarFile | None = None
        self._content: tuple[Content, FileBuilder] | None = None
        self._number = 0
        self._scratch = bytearray()
        self._done = len(state.pieces)
        self._known = state.resume_at(self._part_path(self._done))
        self._sizes = plan.summary.sizes
        self._resume = self._find_start()

    def run(self) -> Iterator[DonePiece]:
        """Do all that is not done; gives each piece once it is finished, those done before too.

        Raises:
            SourceFault: A file is not what was planned.
            OSError: A piece could not be written.
        """
        blobs = self._sources.iter_blobs(self._iter_blobs_wanted())
        try:
            for record, blocks in self._with_folders():
                if isinstance(record, FileRecord):
                    self._take_file(record, blobs)
                elif isinstance(record, FolderRecord):
                    self._take_folder(record, blocks)
                elif isinstance(record, PieceRecord):
                    yield self._end_piece(record)
        except SourceFault as fault:
            self._stop()
            self.forget(fault.record)
            raise
        finally:
            if isinstance(blobs, Generator):
                blobs.close()
            self._stop()

    def forget(self, record: FileRecord) -> None:
        """Nothing counts as packed from that file on."""
        self._forget_from(*self._place_of(record.number))

    def _forget_from(self, number: int, offset: int) -> None:
        """Nothing counts as packed from there on; there may be fewer pieces in the next plan."""
        self._state.rewind(number, offset)
        for later in range(number + 1, self._number + 1):
            if path := self._part_path(later):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def _place_of(self, number: int) -> tuple[int, int]:
        """The piece and the offset at which a file begins."""
        piece = 0
        for record in self._plan:
            if isinstance(record, PieceRecord):
                piece += 1
            elif isinstance(record, FileRecord) and record.number == number:
                return piece, record.offset
        raise AssertionError("a file is not in its plan")

    @property
    def root(self) -> Cid:
        """What all of the snapshot is under, once it is packed."""
        return self._builder.root.cid

    def _stop(self) -> None:
        """Leave what is being made; may be called twice."""
        if self._content is not None:
            self._content[0].close()
        if self._stream is not None:
            self._stream.close()
        if self._file is not None:
            self._file.close()
        self._content = self._stream = self._file = None
        self._state.flush()

    # where to go on

    def _find_start(self) -> int:
        """The first number that is not known; all from there on is forgotten."""
        noted, at_least = self._state.count, (self._done, self._known)
        if not noted:
            self._state.cut(0, 0)
            return 0
        count = leaves = piece = 0
        for record in self._plan:
            if isinstance(record, PieceRecord):
                piece += 1
            elif isinstance(record, FileRecord | FolderRecord):
                end = piece, record.offset + record.length
                if record.number >= noted or end > at_least:
                    noted = min(noted, record.number)  # nor is anything after it known
                elif isinstance(record, FolderRecord):
                    count = record.number + 1
                elif record.is_end:  # a file is known with its last part
                    count = record.number + 1
                    if record.ref is None and record.size > self._profile.chunk_size:
                        leaves += plan_file(record.size, self._profile).leaves
        self._state.cut(count, leaves)
        return count

    def _iter_blobs_wanted(self) -> Iterator[FileRecord]:
        for record in self._plan if self._plan.summary.blobs else ():
            if not isinstance(record, FileRecord) or record.start or not is_blob(record):
                continue
            if record.number >= self._resume and record.ref is None:
                yield record

    def _with_folders(self) -> Iterator[tuple[Record, list[Block]]]:
        """The records; folders with their blocks, which are told by the path that comes after."""
        builder = self._builder
        waiting: list[Record] = []
        for record in self._plan:
            if isinstance(record, FileRecord):
                blocks = [] if record.start else builder.reach(record.path)
            elif isinstance(record, OpenedRecord):
                blocks = builder.reach_folder(record.path)
            else:
                waiting.append(record)
                continue
            if waiting:
                yield from _give(waiting, blocks)
                waiting = []
            yield record, []
        yield from _give(waiting, builder.finish())

    # folders and files

    def _take_folder(self, record: FolderRecord, blocks: list[Block]) -> None:
        if record.number < self._resume:
            return
        if record.ref is None:
            stream = self._stream_at(record.offset)
            if stream is not None:
                for cid, block in blocks:
                    stream.emit(cid, block)
        self._state.add(blocks[-1].cid)

    def _take_file(self, record: FileRecord, blobs: Iterator[bytes | None]) -> None:
        if record.number < self._resume:
            if record.is_end:
                self._add_to_tree(record, self._state.cid(record.number))
            return
        ref = record.ref
        if ref is None:
            cid = self._pack(record, blobs)
        else:
            cid = self._state.cid(ref) if isinstance(ref, int) else ref
        if cid is not None:
            self._add_to_tree(record, cid)
            self._state.add(cid)

    def _add_to_tree(self, record: FileRecord, cid: Cid) -> None:
        size = record.size
        if record.kind is RowKind.SYMLINK:
            size = symlink_block_size(size)
        elif size > self._profile.chunk_size:
            size = plan_file(size, self._profile).tsize
        self._builder.add(cid, size)

    def _pack(self, record: FileRecord, blobs: Iterator[bytes | None]) -> Cid | None:
        """Pack a file, or the part of it in this piece; its CID at its end."""
        stream = self._stream_at(record.offset)
        if record.kind is RowKind.SYMLINK:
            return self._pack_link(stream, Blob(record, next(blobs)).data)
        if is_small_file(record, self._profile.chunk_size):
            return self._pack_leaf(record, stream)
        if self._content is None:
            self._content = self._open(record, blobs), FileBuilder(record.size, self._profile)
        content, builder = self._content
        chunk, at = self._profile.chunk_size, record.start
        while True:
            size = min(chunk, record.stop - at)
            view = self._room(size) if stream is None else stream.leaf_view(size)
            content.read(view)
            digest = leaf_digest(view)
            content.take(view, digest)
            if record.size > chunk:
                self._state.add_digest(digest)
            if stream is not None:
                stream.take_leaf(view, digest)
            for cid, block in builder.add(digest):
                if stream is not None:
                    stream.emit(cid, block)
            at += size
            if at >= record.stop:
                break
            self._progress.advance(0, size)
        if not record.is_end:
            self._progress.advance(0, size)
            return None
        content.finish()
        content.close()
        self._content = None
        self._progress.advance(1, size)
        return builder.root

    def _open(self, record: FileRecord, blobs: Iterator[bytes | None]) -> Content:
        if is_blob(record):
            return Blob(record, next(blobs))
        if is_sealed(record):
            return open_sealed(self._sources, record)
        return File(record, self._sources.path_of(record), self._profile.chunk_size)

    def _pack_leaf(self, record: FileRecord, stream: PieceStream | None) -> Cid:
        """A file of one leaf, as most are: the same as for others, with less to do."""
        size = record.size
        file = File(record, self._sources.path_of(record), self._profile.chunk_size)
        try:
            view = self._room(size) if stream is None else stream.leaf_view(size)
            file.read(view)
            digest = leaf_digest(view)
            file.take(view, digest)
            if stream is not None:
                stream.take_leaf(view, digest)
            file.finish()
        finally:
            file.close()
        self._progress.advance(1, size)
        return Cid(RAW_SHA256 + digest)

    def _pack_link(self, stream: PieceStream | None, target: bytes) -> Cid:
        block = symlink_block(target)
        cid = dag_pb_cid(block)
        if stream is not None:
            stream.emit(cid, block)
        self._progress.advance(1, 0)
        return cid

    def _room(self, size: int) -> memoryview:
        """Where to read what is not written again."""
        if len(self._scratch) < size:
            self._scratch = bytearray(size)
        return memoryview(self._scratch)[:size]

    # pieces

    def _stream_at(self, offset: int) -> PieceStream | None:
        """The piece being made, at that offset; None when it is finished already."""
        number = self._number
        if number < self._done:
            return None
        if self._stream is None:
            start = self._known if number == self._done else 0
            if self._folder:
                self._file = CarFile(self._part_path(number), self._sizes[number])
            self._stream = PieceStream(
                self._kernel,
                self._state.stem(number),
                self._file,
                self._state.flush,
                start,
                offset,
            )
        assert self._stream.offset == offset, "what was packed is not as it was planned"
        return self._stream

    def _end_piece(self, record: PieceRecord) -> DonePiece:
        number = self._number
        self._number += 1
        if number < self._done:
            return self._state.pieces[number]
        is_last = number + 1 == len(self._sizes)
        root = self._builder.root.cid if is_last else None
        stream = self._stream_at(record.index_offset)
        assert stream is not None
        self._state.flush()
        tail = PieceTail(self._plan, self._state, number)
        for cid, block in tail.blocks(record, [piece.ref for piece in self._state.pieces], root):
            stream.emit(cid, block)
        piece_cid = stream.finish(root or EMPTY_FOLDER, record.size)
        path = b""
        if self._file is not None:
            path = os.path.join(self._folder, cid_text(piece_cid).encode() + b".car")
            self._file.finish(record.size, path)
        piece = DonePiece(piece_cid, record.size, tail.manifest, record.first, record.last, path)
        self._state.end_piece(piece)
        stream.close()
        self._forget(number)
        self._stream = self._file = None
        return piece

    def _forget(self, number: int) -> None:
        """The first group is part of the piece; its root is with the others now."""
        with suppress(FileNotFoundError):
            os.unlink(self._state.stem(number) + b".first")

    def _part_path(self, number: int) -> bytes:
        if not self._folder:
            return b""
        head = self._plan.head
        name = f".{head.dataset}-{head.snapshot}-{number}.part".encode()
        return os.path.join(self._folder, name)


def is_small_file(record: FileRecord, chunk_size: int) -> bool:
    """Whether it is one leaf, which is as it stands in a file."""
    return record.size <= chunk_size and not is_blob(record) and not is_sealed(record)


def _give(records: list[Record], blocks: list[Block]) -> Iterator[tuple[Record, list[Block]]]:
    at = 0
    for record in records:
        count = record.blocks if isinstance(record, FolderRecord) else 0
        yield record, blocks[at : at + count]
        at += count
    assert at == len(blocks), "folders are not as they were planned"
