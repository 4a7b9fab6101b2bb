"""What the end of a piece says of it: footer and manifest, or what of them can still be found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.archive_manifest import (
    FOOTER_SECTION_SIZE,
    FOOTER_SIZE,
    Footer,
    Manifest,
    PartRef,
    decode_footer,
    decode_manifest,
)
from ..wire.archive_rows import PartKind, decode_rows
from ..wire.car import BLOCK_MAX, HEADER_SIZE, decode_head
from ..wire.cid import DAG_CBOR, RAW, Cid, check_block, parse_cid, raw_cid
from ..wire.file_layout import head_size
from ..wire.unixfs import PROFILE
from .piece_blocks import FoundBlock, sections
from .pieces import FilePiece, KeptPiece, OpenedPiece, damaged, read, unreadable


@dataclass
class FoundPiece:
    """A piece whose manifest is known; ``copies`` are all that is at hand of it.

    The data ends, and parts begin, at ``data_end``.
    """

    copies: list[OpenedPiece]
    manifest: Manifest
    cid: Cid
    data_end: int

    @property
    def name(self) -> str:
        """What people know its first copy by."""
        return self.copies[0].name


@dataclass
class LoosePiece:
    """A piece without a manifest, of which some parts were found."""

    copies: list[OpenedPiece]
    parts: list[PartRef]


def read_end(piece: OpenedPiece, path: bytes) -> FoundPiece:
    """Read footer and manifest; all parts come along with the manifest, and are kept at ``path``.

    Raises:
        IntegrityError: They are not what they should be; the error names the offset.
        HoldError: It cannot be read.
    """
    footer = read_footer(piece)
    begin = footer.index_offset if footer.index_length else footer.manifest_offset
    if not isinstance(piece, FilePiece):
        end = footer.manifest_offset + footer.manifest_length
        piece = KeptPiece(piece, begin, end - begin, path)
    return read_manifest(piece, footer)


def read_footer(piece: OpenedPiece) -> Footer:
    """Read where the manifest of a piece is, and which one it is.

    Raises:
        IntegrityError: It does not end with a footer.
        HoldError: It cannot be read.
    """
    if piece.size < HEADER_SIZE + FOOTER_SECTION_SIZE:
        raise unreadable(piece.name, f"it has {piece.size} bytes, and a piece has more")
    at = piece.size - FOOTER_SECTION_SIZE
    raw = read(piece, at, FOOTER_SECTION_SIZE)
    try:
        footer = decode_footer(raw[-FOOTER_SIZE:], piece.size)
    except ProtocolError as error:
        raise damaged(piece.name, piece.size - FOOTER_SIZE, error.what) from None
    last = raw[-FOOTER_SIZE:]
    if list(sections(piece.name, [raw], at)) != [FoundBlock(at, raw_cid(last), last)]:
        raise damaged(piece.name, at, "its last block is not a footer")
    return footer


def read_manifest(piece: OpenedPiece, footer: Footer) -> FoundPiece:
    """Read the manifest that a footer leads to.

    Raises:
        IntegrityError: It is not what it should be; the error names the offset.
        HoldError: It cannot be read.
    """
    block = read(piece, footer.manifest_offset, footer.manifest_length)
    try:
        check_block(footer.manifest_cid, block)
        manifest = decode_manifest(block)
    except (ProtocolError, IntegrityError) as error:
        raise damaged(piece.name, footer.manifest_offset, f"its manifest: {error}") from None
    if manifest.profile != PROFILE.name:
        raise unreadable(piece.name, f"its files are laid out as {manifest.profile[:40]!r} has it")
    end = footer.index_offset if manifest.parts else footer.manifest_offset
    for part in manifest.parts:
        if not end <= part.offset <= part.offset + part.length <= footer.manifest_offset:
            raise damaged(piece.name, part.offset, "a part that is not where parts are")
    return FoundPiece([piece], manifest, footer.manifest_cid, end)


def salvage(piece: OpenedPiece) -> FoundPiece | LoosePiece | None:
    """What a piece says of itself, found block by block as its end does not lead there.

    Of files only: over a network that would be a request for each block.
    """
    if not isinstance(piece, FilePiece):
        return None
    parts: list[PartRef] = []
    for block in _iter_sound(piece):
        if parse_cid(block.cid).codec != DAG_CBOR:
            continue
        start = block.offset + head_size(len(block.data))
        try:
            rows = decode_rows(block.data)
        except ProtocolError:
            pass
        else:
            first = rows[0].path if rows else b""
            parts.append(PartRef(PartKind.ROWS, first, start, len(block.data), block.cid))
            continue
        try:
            manifest = decode_manifest(block.data)
        except ProtocolError:
            continue
        end = manifest.parts[0].offset if manifest.parts else start
        return FoundPiece([piece], manifest, block.cid, end)
    return LoosePiece([piece], parts) if parts else None


def _iter_sound(piece: OpenedPiece) -> Iterator[FoundBlock]:
    """The blocks of a piece that are whole, as far as one leads to the next."""
    at = HEADER_SIZE
    while at < piece.size:
        try:
            head = decode_head(read(piece, at, min(160, piece.size - at)), block_max=BLOCK_MAX)
            if at + head.end > piece.size:
                return
            if parse_cid(head.cid).codec != RAW:
                data = read(piece, at + head.start, head.end - head.start)
                check_block(head.cid, data)
                yield FoundBlock(at, head.cid, data)
        except ProtocolError:
            return
        except IntegrityError:
            pass
        except HoldError:
            return
        at += head.end
