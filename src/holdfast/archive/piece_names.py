"""Which PieceCIDs pieces should have: by what others say of them, or by what they are called."""

from __future__ import annotations

from ..core.errors import HoldError
from ..wire import piece_cid
from ..wire.piece import Piece, read_piece
from .finding import Finding, FoundPiece
from .pieces import named_piece


def expected_of(finding: Finding, piece: FoundPiece) -> Piece | None:
    """The PieceCID that a piece should have; None when nothing tells.

    The last piece of a snapshot names the others of it, and later snapshots name that one. So only
    the last piece of the newest snapshot is known by its name alone.
    """
    for one in finding.pieces:
        manifest = one.manifest
        if manifest.is_last and manifest.snapshot == piece.manifest.snapshot:
            for number, ref in enumerate(manifest.pieces):
                if number == piece.manifest.number:
                    return _read(ref.cid)
        for earlier in manifest.prev:
            if earlier.manifest == piece.cid:
                return _read(earlier.cid)
    return named_piece(piece.name)


def _read(cid: bytes) -> Piece | None:
    try:
        return read_piece(piece_cid.to_text(cid))
    except HoldError:
        return None
