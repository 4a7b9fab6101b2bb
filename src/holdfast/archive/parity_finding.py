"""Groups of pieces with parity, found from the pieces alone: what is here of each, and is it whole.

What a piece is called says which it should be, never which it is: that is what its bytes commit to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..core.errors import HoldError, ProtocolError
from ..core.progress import Progress, Silence
from ..wire import piece_cid
from ..wire.cid import RAW, Cid, parse_cid
from ..wire.parity import HEAD_MAX, Group, Member, ParityHead, decode_parity_head
from ..wire.piece import Kernel, Piece, PieceHasher
from .piece_blocks import sections
from .pieces import OpenedPiece, damaged, looks_like_piece, named_piece, read, unreadable


@dataclass
class FoundGroup:
    """A group, and what is here that may be its pieces: by number, members first, then parities."""

    group: Group
    parities: dict[int, list[OpenedPiece]] = field(default_factory=dict)


@dataclass
class FoundParity:
    """Groups by what names them, pieces that are no parity, and what could not be opened."""

    groups: dict[Cid, FoundGroup] = field(default_factory=dict)
    pieces: list[tuple[OpenedPiece, bool]] = field(default_factory=list)
    faults: list[HoldError] = field(default_factory=list)
    broken: list[tuple[OpenedPiece, HoldError]] = field(default_factory=list)
    """What is damaged where it would say which parity piece it is."""


@dataclass
class CheckedGroup:
    """A group after all that may be of it was read: what is whole by number, and what is not."""

    group: Group
    whole: dict[int, OpenedPiece] = field(default_factory=dict)
    damaged: dict[int, OpenedPiece] = field(default_factory=dict)
    renamed: dict[int, OpenedPiece] = field(default_factory=dict)
    """Parity pieces that are sound, and are called as others are."""

    @property
    def lost(self) -> list[int]:
        """The numbers of what is not here whole."""
        count = len(self.group.members) + self.group.parities
        return [number for number in range(count) if number not in self.whole]

    def name_of(self, number: int) -> str:
        """What people know a piece of the group by."""
        members = self.group.members
        if number < len(members):
            return members[number].text
        return f"parity {number - len(members)} of group {piece_cid.to_text(self.group.cid)}"


def parity_head(piece: OpenedPiece) -> ParityHead | None:
    """What a parity piece says of itself; None when it is another piece.

    Raises:
        HoldError: It cannot be read.
    """
    try:
        return decode_parity_head(read(piece, 0, min(piece.size, HEAD_MAX)))
    except ProtocolError:
        return None


def is_parity(piece: OpenedPiece) -> bool:
    """Whether a piece is one of parity, which holds no files."""
    try:
        return parity_head(piece) is not None
    except HoldError:
        return False


def find_parity(opened: Iterable[tuple[OpenedPiece | HoldError, bool]]) -> FoundParity:
    """Tell parity pieces from others. What is no piece is left, unless it was named itself."""
    found = FoundParity()
    for piece, is_named in opened:
        if isinstance(piece, HoldError):
            found.faults.append(piece)
            continue
        try:
            head = parity_head(piece) if looks_like_piece(piece) else None
        except HoldError as error:
            found.broken.append((piece, damaged(piece.name, 0, f"its head: {error.what}")))
            continue
        if head is None:
            found.pieces.append((piece, is_named))
            continue
        group = found.groups.setdefault(head.group.cid, FoundGroup(head.group))
        group.parities.setdefault(head.number, []).append(piece)
    return found


def commit_to(piece: OpenedPiece, kernel: Kernel, progress: Progress | None = None) -> Piece:
    """What all bytes of a piece commit to.

    Raises:
        HoldError: It cannot be read.
    """
    hasher = PieceHasher(kernel)
    for chunk in piece.iter_range(0, piece.size):
        hasher.update(chunk)
        if progress is not None:
            progress.advance(0, len(chunk))
    return hasher.digest()


def member_of(piece: Piece) -> Member:
    """A piece as groups name it."""
    return Member(piece_cid.write_v2(piece.root, piece.height, piece.padding), piece.size)


def check_groups(
    found: FoundParity, kernel: Kernel, progress: Progress | None = None
) -> list[CheckedGroup]:
    """Read all that may be of the groups, each piece once, and say what is whole."""
    listener = progress or Silence()
    groups = [CheckedGroup(one.group) for one in found.groups.values()]
    places: dict[bytes, list[tuple[CheckedGroup, int]]] = {}
    for checked in groups:
        for number, member in enumerate(checked.group.members):
            places.setdefault(member.cid, []).append((checked, number))
    sizes = {member.size for checked in groups for member in checked.group.members}
    for piece, _ in found.pieces:
        _check_member(piece, places, sizes, kernel, listener)
    for checked, one in zip(groups, found.groups.values(), strict=True):
        for number, copies in one.parities.items():
            _check_parity(checked, number, copies, kernel, listener)
        if len(checked.whole) < len(checked.group.members):
            # Were one of these wrong, members that are computed of it would not be what they are.
            for number, piece in checked.renamed.items():
                checked.whole[number] = piece
                del checked.damaged[number]
    return groups


def _check_member(
    piece: OpenedPiece, places: dict[bytes, list[tuple[CheckedGroup, int]]], sizes: set[int],
    kernel: Kernel, progress: Progress,
) -> None:  # fmt: skip
    expected = named_piece(piece.name)
    named = places.get(member_of(expected).cid, []) if expected is not None else []
    really: list[tuple[CheckedGroup, int]] = []
    if piece.size in sizes:
        try:
            really = places.get(member_of(commit_to(piece, kernel, progress)).cid, [])
        except HoldError:
            really = []  # what cannot be read is not here
    for checked, number in really:
        checked.whole.setdefault(number, piece)
        checked.damaged.pop(number, None)
    for checked, number in named:
        if number not in checked.whole:
            checked.damaged[number] = piece


def _check_parity(
    checked: CheckedGroup, number: int, copies: list[OpenedPiece], kernel: Kernel,
    progress: Progress,
) -> None:  # fmt: skip
    at = len(checked.group.members) + number
    for piece in copies:
        try:
            is_as_named = check_parity(piece, ParityHead(checked.group, number), kernel, progress)
        except HoldError:
            checked.damaged[at] = piece
            continue
        if is_as_named:
            checked.whole[at] = piece
            checked.damaged.pop(at, None)
            checked.renamed.pop(at, None)
            return
        checked.damaged[at] = checked.renamed[at] = piece


def check_parity(
    piece: OpenedPiece, head: ParityHead, kernel: Kernel, progress: Progress | None = None
) -> bool:
    """Read a parity piece whole, and hold its blocks against their CIDs; whether it is as named.

    Raises:
        IntegrityError: It is damaged.
        HoldError: It cannot be read.
    """
    hasher = PieceHasher(kernel)
    expected = named_piece(piece.name)

    def seen(chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if expected is not None:
                hasher.update(chunk)
            if progress is not None:
                progress.advance(0, len(chunk))
            yield chunk

    if expected is not None:
        hasher.update(head.group.head(head.number))
    for _ in iter_parity_data(piece, head, seen):
        pass
    return expected is None or hasher.digest() == expected


def iter_parity_data(
    piece: OpenedPiece,
    head: ParityHead,
    through: Callable[[Iterable[bytes]], Iterable[bytes]] = iter,
) -> Iterator[bytes]:
    """The data of a parity piece, block by block, each checked; ``through`` sees all bytes pass.

    Raises:
        IntegrityError: It is damaged.
        HoldError: It cannot be read.
    """
    group = head.group
    if piece.size != group.parity_size:
        detail = f"it has {piece.size} bytes, and should have {group.parity_size}"
        raise unreadable(piece.name, detail)
    start = len(group.head(head.number))
    chunks = through(piece.iter_range(start, piece.size - start))
    blocks = sections(piece.name, chunks, start)
    for section in group.sections():
        block = next(blocks, None)
        if block is None or (block.offset, len(block.data)) != (section.offset, section.size):
            raise damaged(piece.name, section.offset, "a block of other data should be there")
        if parse_cid(block.cid).codec != RAW:
            raise damaged(piece.name, section.offset, "a block there that is no data")
        yield block.data
