"""Blocks and files in pieces, found by CID, wherever they stand.

First among the files that rows tell of; then, where these do not lead, among all blocks that no
whole row covers: pieces are gone through for these once, when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from ..core import faults
from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.archive_rows import Row
from ..wire.car import HEADER_SIZE
from ..wire.cid import RAW, Cid, check_block, cid_text, parse_cid
from ..wire.file_layout import Block
from ..wire.unixfs import Kind
from ..wire.unixfs_reading import file_node, message_of, symlink_target
from .block_scan import iter_sections
from .cid_index import CidIndex, Standing
from .piece_blocks import FileAt, FilePart
from .piece_ends import FoundPiece, LoosePiece
from .piece_parts import iter_rows
from .pieces import damaged, read

AnyPiece = FoundPiece | LoosePiece
TOLD_MAX = 1000
"""So many faults are told at most: somebody may have made them."""


class StoredBlocks:
    """What is in some pieces. Memory does not grow with it."""

    def __init__(self, pieces: Sequence[AnyPiece], scratch: bytes, wrong: list[HoldError]) -> None:
        """``scratch`` is a folder for what is too much for memory; ``wrong`` is told of faults."""
        self._pieces = pieces
        self._scratch = scratch
        self._wrong = wrong

    def linked(self, cid: Cid) -> FileAt | None:
        """A file that a row tells of."""
        for found in self._files.find(cid):
            return FileAt(found.size, cid, [self._part(found)])
        return None

    def scanned(self, cid: Cid) -> FileAt | None:
        """A file or symlink whose blocks no row tells of; None when its root is nowhere.

        Raises:
            IntegrityError: What stands there is damaged.
            ProtocolError: It is no file.
        """
        found = self._sections.find(cid)
        if not found:
            return None
        if parse_cid(cid).codec == RAW:
            if len(found) > 1:
                return FileAt(found[0].size, cid, (), self.get)
            return FileAt(found[0].size, cid, [self._part(found[0])])
        standing, data = self._read(cid, found)
        block = Block(cid, data)
        if message_of(block)[0].kind is Kind.SYMLINK:
            return FileAt(len(symlink_target(block)), cid, [self._part(standing)])
        return FileAt(file_node(block).size, cid, (), self.get)

    def get(self, cid: Cid) -> bytes:
        """A block that no row covers, held against its CID.

        Raises:
            IntegrityError: It is damaged.
            IncompleteError: It is in no piece that is here.
        """
        found = self._sections.find(cid)
        if not found:
            raise nowhere(cid, "")
        return self._read(cid, found)[1]

    def iter_sections(self) -> Iterator[Standing]:
        """All blocks that no row covers."""
        return iter(self._sections)

    def places(self, cid: Cid) -> list[Standing]:
        """Where a block stands that no row covers."""
        return self._sections.find(cid)

    def where(self, cid: Cid) -> str:
        """The first of these places, as people are told it."""
        for found in self.places(cid):
            return f"at byte {found.offset} of {self._pieces[found.piece].copies[0].name}"
        return ""

    def _read(self, cid: Cid, found: Sequence[Standing]) -> tuple[Standing, bytes]:
        failures: list[HoldError] = []
        for one in found:
            for piece in self._pieces[one.piece].copies:
                try:
                    data = read(piece, one.offset + one.length - one.size, one.size)
                    check_block(cid, data)
                except (IntegrityError, ProtocolError) as error:
                    failures.append(damaged(piece.name, one.offset, error.what))
                except HoldError as error:
                    failures.append(error)
                else:
                    return one, data
        raise failures[0]

    def _part(self, found: Standing) -> FilePart:
        return FilePart(self._pieces[found.piece].copies, found.offset, found.length)

    @cached_property
    def _files(self) -> CidIndex:
        return CidIndex(self._iter_files(), self._scratch)

    def _iter_files(self) -> Iterator[Standing]:
        for number, piece in enumerate(self._pieces):
            for row in iter_rows(piece, self._wrong):
                if row.cid is not None and not row.start:
                    yield Standing(row.cid, number, row.offset, row.length, row.size)

    @cached_property
    def _sections(self) -> CidIndex:
        return CidIndex(self._iter_sections(), self._scratch)

    def _iter_sections(self) -> Iterator[Standing]:
        for number, piece in enumerate(self._pieces):
            for start, end in iter_gaps(piece):
                for copy in piece.copies:
                    try:
                        for at in iter_sections(copy, start, end, self._tell):
                            length = at.start + at.size - at.offset
                            yield Standing(at.cid, number, at.offset, length, at.size)
                    except HoldError as error:
                        self._tell(error)

    def _tell(self, error: HoldError) -> None:
        if len(self._wrong) < TOLD_MAX:
            self._wrong.append(error)


def iter_gaps(piece: AnyPiece) -> Iterator[tuple[int, int]]:
    """The ranges of a piece with blocks of which no row says which file they are, whole."""
    at, end = HEADER_SIZE, data_end(piece)
    for row in iter_rows(piece, []):
        if _is_whole(row) and row.offset + row.length <= end:
            if row.offset > at:
                yield at, row.offset
            at = max(at, row.offset + row.length)
    if at < end:
        yield at, end


def data_end(piece: AnyPiece) -> int:
    """Where a piece has no blocks of files and folders any more."""
    return piece.data_end if isinstance(piece, FoundPiece) else piece.copies[0].size


def nowhere(cid: Cid, what: str) -> HoldError:
    """The error that says that a block was not found."""
    detail = f"block {cid_text(cid)} of it is in no piece that is here"
    return faults.PIECE_MISSING(
        piece=f"with {what}" if what else "with the rest of it", detail=detail
    )


def _is_whole(row: Row) -> bool:
    return row.cid is not None and not row.start
