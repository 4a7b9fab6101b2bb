"""Packs a snapshot as its plan says: every byte is read once, checked, hashed and committed to.

A file that is not what its key says, or that changed, stops the run (`SourceFault`); nothing from
it on counts as packed. Who called decides what the plan says of it then, and runs again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import lru_cache

from ..core.progress import Progress
from ..wire.archive_rows import RowKind
from ..wire.car import encode_head
from ..wire.cid import RAW_SHA256, SHA256_CID_SIZE, Cid, cid_text, dag_pb_cid, raw_cid
from ..wire.file_layout import Block, FileBuilder, PlannedBlock, iter_blocks, plan_file
from ..wire.folder_layout import build_folder
from ..wire.piece import PLAIN, Kernel
from ..wire.unixfs import PROFILE, Profile, symlink_block, symlink_block_size
from ..wire.varint import encode_varint
from .contents import (
    Blob,
    Content,
    File,
    SourceFault,
    Sources,
    check_leaf,
    is_blob,
    is_right,
    leaf_digest,
    wants_md5,
)
from .leaf_jobs import DIGEST_SIZE, MD5_SIZE, LeafJob
from .packed_tree import PackedTree
from .piece_stream import ROOM, CarFile, PieceStream, usual_lanes
from .piece_tail import PieceTail
from .plan_records import FileRecord, FolderRecord, PieceRecord, Plan
from .sealed_contents import is_sealed, open_sealed
from .snapshot_state import DonePiece, SnapshotState

EMPTY_FOLDER = build_folder([]).blocks[-1].cid
"""What the header of every piece but the last names as its root."""


_BATCH_SIZE = 1 << 20
_BATCH_COUNT = 1024
"""So much, and so many files, are one job at most; one that is larger alone is a job, too."""


class _Batch:
    """What stands together in a buffer: begun in the order of the plan, and finished in it."""

    __slots__ = ("is_written", "job", "leaf", "place", "size", "todo")

    def __init__(self) -> None:
        self.job: LeafJob | None = None
        self.is_written = False
        self.place = self.size = 0
        self.todo: list[_Todo] = []
        self.leaf: _Leaf | None = None


_Todo = tuple[FileRecord | FolderRecord, int, "int | Cid | None"]
"""A file or folder, where its bytes will stand if it has some, and its leaf's number or its CID."""
_Leaf = tuple[FileRecord, Content, FileBuilder, PlannedBlock]
"""A leaf of a file with more than one."""


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
        lanes: int = 0,
    ) -> None:
        """``folder`` is where the pieces are written, if they are; ``lanes``: see `PieceStream`."""
        self._plan = plan
        self._state = state
        self._sources = sources
        self._kernel = kernel
        self._progress = progress
        self._folder = folder
        self._profile = profile
        self._lanes = lanes
        self._tree = PackedTree(profile)
        self._stream: PieceStream | None = None
        self._file: CarFile | None = None
        self._content: tuple[Content, FileBuilder] | None = None
        self._contents: set[Content] = set()
        self._batch = _Batch()
        self._batches: deque[_Batch] = deque()
        self._number = 0
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
            for record in self._plan:
                if isinstance(record, FileRecord):
                    self._begin_file(record, blobs)
                elif isinstance(record, FolderRecord):
                    self._begin_folder(record)
                elif isinstance(record, PieceRecord):
                    self._finish_all()
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
        return self._tree.root

    def _stop(self) -> None:
        """Leave what is being made; may be called twice."""
        if self._stream is not None:
            self._stream.close()
        for content in self._contents:
            content.close()
        if self._file is not None:
            self._file.close()
        self._contents.clear()
        self._content = self._stream = self._file = None
        self._state.flush()

    # where to go on

    def _find_start(self) -> int:
        """The first number that is not known; all from there on is forgotten."""
        noted, at_least = self._state.count, (self._done, self._known)
        if not noted and not self._done:
            self._state.cut(0, 0)
            return 0
        count = leaves = piece = 0
        for record in self._plan:
            if isinstance(record, PieceRecord):
                piece += 1
            elif isinstance(record, FolderRecord) or (
                isinstance(record, FileRecord) and record.is_end
            ):  # a file is known with its last part
                end = piece, record.offset + record.length
                if record.number >= noted or end > at_least:
                    if piece < self._done:  # what is noted is not enough to go on from
                        self._state.rewind(piece, 0)
                        self._done, self._known = piece, 0
                        return self._find_start()
                    noted = min(noted, record.number)  # nor is anything after it known
                elif isinstance(record, FolderRecord):
                    count = record.number + 1
                else:
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

    # folders and files are begun

    def _begin_folder(self, record: FolderRecord) -> None:
        if record.number < self._resume or record.ref is not None:
            self._begin_unwritten(record)
        elif record.length <= ROOM:
            place = self._take(record.offset, record.length)
            self._batch.todo.append((record, place, None))
        else:
            self._finish_all()
            stream = self._stream_at(record.offset)
            for cid, block in self._close_folder(record):
                stream.emit([encode_head(cid, len(block)), block])

    def _begin_file(self, record: FileRecord, blobs: Iterator[bytes | None]) -> None:
        if record.number < self._resume or record.ref is not None:
            self._begin_unwritten(record)
        elif record.kind is RowKind.SYMLINK:
            block = symlink_block(Blob(record, next(blobs)).data)
            self._begin_block(record, Block(dag_pb_cid(block), block))
        elif record.size > self._profile.chunk_size or is_sealed(record):
            self._begin_large(record, blobs)
        elif is_blob(record):
            data = Blob(record, next(blobs)).data
            self._begin_block(record, Block(raw_cid(data), data))
        else:
            self._begin_leaf(record)

    def _begin_unwritten(self, record: FileRecord | FolderRecord) -> None:
        """What is known, or stands elsewhere: it has its turn, as a folder is made of it."""
        self._batch.todo.append((record, -1, None))
        if len(self._batch.todo) >= _BATCH_COUNT:
            self._begin_next()

    def _begin_block(self, record: FileRecord, block: Block) -> None:
        """A file of one block that is in memory and was checked."""
        place = self._take(record.offset, record.length)
        batch = self._batch
        assert batch.job is not None
        section = encode_head(block.cid, len(block.data)) + block.data
        batch.job.buffer[place : place + len(section)] = section
        batch.todo.append((record, -1, block.cid))

    def _begin_leaf(self, record: FileRecord) -> None:
        """A file of one leaf, as most are."""
        size, key = record.size, record.key
        place = self._take(record.offset, record.length)
        batch = self._batch
        assert batch.job is not None
        path, by_md5 = self._sources.usual_path_of(record), wants_md5(key)
        start = place + record.length - size
        batch.todo.append((record, place, batch.job.add_file(path, start, size, by_md5=by_md5)))

    def _begin_large(self, record: FileRecord, blobs: Iterator[bytes | None]) -> None:
        """A file of several leaves, or the part of it in this piece."""
        if self._content is None:
            self._content = self._open(record, blobs), FileBuilder(record.size, self._profile)
            self._contents.add(self._content[0])
        content, builder = self._content
        first, offset = record.start // self._profile.chunk_size, record.offset
        leaf, length = None, 0
        for block in iter_blocks(record.size, 0, self._profile, first_leaf=first):
            if block.start is not None:
                if leaf is not None:
                    self._begin_one((record, content, builder, leaf), offset, length)
                    offset += length
                if block.start >= record.stop:
                    break
                leaf, length = block, 0
            length += block.head_size + block.size
        else:
            assert leaf is not None
            self._begin_one((record, content, builder, leaf), offset, length)
            self._content = None

    def _begin_one(self, leaf: _Leaf, offset: int, length: int) -> None:
        """A leaf, and the nodes that stand after it."""
        _, content, _, block = leaf
        self._begin_next()
        place = self._take(offset, length)
        batch = self._batch
        assert batch.job is not None and block.start is not None
        at = place + block.head_size
        if is_sealed(leaf[0]):  # made from its start on, by one thread
            content.read(memoryview(batch.job.buffer)[at : at + block.size], block.start)
            batch.job.add_leaf(at, block.size)
        else:
            batch.job.set_leaf(content, block.start, at, block.size)
        batch.leaf = leaf
        self._begin_next()

    def _open(self, record: FileRecord, blobs: Iterator[bytes | None]) -> Content:
        if is_blob(record):
            return Blob(record, next(blobs))
        if is_sealed(record):
            return open_sealed(self._sources, record)
        # Threads would only wait for each other's leaves: the file's hash is left to this one then.
        is_alone = (self._lanes or usual_lanes(self._kernel)) == 1
        path, kernel = self._sources.path_of(record), self._kernel if is_alone else PLAIN
        return File(record, path, self._profile.chunk_size, kernel)

    def _take(self, offset: int, length: int) -> int:
        """Where in the buffer of the batch, or of a new one, the next so many bytes stand."""
        batch = self._batch
        if batch.size + length > _BATCH_SIZE or len(batch.todo) >= _BATCH_COUNT:
            self._begin_next()
            batch = self._batch
        if self._number < self._done:  # of a file that goes on in the piece after it
            batch.job, batch.size = LeafJob(bytearray(length)), length
            return 0
        stream = self._stream_at(offset - batch.size)
        batch.is_written = True
        if batch.job is None:
            while not stream.has_room() and self._batches:
                self._finish_oldest()
            buffer, batch.place = stream.room()
            batch.job = LeafJob(buffer)
        place = batch.place + batch.size
        batch.size += length
        return place

    def _begin_next(self) -> None:
        """Have the batch worked on, and open another one."""
        batch, self._batch = self._batch, _Batch()
        if batch.is_written and batch.job is not None:
            assert self._stream is not None
            self._stream.take(batch.size)
            self._stream.start_job(batch.job)
        elif batch.job is not None:
            batch.job.run(self._kernel, b"")
        if batch.todo or batch.job is not None:
            self._batches.append(batch)
        while len(self._batches) > (self._stream.in_flight_max if self._stream else 0):
            self._finish_oldest()

    # folders and files are finished

    def _finish_all(self) -> None:
        self._begin_next()
        while self._batches:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        """All of a batch: checked, noted, with what stands before and after leaves."""
        batch = self._batches.popleft()
        if batch.job is not None:
            batch.job.wait()
        if batch.leaf is not None:
            self._finish_leaf(batch, *batch.leaf)
        elif batch.job is None:
            for record, _, cid in batch.todo:
                self._finish_unwritten(record, cid)
        else:
            self._finish_files(batch, batch.job)
        if batch.is_written:
            assert self._stream is not None
            self._stream.fill(batch.size)

    def _finish_files(self, batch: _Batch, job: LeafJob) -> None:
        buffer, digests, wrong = job.buffer, job.digests, job.wrong
        state, tree, by_md5 = self._state, self._tree, 0
        files = size = 0
        for record, place, what in batch.todo:
            if isinstance(record, FolderRecord):
                blocks = self._close_folder(record)
                if place >= 0:
                    for cid, block in blocks:
                        section = encode_head(cid, len(block)) + block
                        buffer[place : place + len(section)] = section
                        place += len(section)
                continue
            if not isinstance(what, int):
                self._finish_unwritten(record, what)
                continue
            digest = digests[what * DIGEST_SIZE : (what + 1) * DIGEST_SIZE]
            md5 = b""
            if job.md5 and wants_md5(record.key):
                md5 = job.md5[by_md5 : by_md5 + MD5_SIZE]
                by_md5 += MD5_SIZE
            if wrong[what] or not is_right(record.key, digest, md5):
                digest = self._check(record, buffer, place, wrong=bool(wrong[what]))
            head = _head_start(record.size)
            cid = Cid(RAW_SHA256 + digest)
            buffer[place : place + len(head) + SHA256_CID_SIZE] = head + cid
            tree.add(record.path, cid, record.size)
            state.add(cid)
            files += 1
            size += record.size
        self._progress.advance(files, size)

    def _check(self, record: FileRecord, buffer: bytearray, place: int, *, wrong: bool) -> bytes:
        """Look closer at a file that could not be read, or whose key is not a usual one.

        Raises:
            SourceFault: It is not what was planned.
        """
        start = place + record.length - record.size
        view = memoryview(buffer)[start : start + record.size]
        if not wrong:
            return check_leaf(record, view)
        file = File(record, self._sources.path_of(record), self._profile.chunk_size)
        try:
            file.read(view, 0)
            digest = leaf_digest(view)
            file.take(view, digest)
            file.finish()
        finally:
            file.close()
        return digest

    def _finish_unwritten(self, record: FileRecord | FolderRecord, cid: object) -> None:
        """What is known, stands elsewhere, or was a block in memory."""
        if isinstance(record, FolderRecord):
            self._close_folder(record)
        elif record.number < self._resume:
            if record.is_end:
                self._add_to_tree(record, self._state.cid(record.number))
        else:
            if record.ref is not None:
                cid = self._state.cid(record.ref) if isinstance(record.ref, int) else record.ref
            else:
                symlink = record.kind is RowKind.SYMLINK
                self._progress.advance(1, 0 if symlink else record.size)
            assert isinstance(cid, bytes)
            self._add_to_tree(record, Cid(cid))
            self._state.add(Cid(cid))

    def _finish_leaf(
        self, batch: _Batch, record: FileRecord, content: Content, builder: FileBuilder,
        leaf: PlannedBlock,
    ) -> None:  # fmt: skip
        job, at = batch.job, batch.place
        assert job is not None and leaf.start is not None
        start = at + leaf.head_size
        digest, view = job.digests, memoryview(job.buffer)[start : start + leaf.size]
        content.take(view, digest)
        if record.size > self._profile.chunk_size:
            self._state.add_digest(digest)
        job.buffer[at:start] = encode_head(RAW_SHA256 + digest, leaf.size)
        at = start + leaf.size
        for cid, block in builder.add(digest):
            section = encode_head(cid, len(block)) + block
            job.buffer[at : at + len(section)] = section
            at += len(section)
        assert at == batch.place + batch.size, "nodes are not as they were planned"
        is_end = leaf.start + leaf.size == record.size
        if is_end:
            content.finish()
            content.close()
            self._contents.remove(content)
            self._add_to_tree(record, builder.root)
            self._state.add(builder.root)
        self._progress.advance(int(is_end), leaf.size)

    def _close_folder(self, record: FolderRecord) -> list[Block]:
        blocks = self._tree.close(record.path)
        assert len(blocks) == record.blocks, "folders are not as they were planned"
        if record.number >= self._resume:
            self._state.add(blocks[-1].cid)
        return blocks

    def _add_to_tree(self, record: FileRecord, cid: Cid) -> None:
        size = record.size
        if record.kind is RowKind.SYMLINK:
            size = symlink_block_size(size)
        elif size > self._profile.chunk_size:
            size = plan_file(size, self._profile).tsize
        self._tree.add(record.path, cid, size)

    # pieces

    def _stream_at(self, offset: int) -> PieceStream:
        """The piece being made, at that offset."""
        number = self._number
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
                self._lanes,
            )
        assert self._stream.offset == offset, "what was packed is not as it was planned"
        return self._stream

    def _end_piece(self, record: PieceRecord) -> DonePiece:
        number = self._number
        self._number += 1
        if number < self._done:
            return self._state.pieces[number]
        is_last = number + 1 == len(self._sizes)
        root = self._tree.root if is_last else None
        stream = self._stream_at(record.index_offset)
        self._state.flush()
        tail = PieceTail(self._plan, self._state, number)
        for cid, block in tail.blocks(record, [piece.ref for piece in self._state.pieces], root):
            stream.emit([encode_head(cid, len(block)), block])
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


@lru_cache(maxsize=4096)
def _head_start(size: int) -> bytes:
    """What stands before the CID of a leaf of that size."""
    return encode_varint(SHA256_CID_SIZE + size)
