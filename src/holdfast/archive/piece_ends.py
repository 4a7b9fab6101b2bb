"""What the end of a piece says of it: footer and manifest, or what of them can still be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire.archive_manifest import (
    FOOTER_SECTION_SIZE,
    FOOTER_SIZE,
    MANIFEST_MAX,
    Footer,
    Manifest,
    PartRef,
    decode_footer,
    decode_manifest,
)
from ..wire.archive_rows import PartKind, decode_rows
from ..wire.car import HEADER_SIZE
from ..wire.cid import DAG_CBOR, Cid, check_block, parse_cid, raw_cid
from ..wire.file_layout import head_size
from ..wire.unixfs import PROFILE
from .block_scan import SectionAt, iter_sections
from .piece_blocks import FoundBlock, sections
from .pieces import FilePiece, KeptPiece, OpenedPiece, damaged, read, unreadable

_TAIL = MANIFEST_MAX + (1 << 16)
"""The manifest is in so many bytes of the end, whatever became of the footer."""


@dataclass
class FoundPiece:
    """A piece whose manifest is known; ``copies`` are all that is at hand of it.

    The data ends, and parts begin, at ``data_end``.
    """

    copies: list[OpenedPiece]
    manifest: Manifest
    cid: Cid
    data_end: int
    size: int
    """Of the whole piece; what is at hand may be cut short, or be followed by something."""
    is_rebuilt: bool = False
    """Whether the manifest is lost, and this one made of what else tells of the piece."""

    @property
    def name(self) -> str:
        """What people know its first copy by."""
        return self.copies[0].name


@dataclass
class LoosePiece:
    """A piece without a manifest: its parts, and the CID of the manifest if that is known."""

    copies: list[OpenedPiece]
    parts: list[PartRef]
    manifest: Cid | None = None


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
    end = footer.index_offset
    if not manifest.parts:
        end = footer.manifest_offset - head_size(footer.manifest_length)
    for part in manifest.parts:
        if not end <= part.offset <= part.offset + part.length <= footer.manifest_offset:
            raise damaged(piece.name, part.offset, "a part that is not where parts are")
    return FoundPiece([piece], manifest, footer.manifest_cid, end, piece.size)


def salvage(piece: OpenedPiece) -> FoundPiece | LoosePiece | None:
    """What a piece says of itself, found from block to block as its end does not lead there.

    None when there is no block in it at all.
    """
    return salvage_end(piece) or _gone_through(piece, HEADER_SIZE)


def salvage_end(piece: OpenedPiece) -> FoundPiece | LoosePiece | None:
    """The same, as far as the end of a piece tells it: of a large one little is read.

    None when that is nothing, though there may be more in it.
    """
    try:
        footer = read_footer(piece)
    except HoldError:
        return _before_end(piece)
    if not footer.index_length:
        return None
    found = _gone_through(piece, footer.index_offset)
    if isinstance(found, LoosePiece):
        return LoosePiece([piece], found.parts, footer.manifest_cid) if found.parts else None
    return found


def _before_end(piece: OpenedPiece) -> FoundPiece | None:
    """The piece by the manifest that stands before a footer that is damaged or gone."""
    last: FoundPiece | None = None
    try:
        start = max(HEADER_SIZE, piece.size - _TAIL)
        for section in iter_sections(piece, start, piece.size, lambda _: None):
            block = _index_block(piece, section)
            found = None if block is None else _as_manifest(piece, section, block)
            # A file may be a piece itself: what that says is where other things are.
            if found is not None and _end_of(found.manifest.parts) == section.offset:
                last = found
    except HoldError:
        pass  # what was found until there
    return last


def _end_of(parts: Sequence[PartRef]) -> int:
    return parts[-1].offset + parts[-1].length if parts else 0


def _gone_through(piece: OpenedPiece, start: int) -> FoundPiece | LoosePiece | None:
    parts: list[PartRef] = []
    newest, is_piece = None, False
    try:
        for section in iter_sections(piece, start, piece.size, lambda _: None):
            is_piece = True
            if parse_cid(section.cid).codec == DAG_CBOR:
                newest = section.cid
            block = _index_block(piece, section)
            if block is None:
                continue
            if (part := _as_part(section, block)) is not None:
                parts.append(part)
            elif (found := _as_manifest(piece, section, block)) is not None:
                return found
    except HoldError:
        pass  # what was found until there
    return LoosePiece([piece], parts, newest) if is_piece else None


def _index_block(piece: OpenedPiece, section: SectionAt) -> bytes | None:
    """The block of a section that may be a part or a manifest; None if not, or if it is damaged."""
    if parse_cid(section.cid).codec != DAG_CBOR:
        return None
    block = read(piece, section.start, section.size)
    try:
        check_block(section.cid, block)
    except IntegrityError:
        return None
    return block


def _as_part(section: SectionAt, block: bytes) -> PartRef | None:
    try:
        rows = decode_rows(block)
    except ProtocolError:
        return None
    first = rows[0].path if rows else b""
    return PartRef(PartKind.ROWS, first, section.start, section.size, section.cid)


def _as_manifest(piece: OpenedPiece, section: SectionAt, block: bytes) -> FoundPiece | None:
    try:
        manifest = decode_manifest(block)
    except ProtocolError:
        return None
    end = section.offset
    for part in manifest.parts[:1]:
        end = part.offset - head_size(part.length)
    size = section.start + section.size + FOOTER_SECTION_SIZE
    return FoundPiece([piece], manifest, section.cid, end, size)
