"""The parts of pieces: rows of files, and of content that is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.archive_manifest import PartRef
from ..wire.archive_rows import MissingRow, PartKind, Row, decode_missing, decode_rows
from ..wire.cid import check_block
from .piece_ends import FoundPiece, LoosePiece
from .pieces import OpenedPiece, damaged, read


def iter_rows(piece: FoundPiece | LoosePiece, wrong: list[HoldError]) -> Iterator[Row]:
    """The rows of a piece, in tree order; parts that no copy has whole are told to ``wrong``."""
    for part in parts_of(piece):
        if part.kind is PartKind.ROWS:
            yield from rows_of(piece.copies, part, wrong)


def iter_missing(piece: FoundPiece, wrong: list[HoldError]) -> Iterator[MissingRow]:
    """What a piece says of content that is missing."""
    for part in piece.manifest.parts:
        if part.kind is PartKind.MISSING:
            try:
                yield from decode_missing(part_block(piece.copies, part))
            except ProtocolError as error:
                wrong.append(damaged(piece.name, part.offset, error.what))
            except HoldError as error:
                wrong.append(error)


def parts_of(piece: FoundPiece | LoosePiece) -> Sequence[PartRef]:
    """The parts of a piece."""
    return piece.parts if isinstance(piece, LoosePiece) else piece.manifest.parts


def rows_of(copies: Sequence[OpenedPiece], part: PartRef, wrong: list[HoldError]) -> list[Row]:
    """The rows of one part; none, and a word to ``wrong``, when it is damaged."""
    try:
        return decode_rows(part_block(copies, part))
    except ProtocolError as error:
        wrong.append(damaged(copies[0].name, part.offset, error.what))
    except HoldError as error:
        wrong.append(error)
    return []


def part_block(copies: Sequence[OpenedPiece], part: PartRef) -> bytes:
    """The block of a part, from the first copy that has it whole.

    Raises:
        IntegrityError: None has.
        HoldError: None can be read.
    """
    failures: list[HoldError] = []
    for piece in copies:
        try:
            block = read(piece, part.offset, part.length)
            check_block(part.cid, block)
        except (IntegrityError, ProtocolError) as error:
            failures.append(damaged(piece.name, part.offset, f"a part of its index: {error}"))
        except HoldError as error:
            failures.append(error)
        else:
            return block
    raise failures[0]
