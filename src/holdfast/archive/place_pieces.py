"""The pieces of a place: those that are listed there, and those that these lead to.

All pieces of one data set are taken, whatever snapshot, archive or try they are of: what is wanted
is content by its key. Of a piece that does not end as one should that is told, and what its end
says all the same is taken; it is not gone through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..core import faults
from ..core.errors import HoldError, IntegrityError, NotFoundError
from ..wire import piece_cid
from ..wire.cid import Cid
from .finding import FoundPiece, LoosePiece, chosen_dataset, read_footer, read_manifest
from .parity_finding import is_parity
from .piece_ends import salvage_end
from .piece_sources import PieceSource
from .pieces import OpenedPiece, looks_like_piece, named_piece, unreadable

LOOKERS = 6
"""So many pieces are looked at side by side, over a network."""

Damaged = LoosePiece | OpenedPiece
"""A piece whose end does not lead to its manifest; its parts may be known all the same."""


@dataclass(frozen=True)
class _Seen:
    """What a name led to: nothing, a piece, or what is left of one; and what was wrong."""

    piece: FoundPiece | None = None
    fault: HoldError | None = None
    damaged: Damaged | None = None


@dataclass
class Found:
    """What is there of one data set: pieces, oldest first; by name; and what was wrong."""

    dataset: str
    pieces: list[FoundPiece]
    names: dict[str, FoundPiece]
    faults: list[HoldError]
    missing: list[HoldError]
    damaged: list[Damaged]
    """Perhaps of it, perhaps of another: nothing tells."""


def find_pieces(source: PieceSource, listed: Iterable[str], dataset: str = "") -> Found:
    """Read the manifests of what is listed, and of what they lead to, where that is not listed.

    Where nothing but damaged pieces is there, they are taken for those of ``dataset``. Those
    that are encrypted are left: what their rows name are no keys.

    Raises:
        ConflictError: None is of that data set; or, without one, as many are of one as of another.
        IntegrityError: All of them are encrypted.
        NotFoundError: There is no piece; a fault that is the only reason is raised itself.
    """
    looking = _Looking(source)
    looking.look(listed)
    if not looking.pieces:
        if dataset and looking.damaged:
            return Found(dataset, [], {}, looking.faults, [], looking.damaged)
        raise looking.faults[0] if looking.faults else faults.NO_PIECES(paths=source.where)
    dataset = dataset or chosen_dataset(list(looking.pieces.values()))
    while looking.look(looking.iter_names_to_follow(dataset)):
        pass
    ours = [piece for piece in looking.pieces.values() if piece.manifest.dataset == dataset]
    if not ours:
        other = next(iter(looking.pieces.values()))
        detail = f"it is of {other.manifest.dataset}, and this place is of {dataset}"
        raise faults.PIECE_FOREIGN(piece=other.name, detail=detail)
    ours.sort(key=lambda piece: (piece.manifest.snapshot, piece.manifest.number, piece.cid))
    readable = [piece for piece in ours if not piece.manifest.is_sealed]
    if not readable:
        error = unreadable(ours[0].name, "it is encrypted, and no content is read from it by key")
        error.hint = "hold archive restore PIECES    (decrypts all of it)"
        raise error
    kept = {id(piece) for piece in readable}
    names = {name: piece for name, piece in looking.names.items() if id(piece) in kept}
    missing = [faults.PIECE_MISSING(piece=ref.text, detail=ref.what) for ref in _iter_lacking(ours)]
    return Found(dataset, readable, names, looking.faults, missing, looking.damaged)


@dataclass
class _Looking:
    """What was seen so far."""

    source: PieceSource
    pieces: dict[Cid, FoundPiece] = field(default_factory=dict)
    names: dict[str, FoundPiece] = field(default_factory=dict)
    faults: list[HoldError] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def look(self, names: Iterable[str]) -> int:
        """Look at some that were not looked at; how many these were."""
        new = [name for name in names if name not in self.tried]
        self.tried.update(new)
        for name, seen in zip(new, self._iter_seen(new), strict=True):
            if seen.fault is not None:
                self.faults.append(seen.fault)
            if seen.damaged is not None:
                self.damaged.append(seen.damaged)
            if seen.piece is not None:
                known = self.pieces.setdefault(seen.piece.cid, seen.piece)
                if known is not seen.piece:
                    known.copies += seen.piece.copies
                self.names[name] = known
        return len(new)

    def iter_names_to_follow(self, dataset: str) -> Iterator[str]:
        """Where the pieces would be that others name."""
        ours = [piece for piece in self.pieces.values() if piece.manifest.dataset == dataset]
        for ref in _iter_lacking(ours):
            name = self.source.name_of(ref.text)
            if name is not None:
                yield name

    def _iter_seen(self, names: Sequence[str]) -> Iterator[_Seen]:
        if self.source.is_local or len(names) < 2:
            yield from map(self._see, names)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(LOOKERS, thread_name_prefix="look") as pool:
            yield from pool.map(self._see, names)

    def _see(self, name: str) -> _Seen:
        """The piece of a name; nothing where there is none, or something else."""
        is_named = named_piece(name) is not None
        try:
            piece = self.source.open(name)
        except NotFoundError:
            return _Seen()
        except HoldError as error:
            return _Seen(fault=error)
        try:
            return _Seen(read_manifest(piece, read_footer(piece)))
        except NotFoundError:
            return _Seen()
        except IntegrityError as error:
            is_piece = is_named or looks_like_piece(piece)
            if not is_piece or is_parity(piece):
                return _Seen()
            left = salvage_end(piece)
            if isinstance(left, FoundPiece):
                return _Seen(left, error)
            return _Seen(None, error, left or piece)
        except HoldError as error:
            return _Seen(fault=error)


@dataclass(frozen=True)
class _Lacking:
    """A piece that another names: its PieceCID, and which one it is."""

    text: str
    what: str


def _iter_lacking(pieces: Sequence[FoundPiece]) -> Iterator[_Lacking]:
    """What some pieces name and is not among them, each once."""
    here = {piece.cid for piece in pieces}
    numbers = {(p.manifest.snapshot, p.manifest.made, p.manifest.number) for p in pieces}
    told = set[bytes]()
    for piece in pieces:
        manifest = piece.manifest
        for number, ref in enumerate(manifest.pieces):
            snapshot = (manifest.snapshot, manifest.made, number)
            if snapshot not in numbers and ref.cid not in told:
                told.add(ref.cid)
                what = f"it is piece {number} of snapshot {manifest.snapshot}"
                yield _Lacking(piece_cid.to_text(ref.cid), what)
        for earlier in manifest.prev:
            if earlier.manifest not in here and earlier.cid not in told:
                told.add(earlier.cid)
                yield _Lacking(
                    piece_cid.to_text(earlier.cid), "it is the last one of an earlier snapshot"
                )
