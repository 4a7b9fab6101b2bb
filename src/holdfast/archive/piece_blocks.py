"""Blocks out of ranges of pieces, each held against its CID, and files out of these blocks."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.car import BLOCK_MAX, SectionHead, decode_head
from ..wire.cid import RAW, RAW_SHA256, Cid, check_block, parse_cid
from ..wire.file_layout import FileBuilder, leaf_offset
from ..wire.unixfs import PROFILE
from ..wire.unixfs_reading import GetBlock, iter_file
from .pieces import OpenedPiece, damaged

_HEAD_MAX = 160
"""No length and CID of a section that we write are longer, nor any that others do."""


class FoundBlock(NamedTuple):
    """A block, and where its section begins in the piece."""

    offset: int
    cid: Cid
    data: bytes


class FilePart(NamedTuple):
    """Where a file, or a part of it from byte ``start`` on, is: a range of a piece in copies."""

    copies: Sequence[OpenedPiece]
    offset: int
    length: int
    start: int = 0


class FileAt(NamedTuple):
    """A file in pieces: its size, its CID, its parts from the first byte on.

    One whose parts no row tells has none: ``blocks`` gives its blocks, by their CIDs.
    """

    size: int
    cid: Cid
    parts: Sequence[FilePart]
    blocks: GetBlock | None = None


def is_gapless(file: FileAt) -> bool:
    """Whether the parts of a file follow each other: none between them is missing."""
    chunk = PROFILE.chunk_size
    starts = [part.start for part in file.parts]
    if starts[:1] != [0] or any(start % chunk for start in starts):
        return False
    if starts != sorted(set(starts)) or starts[-1] >= max(1, file.size):
        return False
    try:
        for part, following in pairwise(file.parts):
            first, end = part.start // chunk, following.start // chunk
            if leaf_offset(file.size, end) - leaf_offset(file.size, first) != part.length:
                return False
    except HoldError:  # no file is so large
        return False
    return True


def iter_blocks(
    piece: OpenedPiece, offset: int, length: int, wrong: list[HoldError] | None = None
) -> Iterator[FoundBlock]:
    """The blocks whose sections are in a range, which begins and ends with a section.

    With ``wrong``, a block that is not the one its CID names is told to it and passed over.

    Raises:
        IntegrityError: A block is not the one its CID names, or no section is where one should be.
        HoldError: The piece cannot be read.
    """
    return sections(piece.name, piece.iter_range(offset, length), offset, wrong)


def sections(
    name: str, chunks: Iterable[bytes], offset: int, wrong: list[HoldError] | None = None
) -> Iterator[FoundBlock]:
    """The blocks in bytes that begin at ``offset`` of the piece called ``name``."""
    source, held, at = iter(chunks), b"", 0
    while True:
        while len(held) - at < _HEAD_MAX and (chunk := next(source, None)) is not None:
            held, at = held[at:] + chunk, 0
        if at == len(held):
            return
        head = _head(name, held, at, offset)
        missing = head.end - len(held)
        if missing > 0:
            more = [held[at:]]
            while missing > 0 and (chunk := next(source, None)) is not None:
                more.append(chunk)
                missing -= len(chunk)
            held, head = b"".join(more), _moved(head, at)
            at = 0
        block = held[head.start : head.end]
        fault = _fault(name, head, block, offset)
        if fault is None:
            yield FoundBlock(offset, head.cid, block)
        elif wrong is None:
            raise fault
        else:
            wrong.append(fault)
        offset += head.end - at
        at = min(head.end, len(held))


def _head(name: str, held: bytes, at: int, offset: int) -> SectionHead:
    try:
        return decode_head(held, at, block_max=BLOCK_MAX)
    except ProtocolError as error:
        raise damaged(name, offset, f"no block begins there ({error})") from None


def _moved(head: SectionHead, by: int) -> SectionHead:
    return SectionHead(head.cid, head.start - by, head.end - by)


def _fault(name: str, head: SectionHead, block: bytes, offset: int) -> HoldError | None:
    try:
        if len(block) != head.end - head.start:
            raise ProtocolError("the block there is cut short")
        check_block(head.cid, block)
    except (IntegrityError, ProtocolError) as error:
        return damaged(name, offset, str(error))
    return None


def iter_content(file: FileAt, start: int = 0) -> Generator[bytes, None, None]:
    """The bytes of a file from ``start`` on, as its leaves come.

    Read from its first byte to its end, it is what its CID names, or an error is raised at the
    end. Read from later on, each leaf is one that its own CID names; the whole is left to the
    caller. Where a copy of a piece fails, the next one goes on.

    Raises:
        IntegrityError: It is not what its CID names.
        HoldError: A piece cannot be read.
    """
    if file.blocks is not None:
        yield from iter_file(file.cid, file.blocks, start)
        return
    reading = _Reading(file, start)
    for number, part in enumerate(file.parts):
        end = file.parts[number + 1].start if number + 1 < len(file.parts) else file.size
        if end > start or (not file.size and not start):
            yield from reading.iter_part(part, end)
    reading.finish()


class _Reading:
    """How far the reading of a file has come."""

    def __init__(self, file: FileAt, start: int) -> None:
        self._file = file
        self._leaf = start // PROFILE.chunk_size
        self._skip = start % PROFILE.chunk_size
        self._builder = FileBuilder(file.size) if not start and file.size else None
        self._is_whole = not start
        self._last = Cid(b"")
        self._name = ""

    def iter_part(self, part: FilePart, end: int) -> Iterator[bytes]:
        """The leaves of a part that are still wanted."""
        failures: list[HoldError] = []
        for piece in part.copies:
            self._name = piece.name
            try:
                yield from self._iter_in(piece, part, end)
                return
            except HoldError as error:
                failures.append(error)
        raise failures[0]

    def _iter_in(self, piece: OpenedPiece, part: FilePart, end: int) -> Iterator[bytes]:
        size, chunk = self._file.size, PROFILE.chunk_size
        base = part.offset - leaf_offset(size, part.start // chunk)
        last = max(1, -(-end // chunk))
        at = base + leaf_offset(size, self._leaf)
        wrong: list[HoldError] = []
        for found in iter_blocks(piece, at, part.offset + part.length - at, wrong):
            if parse_cid(found.cid).codec != RAW:
                continue  # nodes follow from the leaves; a damaged one does no harm
            if found.offset != base + leaf_offset(size, self._leaf):
                break
            # Of a CID that is its content, anything may stand where the digest should.
            is_leaf = found.cid.startswith(RAW_SHA256)
            if not is_leaf or len(found.data) != min(chunk, size - self._leaf * chunk):
                raise damaged(piece.name, found.offset, "it is no leaf of the file there")
            if self._builder is not None:
                self._builder.add(found.cid[4:])
            data, self._skip = found.data[self._skip :], 0
            self._leaf += 1
            self._last = found.cid
            if data:
                yield data
            if self._leaf == last:
                return
        raise wrong[0] if wrong else damaged(piece.name, at, "a leaf of the file there is missing")

    def finish(self) -> None:
        """Hold the whole against its CID."""
        root = self._builder.root if self._builder is not None else self._last
        if self._is_whole and root != self._file.cid:
            offset = self._file.parts[0].offset
            raise damaged(self._name, offset, "the file there is not the one its CID names")
