"""Packs a snapshot as its plan says: every byte is read once, checked, hashed and committed to.

Here the contents of the plan are begun, in batches that threads read and hash; `finishing` has them
when they are back, `piece_making` the pieces they go into, `resuming` where a run before ended.

A file that is not what its key says, or that changed, stops the run (`SourceFault`); nothing from
it on counts as packed. Who called decides what the plan says of it then, and runs again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterator
from itertools import accumulate

from ..core.progress import Progress
from ..wire.archive_rows import RowKind
from ..wire.car import encode_head
from ..wire.cid import Cid, dag_pb_cid, raw_cid
from ..wire.file_layout import Block, FileBuilder, iter_blocks
from ..wire.piece import PLAIN, Kernel
from ..wire.unixfs import PROFILE, Profile, symlink_block
from .batches import COUNT_MAX, SIZE_MAX, Batch, Leaf, RunPart
from .contents import (
    Blob,
    Content,
    File,
    SourceFault,
    Sources,
    is_blob,
    is_sealed,
    is_sealed_run,
    wants_md5,
)
from .finishing import Finisher
from .large_blobs import is_large_blob
from .leaf_jobs import LeafJob
from .piece_making import PieceMaker
from .piece_stream import ROOM, usual_lanes
from .plan_file import Plan
from .plan_records import FileRecord, FolderRecord, PieceRecord, RunRecord
from .resuming import find_start, place_of
from .snapshot_state import DonePiece, SnapshotState


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
        self._profile = profile
        # Threads would only wait for each other's leaves: a file's hash is left to this one then.
        self._is_alone = (lanes or usual_lanes(kernel)) == 1
        self._pieces = PieceMaker(plan, state, kernel, folder, lanes)
        self._finisher = Finisher(state, sources, progress, profile)
        self._content: tuple[Content, FileBuilder] | None = None
        self._batch = Batch()
        self._batches: deque[Batch] = deque()
        part = self._pieces.part_path(len(state.pieces))
        self._pieces.start = find_start(plan, state, part, profile, kernel)
        self._resume = self._finisher.resume = self._pieces.start.number
        self._finisher.begun = self._pieces.start.begun

    def run(self) -> Iterator[DonePiece]:
        """Do all that is not done; gives each piece once it is finished, those done before too.

        Raises:
            SourceFault: A file is not what was planned.
            OSError: A piece could not be written.
        """
        blobs = self._sources.iter_blobs(self._iter_blobs_wanted())
        try:
            for record in self._plan.in_runs():
                if isinstance(record, RunRecord):
                    self._begin_run(record, blobs)
                elif isinstance(record, FileRecord):
                    self._begin_file(record, blobs)
                elif isinstance(record, FolderRecord):
                    self._begin_folder(record)
                elif isinstance(record, PieceRecord):
                    self._finish_all()
                    root = self.root if self._pieces.is_last() else None
                    yield self._pieces.end(record, root)
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
        self._pieces.forget_from(*place_of(self._plan, record.number))

    @property
    def root(self) -> Cid:
        """What all of the snapshot is under, once it is packed."""
        return self._finisher.tree.root

    def _stop(self) -> None:
        """Leave what is being made; may be called twice."""
        self._pieces.stop()
        self._finisher.stop()
        self._content = None
        self._state.flush()

    def _iter_blobs_wanted(self) -> Iterator[FileRecord]:
        for record in self._plan.in_runs() if self._plan.summary.blobs else ():
            if isinstance(record, RunRecord):
                if RowKind.GIT in record.kinds:
                    yield from filter(self._is_wanted, record.records())
            elif isinstance(record, FileRecord) and self._is_wanted(record):
                yield record

    def _is_wanted(self, record: FileRecord) -> bool:
        is_new = record.number >= self._resume and record.ref is None and not record.start
        return is_new and is_blob(record) and not is_large_blob(record)

    # folders and files are begun

    def _begin_folder(self, record: FolderRecord) -> None:
        if record.number < self._resume or record.ref is not None:
            self._begin_unwritten(record)
        elif record.length <= ROOM:
            place = self._take(record.offset, record.length)
            self._batch.add((record, place, None))
        else:
            self._finish_all()
            stream = self._pieces.stream_at(record.offset)
            for cid, block in self._finisher.close_folder(record):
                stream.emit([encode_head(cid, len(block)), block])

    def _begin_run(self, run: RunRecord, blobs: Iterator[bytes | None]) -> None:
        """Files of one leaf, as most are, as many at a time as a batch takes."""
        if run.number < self._resume:
            for record in run.records():
                self._begin_file(record, blobs)
            return
        lengths, paths = run.lengths, self._sources.usual_paths(run)
        ends = list(accumulate(lengths, initial=run.offset))
        sealed = run.records() if is_sealed_run(run) else []
        start = 0
        while start < len(lengths):
            if self._batch.is_full(lengths[start]):
                self._begin_next()
            room = SIZE_MAX - self._batch.size
            stop = bisect_right(ends, ends[start] + room, start + 1) - 1
            stop = max(start + 1, min(stop, start + COUNT_MAX - self._batch.count))
            place = self._take(ends[start], ends[stop] - ends[start])
            shift, job = place - ends[start], self._batch.job
            assert job is not None
            places = [
                end - size + shift
                for end, size in zip(ends[start + 1 : stop + 1], run.sizes[start:stop], strict=True)
            ]
            by_md5 = list(map(wants_md5, run.keys[start:stop]))
            leaf = job.add_files(paths[start:stop], places, run.sizes[start:stop], by_md5)
            if sealed:
                self._batch.seal(sealed[start:stop], places)
            elif RowKind.GIT in run.kinds[start:stop]:
                self._fill_in(run, start, job.buffer, places, blobs)
            self._batch.add(RunPart(run, start, stop, place, leaf))
            start = stop

    def _fill_in(
        self, run: RunRecord, start: int, buffer: memoryview, places: list[int],
        blobs: Iterator[bytes | None],
    ) -> None:  # fmt: skip
        """Put in place what git has of files of a run."""
        for number, (place, kind) in enumerate(zip(places, run.kinds[start:], strict=False), start):
            if kind == RowKind.GIT:
                data = next(blobs)
                if data is None or len(data) != run.sizes[number]:
                    data = Blob(run.record(number), data).data
                buffer[place : place + len(data)] = data

    def _begin_file(self, record: FileRecord, blobs: Iterator[bytes | None]) -> None:
        if record.number < self._resume or record.ref is not None:
            self._begin_unwritten(record)
        elif record.kind is RowKind.SYMLINK:
            block = symlink_block(Blob(record, next(blobs)).data)
            self._begin_block(record, Block(dag_pb_cid(block), block))
        elif record.size > self._profile.chunk_size:
            self._begin_large(record, blobs)
        elif is_blob(record):
            data = Blob(record, next(blobs)).data
            self._begin_block(record, Block(raw_cid(data), data))
        else:
            self._begin_leaf(record)

    def _begin_unwritten(self, record: FileRecord | FolderRecord) -> None:
        """What is known, or stands elsewhere: it has its turn, as a folder is made of it."""
        self._batch.add((record, -1, None))
        if self._batch.is_full(0):
            self._begin_next()

    def _begin_block(self, record: FileRecord, block: Block) -> None:
        """A file of one block that is in memory and was checked."""
        place = self._take(record.offset, record.length)
        batch = self._batch
        assert batch.job is not None
        section = encode_head(block.cid, len(block.data)) + block.data
        batch.job.buffer[place : place + len(section)] = section
        batch.add((record, -1, block.cid))

    def _begin_leaf(self, record: FileRecord) -> None:
        """A file of one leaf."""
        size = record.size
        place = self._take(record.offset, record.length)
        batch = self._batch
        assert batch.job is not None
        path, start = self._sources.usual_path_of(record), place + record.length - size
        leaf = batch.job.add_files([path], [start], [size], [wants_md5(record.key)])
        if is_sealed(record):
            batch.seal([record], [start])
        batch.add((record, place, leaf))

    def _begin_large(self, record: FileRecord, blobs: Iterator[bytes | None]) -> None:
        """A file of several leaves, or the part of it in this piece."""
        if self._content is None:
            self._content = self._open(record, blobs), FileBuilder(record.size, self._profile)
            self._finisher.contents.add(self._content[0])
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

    def _begin_one(self, leaf: Leaf, offset: int, length: int) -> None:
        """A leaf, and the nodes that stand after it."""
        _, content, _, block = leaf
        self._begin_next()
        place = self._take(offset, length)
        batch = self._batch
        assert batch.job is not None and block.start is not None
        at = place + block.head_size
        if is_sealed(leaf[0]):  # made from its start on, by one thread
            content.read(batch.job.buffer[at : at + block.size], block.start)
            batch.job.add_leaf(at, block.size)
        else:
            batch.job.set_leaf(content, block.start, at, block.size)
        batch.leaf = leaf
        self._begin_next()

    def _open(self, record: FileRecord, blobs: Iterator[bytes | None]) -> Content:
        if is_large_blob(record):
            return File(record, self._sources.open_blob(record), self._profile.chunk_size)
        if is_blob(record):
            return Blob(record, next(blobs))
        if is_sealed(record):
            from .sealed_contents import open_sealed  # late: most archives are in the clear

            return open_sealed(self._sources, record)
        path, kernel = self._sources.path_of(record), self._kernel if self._is_alone else PLAIN
        return File(record, path, self._profile.chunk_size, kernel)

    # batches

    def _take(self, offset: int, length: int) -> int:
        """Where in the buffer of the batch, or of a new one, the next so many bytes stand."""
        if self._batch.is_full(length):
            self._begin_next()
        batch = self._batch
        if self._pieces.is_done:  # of a file that goes on in the piece after it
            batch.job, batch.size = LeafJob(bytearray(length)), length
            return 0
        stream = self._pieces.stream_at(offset - batch.size)
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
        batch, self._batch = self._batch, Batch()
        stream = self._pieces.stream
        if batch.sealed[0]:
            from .sealed_many import seal_many  # late: most archives are in the clear

            assert batch.job is not None
            seal_many(self._sources, self._kernel, *batch.sealed, batch.job.buffer)
        if batch.is_written and batch.job is not None:
            assert stream is not None
            stream.take(batch.size)
            stream.start_job(batch.job)
        elif batch.job is not None:
            batch.job.run(self._kernel, b"")
        if batch.todo or batch.job is not None:
            self._batches.append(batch)
        while len(self._batches) > (stream.in_flight_max if stream else 0):
            self._finish_oldest()

    def _finish_all(self) -> None:
        self._begin_next()
        while self._batches:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        batch = self._batches.popleft()
        self._finisher.finish(batch)
        if batch.is_written:
            assert self._pieces.stream is not None
            self._pieces.stream.fill(batch.size)
