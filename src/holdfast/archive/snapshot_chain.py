"""Which pieces are of one archive, and which snapshots of it follow each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..core import faults
from ..core.errors import HoldError
from ..wire import piece_cid
from ..wire.archive_manifest import Manifest, PrevRef
from ..wire.cid import Cid
from .piece_ends import FoundPiece, LoosePiece

LAST = 1 << 32
"""The number of a last piece whose manifest is lost: how many are before it nothing tells."""


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
    scratch: bytes = b""
    """A folder for what is too much for memory."""

    @property
    def pieces(self) -> list[FoundPiece]:
        """All pieces of all snapshots, newest first."""
        return [piece for one in reversed(self.snapshots) for piece in one.in_order]


def in_order(
    found: list[FoundPiece], loose: list[LoosePiece], wrong: list[HoldError], wanted: str = ""
) -> Finding:
    has_wanted = any(piece.manifest.dataset == wanted for piece in found)
    dataset = wanted if has_wanted else chosen_dataset(found)
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
    # What a manifest that is lost led to nobody knows: the newest other one leads on.
    whatever = [piece for piece in lasts.values() if not piece.is_rebuilt] or list(found)
    newest = max(whatever, key=lambda piece: (piece.manifest.snapshot, piece.manifest.made))
    chain = {newest.cid} if newest.cid in lasts else set[Cid]()
    chain |= {piece.cid for piece in lasts.values() if piece.is_rebuilt}
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
    if last.is_rebuilt:
        return last.manifest.made == manifest.made
    return (
        manifest.number < len(refs)
        and refs[manifest.number].size == piece.size
        and refs[: manifest.number] == manifest.pieces
        and last.manifest.made == manifest.made
    )


def _iter_missing(
    snapshots: Sequence[FoundSnapshot], prev: dict[Cid, PrevRef]
) -> Iterator[HoldError]:
    pieces = [piece for snapshot in snapshots for piece in snapshot.pieces.values()]
    here = {piece.cid for piece in pieces}
    rebuilt = {piece.size for piece in pieces if piece.is_rebuilt}
    for snapshot in snapshots:
        last = snapshot.last
        if last is None:
            detail = "it is the one that names the root and all the others of it"
            yield faults.PIECE_MISSING(
                piece=f"(the last one of snapshot {snapshot.number})", detail=detail
            )
            continue
        most = max((one.manifest.pieces for one in snapshot.pieces.values()), key=len)
        for number, ref in enumerate(most):
            if number not in snapshot.pieces:
                first, end = (path.decode("utf-8", "replace") for path in (ref.first, ref.last))
                detail = f"it is piece {number} of snapshot {snapshot.number}: {first} … {end}"
                yield faults.PIECE_MISSING(piece=piece_cid.to_text(ref.cid), detail=detail)
    for manifest, earlier in prev.items():
        if manifest not in here and earlier.size not in rebuilt:
            detail = "it is the last one of an earlier snapshot"
            yield faults.PIECE_MISSING(piece=piece_cid.to_text(earlier.cid), detail=detail)
