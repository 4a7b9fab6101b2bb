"""The pieces of a place: those that are listed there, and those that these lead to.

All pieces of one data set are taken, whatever snapshot, archive or try they are of: what is wanted
is content by its key. A piece that does not end as one should is told, and not gone through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..core import faults
from ..core.errors import HoldError, IntegrityError, NotFoundError
from ..wire import piece_cid
from ..wire.cid import Cid
from .finding import FoundPiece, chosen_dataset, read_footer, read_manifest
from .parity_finding import is_parity
from .piece_sources import PieceSource
from .pieces import looks_like_piece, named_piece

LOOKERS = 6
"""So many pieces are looked at side by side, over a network."""

_Seen = FoundPiece | HoldError | None


@dataclass
class Found:
    """What is there of one data set: pieces, oldest first; by name; and what was wrong."""

    dataset: str
    pieces: list[FoundPiece]
    names: dict[str, FoundPiece]
    faults: list[HoldError]
    missing: list[HoldError]


def find_pieces(source: PieceSource, listed: Iterable[str], dataset: str = "") -> Found:
    """Read the manifests of what is listed, and of what they lead to, where that is not listed.

    Raises:
        ConflictError: None is of that data set; or, without one, as many are of one as of another.
        NotFoundError: There is no piece; a fault that is the only reason is raised itself.
    """
    looking = _Looking(source)
    looking.look(listed)
    if not looking.pieces:
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
    kept = {id(piece) for piece in ours}
    names = {name: piece for name, piece in looking.names.items() if id(piece) in kept}
    missing = [faults.PIECE_MISSING(piece=ref.text, detail=ref.what) for ref in _iter_lacking(ours)]
    return Found(dataset, ours, names, looking.faults, missing)


@dataclass
class _Looking:
    """What was seen so far."""

    source: PieceSource
    pieces: dict[Cid, FoundPiece] = field(default_factory=dict)
    names: dict[str, FoundPiece] = field(default_factory=dict)
    faults: list[HoldError] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def look(self, names: Iterable[str]) -> int:
        """Look at some that were not looked at; how many these were."""
        new = [name for name in names if name not in self.tried]
        self.tried.update(new)
        for name, seen in zip(new, self._iter_seen(new), strict=True):
            if isinstance(seen, HoldError):
                self.faults.append(seen)
            elif seen is not None:
                known = self.pieces.setdefault(seen.cid, seen)
                if known is not seen:
                    known.copies += seen.copies
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
        """The piece of a name; None where there is none, or something else."""
        is_named = named_piece(name) is not None
        try:
            piece = self.source.open(name)
        except NotFoundError:
            return None
        except HoldError as error:
            return error
        try:
            return read_manifest(piece, read_footer(piece))
        except NotFoundError:
            return None
        except IntegrityError as error:
            if not is_named and not looks_like_piece(piece):
                return None
            return None if is_parity(piece) else error
        except HoldError as error:
            return error


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
