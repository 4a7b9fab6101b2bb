"""Pieces of an archive for who opens a place that is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.abilities import Readable
    from ..stores.special import SpecialRemote


def open_pieces(remote: SpecialRemote) -> Readable:
    """The pieces of a special remote; nothing is read before the first question."""
    from ..archive.pieces_store import PiecesStore  # late: few data sets have such a place

    return PiecesStore(remote)
