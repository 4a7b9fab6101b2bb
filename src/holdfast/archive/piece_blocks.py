"""Blocks out of ranges of pieces, each held against its CID, and files out of these blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.car import BLOCK_MAX, SectionHead, decode_head
from ..wire.cid import RAW, Cid, check_block, parse_cid
from ..wire.file_layout import FileBuilder, leaf_offset
from ..wire.unixfs import PROFILE
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
    """A file in pieces: its size, its CID, its parts from the first byte on."""

    size: int
    cid: Cid
    parts: Sequence[FilePart]


def iter_blocks(piece: OpenedPiece, offset: int, length: int) -> Iterator[FoundBlock]:
    """The blocks whose sections are in a range, which begins and ends with a section.

    Raises:
        IntegrityError: A block is not the one its CID names, or no section is where one should be.
        HoldError: The piece cannot be read.
    """
    return sections(piece.name, piece.iter_range(offset, length), offset)


def sections(name: str, chunks: Iterable[bytes], offset: int) -> Iterator[FoundBlock]:
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
        _check(name, head, block, offset)
        yield FoundBlock(offset, head.cid, block)
        offset += head.end - at
        at = head.end


def _head(name: str, held: bytes, at: int, offset: int) -> SectionHead:
    try:
        return decode_head(held, at, block_max=BLOCK_MAX)
    except ProtocolError as error:
        raise damaged(name, offset, f"no block begins there ({error})") from None


def _moved(head: SectionHead, by: int) -> SectionHead:
    return SectionHead(head.cid, head.start - by, head.end - by)


def _check(name: str, head: SectionHead, block: bytes, offset: int) -> None:
    try:
        if len(block) != head.end - head.start:
            raise ProtocolError("the block there is cut short")
        check_block(head.cid, block)
    except (IntegrityError, ProtocolError) as error:
        raise damaged(name, offset, str(error)) from None


def iter_content(file: FileAt, start: int = 0) -> Iterator[bytes]:
    """The bytes of a file from ``start`` on, as its leaves come.

    Read from its first byte to its end, it is what its CID names, or an error is raised at the
    end. Read from later on, each leaf is one that its own CID names; the whole is left to the
    caller. Where a copy of a piece fails, the next one goes on.

    Raises:
        IntegrityError: It is not what its CID names.
        HoldError: A piece cannot be read.
    """
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
        at = part.offset
        if self._leaf * PROFILE.chunk_size > part.start:
            first = part.start // PROFILE.chunk_size
            at += leaf_offset(self._file.size, self._leaf) - leaf_offset(self._file.size, first)
        for found in iter_blocks(piece, at, part.offset + part.length - at):
            if parse_cid(found.cid).codec != RAW:
                continue  # nodes follow from the leaves
            wanted = min(PROFILE.chunk_size, self._file.size - self._leaf * PROFILE.chunk_size)
            if len(found.data) != wanted or (wanted <= 0 and self._file.size):
                raise damaged(piece.name, found.offset, "it is no leaf of the file there")
            if self._builder is not None:
                self._builder.add(found.cid[4:])
            data, self._skip = found.data[self._skip :], 0
            self._leaf += 1
            self._last = found.cid
            if data:
                yield data
        if min(self._leaf * PROFILE.chunk_size, self._file.size) != end:
            raise damaged(piece.name, part.offset, "the file there has leaves missing")

    def finish(self) -> None:
        """Hold the whole against its CID."""
        root = self._builder.root if self._builder is not None else self._last
        if self._is_whole and root != self._file.cid:
            offset = self._file.parts[0].offset
            raise damaged(self._name, offset, "the file there is not the one its CID names")
