"""What pieces say of themselves: from footers to manifests, from these to snapshots in a chain.

Of each data set there is one archive; its snapshots are those that the newest manifest leads to,
link by link. Damaged, missing and foreign pieces are told, and the rest is found all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..core import faults
from ..core.errors import HoldError
from ..wire.cid import Cid
from .parity_finding import is_parity
from .piece_ends import (
    FoundPiece,
    LoosePiece,
    read_end,
    read_footer,
    read_manifest,
    salvage,
)
from .piece_parts import iter_missing, iter_rows, part_block, parts_of, rows_of
from .pieces import OpenedPiece, looks_like_piece
from .rebuilt_ends import add_bundles
from .rebuilt_ends import rebuild as rebuilt
from .snapshot_chain import Finding, FoundSnapshot, chosen_dataset, in_order

__all__ = [
    "Finding",
    "FoundPiece",
    "FoundSnapshot",
    "LoosePiece",
    "chosen_dataset",
    "find",
    "iter_missing",
    "iter_rows",
    "part_block",
    "parts_of",
    "read_end",
    "read_footer",
    "read_manifest",
    "rows_of",
]


def find(
    opened: Iterable[tuple[OpenedPiece | HoldError, bool]],
    scratch: bytes,
    wanted: str = "",
    *,
    rebuild: bool = True,
    loose_alone: bool = False,
) -> Finding:
    """Read the ends of pieces and say what archive they are: that of ``wanted``, if it is there.

    What was named and is no piece, and what looks like a piece and is damaged, is a fault. Ends of
    pieces that are not files of this machine are kept in the folder ``scratch``. With ``rebuild``,
    what a lost manifest said is told by the root of its piece, as far as that goes. Pieces of which
    nothing says what they are of are an archive without snapshots where ``loose_alone`` says so.

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
            if is_parity(piece):
                continue
            if is_named or looks_like_piece(piece):
                wrong.append(error)
                _add(salvage(piece), found, loose)
            continue
        _add(one, found, loose)
    if rebuild:
        for lost in [*loose]:
            made = rebuilt(lost, list(found.values()), loose, scratch)
            if made is not None:
                loose.remove(lost)
                _add(made, found, loose)
    if not found:
        if loose and loose_alone:
            return Finding("", [], loose, wrong, [], scratch)
        if wrong:
            raise wrong[0]
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        raise faults.NO_PIECES(paths=(", ".join(names[:3]) or "what was named") + more)
    finding = in_order(list(found.values()), loose, wrong, wanted)
    finding.scratch = scratch
    if rebuild and wrong:
        add_bundles(finding)
    return finding


def _add(
    one: FoundPiece | LoosePiece | None, found: dict[Cid, FoundPiece], loose: list[LoosePiece]
) -> None:
    if isinstance(one, LoosePiece):
        loose.append(one)
    elif one is not None and one.cid in found:
        found[one.cid].copies += one.copies
    elif one is not None:
        found[one.cid] = one
