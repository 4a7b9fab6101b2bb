"""The rows of a piece, found by path."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator

from ..core.errors import HoldError
from ..wire.archive_rows import PartKind, Row
from ..wire.car import HEADER_SIZE
from ..wire.folder_names import NAME_MAX
from ..wire.tree_layout import tree_order
from .piece_ends import FoundPiece, LoosePiece
from .piece_parts import parts_of, rows_of
from .stored_blocks import data_end

AFTER = b"\0" + b"\xff" * (NAME_MAX + 1)
"""Sorts a folder's path after all that is in it: no name has so many bytes."""
_PARTS_HELD = 4


class PieceRows:
    """The rows of a piece, found by path; holds a few parts."""

    def __init__(self, piece: FoundPiece | LoosePiece, wrong: list[HoldError]) -> None:
        self.piece = piece
        self._wrong = wrong
        self._parts = [p for p in parts_of(piece) if p.kind is PartKind.ROWS]
        self._firsts = [tree_order(part.first) for part in self._parts]
        self._read = set[int]()
        self._held: OrderedDict[int, tuple[list[bytes], list[Row]]] = OrderedDict()

    @property
    def first(self) -> bytes | None:
        """The first path, in tree order; None when there is no row."""
        return self._firsts[0] if self._firsts else None

    def find(self, order: bytes) -> Row | None:
        """The row of a path in tree order."""
        place = bisect_right(self._firsts, order) - 1
        if place < 0:
            return None
        orders, rows = self._part(place)
        at = bisect_right(orders, order) - 1
        return rows[at] if at >= 0 and orders[at] == order else None

    def iter_below(self, folder: bytes) -> Iterator[Row]:
        """The rows of all that is in a folder and below it."""
        start = tree_order(folder)
        end, prefix = start + AFTER, folder + b"/"
        for place in range(max(0, bisect_right(self._firsts, start) - 1), len(self._parts)):
            if self._firsts[place] > end:
                return
            yield from (row for row in self._part(place)[1] if row.path.startswith(prefix))

    def gap_after(self, order: bytes) -> tuple[int, int]:
        """What stands between the last row up to a path in tree order, and the next row."""
        place = bisect_right(self._firsts, order) - 1
        if place < 0:
            start, following = HEADER_SIZE, 0
        else:
            orders, rows = self._part(place)
            at = bisect_right(orders, order)
            if at < len(rows):
                start = rows[at - 1].offset + rows[at - 1].length if at else HEADER_SIZE
                return start, rows[at].offset
            start = rows[-1].offset + rows[-1].length if rows else HEADER_SIZE
            following = place + 1
        if following < len(self._parts):
            _, rows = self._part(following)
            return start, rows[0].offset if rows else data_end(self.piece)
        return start, data_end(self.piece)

    def _part(self, place: int) -> tuple[list[bytes], list[Row]]:
        held = self._held.get(place)
        if held is None:
            told = self._wrong if place not in self._read else []
            rows = rows_of(self.piece.copies, self._parts[place], told)
            self._read.add(place)
            held = self._held[place] = [tree_order(row.path) for row in rows], rows
            if len(self._held) > _PARTS_HELD:
                self._held.popitem(last=False)
        return held
