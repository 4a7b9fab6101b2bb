"""What pieces say of themselves: from footers to manifests, from these to snapshots in a chain.

Of each data set there is one archive; its snapshots are those that the newest manifest leads to,
link by link. Damaged, missing and foreign pieces are told, and the rest is found all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..core import faults
from ..core.errors import HoldError, IntegrityError, ProtocolError
from ..wire import piece_cid
from ..wire.archive_manifest import (
    FOOTER_SECTION_SIZE,
    FOOTER_SIZE,
    Footer,
    Manifest,
    PartRef,
    PrevRef,
    decode_footer,
    decode_manifest,
)
from ..wire.archive_rows import (
    MissingRow,
    PartKind,
    Row,
    decode_missing,
    decode_rows,
)
from ..wire.car import HEADER_SIZE
from ..wire.cid import DAG_CBOR, RAW, Cid, check_block, parse_cid, raw_cid
from ..wire.unixfs import PROFILE
from .piece_blocks import FoundBlock, sections
from .pieces import (
    FilePiece,
    KeptPiece,
    OpenedPiece,
    damaged,
    looks_like_piece,
    read,
    unreadable,
)


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


@dataclass
class FoundSnapshot:
    """What is found of a snapshot: its pieces by number, and the last one that names the others."""

    number: int
    pieces: dict[int, FoundPiece] = field(default_factory=dict)

    @property
    def last(self) -> FoundPiece | None:
        """The piece with the root; None when it is missing."""
        found = [piece for piece in self.pieces.values() if piece.manifest.is_last]
        return found[0] if found else None

    @property
    def manifest(self) -> Manifest:
        """The manifest that says most of it."""
        return self.pieces[max(self.pieces)].manifest

    @property
    def in_order(self) -> list[FoundPiece]:
        """The pieces that are here."""
        return [self.pieces[number] for number in sorted(self.pieces)]


@dataclass
class Finding:
    """An archive as far as it was found, oldest snapshot first; and what was wrong."""

    dataset: str
    snapshots: list[FoundSnapshot]
    loose: list[LoosePiece]
    faults: list[HoldError]
    missing: list[HoldError]

    @property
    def pieces(self) -> list[FoundPiece]:
        """All pieces of all snapshots, newest first."""
        return [piece for one in reversed(self.snapshots) for piece in one.in_order]


def find(opened: Iterable[tuple[OpenedPiece | HoldError, bool]], scratch: bytes) -> Finding:
    """Read the ends of pieces and say what archive they are.

    What was named and is no piece, and what looks like a piece and is damaged, is a fault. Ends of
    pieces that are not files of this machine are kept in the folder ``scratch``.

    Raises:
        NotFoundError: There is no piece at all; a fault that is the only reason is raised itself.
    """
    found: dict[Cid, FoundPiece] = {}
    loose: list[LoosePiece] = []
    wrong: list[HoldError] = []
    names = []
    for number, (piece, is_named) in enumerate(opened):
        if isinstance(piece, HoldError):
            wrong.append(piece)
            continue
        names.append(piece.name)
        try:
            one = read_end(piece, scratch + b"/end-%d" % number)
        except HoldError as error:
            if is_named or looks_like_piece(piece):
                wrong.append(error)
                _add(_salvage(piece), found, loose)
            continue
        _add(one, found, loose)
    if not found:
        if wrong:
            raise wrong[0]
        raise faults.NO_PIECES(paths=", ".join(names[:3]) or "what was named")
    return _in_order(list(found.values()), loose, wrong)


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


def _salvage(piece: OpenedPiece) -> FoundPiece | LoosePiece | None:
    """What a piece says of itself, found block by block as its end does not lead there.

    Of files only: over a network that would be a request for each block.
    """
    if not isinstance(piece, FilePiece):
        return None
    parts: list[PartRef] = []
    for block in _iter_sound(piece):
        if parse_cid(block.cid).codec != DAG_CBOR:
            continue
        start = block.offset + _head_length(block)
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
    from ..wire.car import BLOCK_MAX, decode_head

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


def _head_length(block: FoundBlock) -> int:
    from ..wire.file_layout import head_size

    return head_size(len(block.data))


def _add(
    one: FoundPiece | LoosePiece | None, found: dict[Cid, FoundPiece], loose: list[LoosePiece]
) -> None:
    if isinstance(one, LoosePiece):
        loose.append(one)
    elif one is not None and one.cid in found:
        found[one.cid].copies += one.copies
    elif one is not None:
        found[one.cid] = one


def _in_order(found: list[FoundPiece], loose: list[LoosePiece], wrong: list[HoldError]) -> Finding:
    dataset = chosen_dataset(found)
    ours = []
    for piece in found:
        if piece.manifest.dataset == dataset:
            ours.append(piece)
        else:
            detail = f"it is of {piece.manifest.dataset}, and the others of {dataset}"
            wrong.append(faults.PIECE_FOREIGN(piece=piece.name, detail=detail))
    chain, prev = _chain(ours)
    snapshots: dict[int, FoundSnapshot] = {}
    for piece in sorted(ours, key=lambda piece: (not piece.manifest.is_last, piece.name)):
        number, place = piece.manifest.snapshot, piece.manifest.number
        snapshot = snapshots.get(number)
        if not _fits(piece, snapshot, chain):
            detail = "it was made of the same data set, in another archive or another try"
            wrong.append(faults.PIECE_FOREIGN(piece=piece.name, detail=detail))
        else:
            snapshots.setdefault(number, FoundSnapshot(number)).pieces[place] = piece
    ordered = [snapshots[number] for number in sorted(snapshots)]
    return Finding(dataset, ordered, loose, wrong, list(_iter_missing(ordered, prev)))


def chosen_dataset(found: Sequence[FoundPiece]) -> str:
    """The data set that most of the pieces are of.

    Raises:
        ConflictError: As many are of another.
    """
    counts = Counter(piece.manifest.dataset for piece in found).most_common(2)
    if len(counts) == 2 and counts[0][1] == counts[1][1]:
        first, other = (next(p for p in found if p.manifest.dataset == one) for one, _ in counts)
        detail = f"it is of {other.manifest.dataset}, and {first.name} of {first.manifest.dataset}"
        raise faults.PIECE_FOREIGN(piece=other.name, detail=detail)
    return counts[0][0]


def _chain(found: Sequence[FoundPiece]) -> tuple[set[Cid], dict[Cid, PrevRef]]:
    """The manifests that the newest one leads to, itself among them; and all that is said of each.

    Empty when no last piece is here.
    """
    lasts = {piece.cid: piece for piece in found if piece.manifest.is_last}
    whatever = [*lasts.values()] or list(found)
    newest = max(whatever, key=lambda piece: (piece.manifest.snapshot, piece.manifest.made))
    chain = {newest.cid} if newest.cid in lasts else set[Cid]()
    refs: dict[Cid, PrevRef] = {}
    waiting = [newest]
    while waiting:
        for ref in waiting.pop().manifest.prev:
            if ref.manifest not in refs:
                refs[ref.manifest] = ref
                chain.add(ref.manifest)
                if ref.manifest in lasts:
                    waiting.append(lasts[ref.manifest])
    return chain, refs


def _fits(piece: FoundPiece, snapshot: FoundSnapshot | None, chain: set[Cid]) -> bool:
    """Whether a piece belongs to the archive: to its chain, and to the last piece of its snapshot.

    Last pieces come first.
    """
    manifest = piece.manifest
    if manifest.is_last:
        return snapshot is None and piece.cid in chain
    if snapshot is None:
        return True
    if manifest.number in snapshot.pieces:
        return False
    last = snapshot.last
    if last is None:
        return snapshot.manifest.made == manifest.made
    refs = last.manifest.pieces
    return (
        manifest.number < len(refs)
        and refs[manifest.number].size == piece.copies[0].size
        and refs[: manifest.number] == manifest.pieces
        and last.manifest.made == manifest.made
    )


def _iter_missing(
    snapshots: Sequence[FoundSnapshot], prev: dict[Cid, PrevRef]
) -> Iterator[HoldError]:
    here = {piece.cid for snapshot in snapshots for piece in snapshot.pieces.values()}
    for snapshot in snapshots:
        last = snapshot.last
        if last is None:
            detail = "it is the one that names the root and all the others of it"
            yield faults.PIECE_MISSING(
                piece=f"(the last one of snapshot {snapshot.number})", detail=detail
            )
            continue
        for number, ref in enumerate(last.manifest.pieces):
            if number not in snapshot.pieces:
                first, end = (path.decode("utf-8", "replace") for path in (ref.first, ref.last))
                detail = f"it is piece {number} of snapshot {snapshot.number}: {first} … {end}"
                yield faults.PIECE_MISSING(piece=piece_cid.to_text(ref.cid), detail=detail)
    for manifest, earlier in prev.items():
        if manifest not in here:
            detail = "it is the last one of an earlier snapshot"
            yield faults.PIECE_MISSING(piece=piece_cid.to_text(earlier.cid), detail=detail)
