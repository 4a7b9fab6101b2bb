"""Where the content of keys is in the pieces at hand: found by key, in little memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import HoldError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import Row, RowKind
from ..wire.cid import SHA256_CID_SIZE
from .finding import FoundPiece, LoosePiece, iter_rows
from .known_index import KnownIndex, KnownRow, encode_row
from .piece_blocks import FileAt, FilePart, is_gapless
from .repeats import key_identity


class _Split(NamedTuple):
    """A part of a file that is split."""

    piece: int
    row: Row


class ContentIndex:
    """Finds files by their keys. Made of all rows of some pieces, once."""

    def __init__(self, pieces: Sequence[FoundPiece | LoosePiece], scratch: bytes) -> None:
        """``scratch`` is a folder for what is too much for memory."""
        self.faults: list[HoldError] = []
        """Parts of pieces that could not be read."""
        self._pieces = pieces
        self._splits: dict[bytes, dict[int, _Split]] = {}
        path = os.path.join(scratch, b"contents")
        self._index = KnownIndex(path)
        with SortedSpill(scratch) as rows:
            for number, piece in enumerate(pieces):
                for row in iter_rows(piece, self.faults):
                    self._take(rows, number, row)
            self._index.add(rows)

    def _take(self, rows: SortedSpill, number: int, row: Row) -> None:
        if row.kind is not RowKind.ANNEXED or row.key is None:
            return
        if row.start or row.cid is None:
            self._splits.setdefault(row.key, {}).setdefault(row.start, _Split(number, row))
        elif len(row.cid) == SHA256_CID_SIZE:
            identity = key_identity(row.key)
            known = KnownRow(identity, row.cid, row.size, number, 0, row.offset, row.length)
            rows.add(encode_row(known))

    def find(self, key: Key) -> FileAt | None:
        """Where the content of a key is; None when some of it is in no piece that is here."""
        row = self._index.find(key_identity(key))
        if row is not None:
            part = FilePart(self._pieces[row.snapshot].copies, row.offset, row.length)
            return FileAt(row.size, row.cid, [part])
        splits = self._splits.get(key)
        return None if splits is None else self._joined(splits)

    def _joined(self, splits: dict[int, _Split]) -> FileAt | None:
        last = splits[max(splits)].row
        if last.cid is None or 0 not in splits:
            return None
        parts = []
        for start in sorted(splits):
            piece, row = splits[start]
            if row.size != last.size:
                return None
            parts.append(FilePart(self._pieces[piece].copies, row.offset, row.length, start))
        file = FileAt(last.size, last.cid, parts)
        return file if is_gapless(file) else None
