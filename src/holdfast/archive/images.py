"""Any range of a packed piece, made from its sources while it is given: never other bytes.

What comes from sources is hashed (`source_leaves`); nodes, folders and tails are kept and are held
against their CIDs; where things stand was proven when the snapshot was opened (`image_spans`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ..core import faults
from ..core.buffers import aligned_buffer
from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..core.system_errors import as_fault
from ..wire.archive_rows import RowKind
from ..wire.car import HEADER_SIZE, decode_head, encode_head, encode_header
from ..wire.cid import DAG_PB_SHA256, RAW_SHA256, SHA256_CID_SIZE, Cid, check_block
from ..wire.file_layout import iter_blocks, leaf_at, leaf_offset, section_size
from ..wire.unixfs import PROFILE, symlink_block_size
from .contents import SourceFault, Sources, is_blob
from .image_spans import BLOCK, HEADER, KEPT, SPAN, BlockRow, Span, open_spans
from .large_blobs import is_large_blob
from .piece_making import EMPTY_FOLDER
from .plan_file import Plan
from .plan_records import FileRecord, Record
from .snapshot_state import DIGEST_SIZE, DonePiece
from .source_leaves import SourceLeaves, Verified

SLICE = PROFILE.chunk_size + 64
"""So many bytes are given at once, a block that is larger aside."""
BUFFERS = 3
"""What was given stays as it is until so many more, less one, were asked for."""

_HEAD = 64


class Section(NamedTuple):
    """A section of a piece, or its header; ``fill`` puts all of its bytes into a view."""

    offset: int
    size: int
    fill: Callable[[memoryview], None]


class SnapshotImage:
    """A packed snapshot as it can be served. It holds nothing open."""

    def __init__(
        self, folder: bytes, root: Cid, pieces: Sequence[DonePiece], sources: Sources
    ) -> None:
        """Make what is needed to serve it, if that is not there: once over its plan.

        Raises:
            ConflictError: What is noted of it is not what was packed.
        """
        open_spans(folder, root)
        self.folder = folder
        self.root = root
        self.pieces = pieces
        self.sources = sources
        self.plan = Plan(folder + b"/plan")

    def open(self, verified: Verified) -> ImageReader:
        """Read from it; for one thread."""
        return ImageReader(self, verified)


class ImageReader:
    """Reads one snapshot's pieces and blocks. Close it."""

    def __init__(self, image: SnapshotImage, verified: Verified) -> None:
        self._image = image
        self._files: dict[bytes, int] = {}
        self._leaves = SourceLeaves(image.folder, image.sources, verified)
        self._block: tuple[int, Sequence[Record]] = -1, ()

    def close(self) -> None:
        """Let go of all files."""
        self._leaves.close()
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ranges of pieces

    def chunks(self, piece: int, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes of a piece from ``start`` to before ``stop``, as they are made.

        A view stays as it is until `BUFFERS` - 1 more were asked for.

        Raises:
            PlaceUnavailableError: A source is not what was packed; nothing of it was given.
        """
        buffers: list[memoryview] = []
        turn, at, base = 0, 0, start
        for offset, size, fill in self._sections(piece, start, stop):
            if at and at + size > SLICE:
                yield buffers[turn][max(0, start - base) : min(at, stop - base)]
                turn, at = (turn + 1) % BUFFERS, 0
            if not at:
                base = offset
            if len(buffers) == turn:
                buffers.append(aligned_buffer(SLICE))
            if size > SLICE:
                large = aligned_buffer(size)
                fill(large)
                yield large[max(0, start - base) : min(size, stop - base)]
                continue
            fill(buffers[turn][at : at + size])
            at += size
        if at:
            yield buffers[turn][max(0, start - base) : min(at, stop - base)]

    def _sections(self, piece: int, start: int, stop: int) -> Iterator[Section]:
        """All sections that have some of these bytes, in order."""
        number = self._find_span(piece, start)
        while start < stop:
            span = self._span(number)
            assert span.piece == piece and span.offset <= start, "a piece has a gap"
            number += 1
            if not span.length:
                continue
            for section in self._in_span(span, start, stop):
                yield section
                start = section.offset + section.size
                if start >= stop:
                    return

    def _in_span(self, span: Span, start: int, stop: int) -> Iterator[Section]:
        if span.kind == HEADER:
            root = self._image.root if self._is_last(span.piece) else EMPTY_FOLDER
            yield Section(span.offset, HEADER_SIZE, partial(_put, encode_header([root])))
        elif span.kind == KEPT:
            yield from self._kept_sections(span, start)
        else:
            yield from self._file_sections(span, start, stop)

    def _is_last(self, piece: int) -> bool:
        return piece + 1 == len(self._image.pieces)

    def _kept_sections(self, span: Span, start: int) -> Iterator[Section]:
        at, end = 0, span.length
        while at < end:
            place = span.kept + at
            size = self._kept_size(place)
            if span.offset + at + size > start:
                yield Section(span.offset + at, size, partial(self._fill_kept, place))
            at += size

    def _file_sections(self, span: Span, start: int, stop: int) -> Iterator[Section]:
        record = self._record(span.place)
        if is_blob(record) and not self._leaves.has(record) and not is_large_blob(record):
            self._leaves.expect(self._blobs_from(span.place, stop))
        if record.kind is RowKind.SYMLINK or record.size <= PROFILE.chunk_size:
            fill = partial(self._fill_leaf, record, span, 0)
            yield Section(span.offset, span.length, fill)
            return
        # Where the file would begin if all of it were in this piece.
        first = record.start // PROFILE.chunk_size
        base = span.offset - leaf_offset(record.size, first)
        leaf = leaf_at(record.size, start - base)
        nodes = span.kept + _nodes_before(record.size, leaf) - _nodes_before(record.size, first)
        for offset, head, size, content in iter_blocks(record.size, base, first_leaf=leaf):
            if offset >= span.offset + span.length:
                return
            if content is None:
                fill = partial(self._fill_kept, nodes)
                nodes += head + size
            else:
                fill = partial(self._fill_leaf, record, span, content // PROFILE.chunk_size)
            if offset + head + size > start:
                yield Section(offset, head + size, fill)

    def _blobs_from(self, place: int, stop: int) -> list[FileRecord]:
        """What git has, or is a link, from there on in a piece."""
        records = self._records(place)[self._image.plan.at_place(place) :]
        wanted = []
        for record in records:
            if isinstance(record, FileRecord) and record.ref is None and not record.start:
                if not is_blob(record) or record.offset >= stop:
                    break
                wanted.append(record)
        return wanted or [self._record(place)]

    # blocks by their CIDs

    def find(self, digest: bytes) -> bytes | None:
        """The block of that sha2-256, checked; None when it is not in this snapshot.

        Raises:
            PlaceUnavailableError: Its source is not what was packed.
        """
        for row in self._rows_of(digest[:8]):
            if row.kind == KEPT:
                size = self._kept_size(row.at)
                head = decode_head(self._pread(b"served-kept", _HEAD, row.at))
                if head.cid[4:] == digest:
                    section = bytearray(size)
                    self._fill_kept(row.at, memoryview(section))
                    return bytes(section[head.start :])
                continue
            span = self._span(row.at)
            record = self._record(span.place)
            if self._digest(record, span, row.leaf) == digest:
                return self._leaf_block(record, row.leaf, digest)
        return None

    def _leaf_block(self, record: FileRecord, leaf: int, digest: bytes) -> bytes:
        block = bytearray(_block_size(record, leaf))
        self._read_leaf(record, leaf, memoryview(block), digest)
        return bytes(block)

    def _rows_of(self, prefix: bytes) -> Iterator[BlockRow]:
        low, high = 0, self._count(b"served-blocks", BLOCK.size)
        while low < high:
            middle = (low + high) // 2
            if self._pread(b"served-blocks", 8, middle * BLOCK.size) < prefix:
                low = middle + 1
            else:
                high = middle
        while raw := self._pread(b"served-blocks", BLOCK.size, low * BLOCK.size):
            row = BlockRow._make(BLOCK.unpack(raw))
            if row.prefix != prefix:
                return
            yield row
            low += 1

    # sections

    def _fill_leaf(self, record: FileRecord, span: Span, leaf: int, view: memoryview) -> None:
        digest, codec = self._digest(record, span, leaf), RAW_SHA256
        if record.kind is RowKind.SYMLINK:
            codec = DAG_PB_SHA256
        head = encode_head(codec + digest, _block_size(record, leaf))
        assert len(head) + _block_size(record, leaf) == len(view), "a leaf of another size"
        view[: len(head)] = head
        self._read_leaf(record, leaf, view[len(head) :], digest)

    def _read_leaf(self, record: FileRecord, leaf: int, view: memoryview, digest: bytes) -> None:
        try:
            self._leaves.read(record, leaf, view, digest)
        except SourceFault as fault:
            raise _not_as_packed(fault) from fault

    def _digest(self, record: FileRecord, span: Span, leaf: int) -> bytes:
        if record.kind is RowKind.SYMLINK or record.size <= PROFILE.chunk_size:
            return self._cid(record.number)[4:]
        return self._pread(b"digests", DIGEST_SIZE, (span.digest + leaf) * DIGEST_SIZE)

    def _cid(self, number: int) -> bytes:
        return self._pread(b"cids", SHA256_CID_SIZE, number * SHA256_CID_SIZE)

    def _kept_size(self, at: int) -> int:
        return decode_head(self._pread(b"served-kept", _HEAD, at)).end

    def _fill_kept(self, at: int, view: memoryview) -> None:
        section = self._pread(b"served-kept", len(view), at)
        try:
            head = decode_head(section)
            check_block(head.cid, section[head.start :])
            if head.end != len(section) or len(section) != len(view):
                raise ProtocolError("a section of another size")
        except (IntegrityError, ProtocolError) as error:
            path = os.fsdecode(self._image.folder)
            raise faults.ARCHIVE_STATE(path=path, detail=str(error)) from None
        view[:] = section

    # the files of the snapshot

    def _find_span(self, piece: int, offset: int) -> int:
        """The last span that begins at most there."""
        low, high = 0, self._count(b"served-spans", SPAN.size)
        while high - low > 1:
            middle = (low + high) // 2
            span = self._span(middle)
            if (span.piece, span.offset) <= (piece, offset):
                low = middle
            else:
                high = middle
        return low

    def _span(self, number: int) -> Span:
        return Span._make(SPAN.unpack(self._pread(b"served-spans", SPAN.size, number * SPAN.size)))

    def _record(self, place: int) -> FileRecord:
        record = self._records(place)[self._image.plan.at_place(place)]
        assert isinstance(record, FileRecord), "a span is of another record"
        return record

    def _records(self, place: int) -> Sequence[Record]:
        block = place - self._image.plan.at_place(place)
        if self._block[0] != block:
            try:
                self._block = block, self._image.plan.block_of(place)
            except OSError as error:
                path = os.fsdecode(self._image.plan.path)
                raise as_fault(error, path, reading=True) from error
        return self._block[1]

    def _open(self, name: bytes) -> int:
        file = self._files.get(name)
        if file is None:
            path = os.path.join(self._image.folder, name)
            try:
                file = self._files[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise as_fault(error, os.fsdecode(path), reading=True) from error
        return file

    def _pread(self, name: bytes, size: int, at: int) -> bytes:
        return os.pread(self._open(name), size, at)

    def _count(self, name: bytes, size: int) -> int:
        return os.fstat(self._open(name)).st_size // size


def _put(data: bytes, view: memoryview) -> None:
    view[:] = data


def _not_as_packed(fault: SourceFault) -> HoldError:
    path = fault.record.path.decode("utf-8", "replace")
    return faults.ARCHIVE_SOURCE(path=path, detail=fault.why)


def _block_size(record: FileRecord, leaf: int) -> int:
    if record.kind is RowKind.SYMLINK:
        return symlink_block_size(record.size)
    return min(PROFILE.chunk_size, record.size - leaf * PROFILE.chunk_size)


def _nodes_before(size: int, leaf: int) -> int:
    """How many bytes of nodes stand before a leaf of a file."""
    return leaf_offset(size, leaf) - leaf * section_size(PROFILE.chunk_size)
