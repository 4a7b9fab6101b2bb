"""Where the content of keys is in the pieces at hand: found by key, in little memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..core.errors import HoldError, ProtocolError
from ..core.key import Key
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import Row, RowKind
from ..wire.cid import SHA256_CID_SIZE, Cid
from .entries import key_identity
from .finding import FoundPiece, LoosePiece, iter_rows
from .known_index import KnownIndex, KnownRow, encode_row
from .piece_blocks import FileAt, FilePart, is_gapless
from .pieces import OpenedPiece

_NAME_MAX = 255
"""No content has a longer key: it is the name of its file."""


class Split(NamedTuple):
    """What one piece has of a file that is split; the last part alone has its ``cid``."""

    piece: int
    size: int
    cid: Cid | None
    offset: int
    length: int
    start: int


class Splits:
    """Files that are split between pieces, by key. There are few: one at the end of a piece."""

    def __init__(self, known: Iterable[tuple[bytes, Split]] = ()) -> None:
        self._splits: dict[bytes, dict[int, Split]] = {}
        for key, split in known:
            self.add(key, split)

    def add(self, key: bytes, split: Split) -> None:
        """Take a part; one that begins where another does is passed over."""
        self._splits.setdefault(key, {}).setdefault(split.start, split)

    def __iter__(self) -> Iterator[tuple[bytes, Split]]:
        for key, splits in self._splits.items():
            for split in splits.values():
                yield key, split

    def keys(self) -> Iterator[bytes]:
        """The keys of all of them, whole or not."""
        return iter(self._splits)

    def find(self, key: bytes, copies_of: Callable[[int], Sequence[OpenedPiece]]) -> FileAt | None:
        """The file of a key; None when some of it is in no piece that is here."""
        splits = self._splits.get(key, {})
        if 0 not in splits:
            return None
        last = splits[max(splits)]
        if last.cid is None or any(split.size != last.size for split in splits.values()):
            return None
        ordered = (splits[start] for start in sorted(splits))
        parts = [FilePart(copies_of(s.piece), s.offset, s.length, s.start) for s in ordered]
        file = FileAt(last.size, last.cid, parts)
        return file if is_gapless(file) else None


def take_row(rows: SortedSpill, splits: Splits, piece: int, row: Row) -> bool:
    """Note where a row says that content is; whether there is now a whole one more."""
    if row.kind is not RowKind.ANNEXED or row.key is None:
        return False
    if row.start or row.cid is None:
        split = Split(piece, row.size, row.cid, row.offset, row.length, row.start)
        splits.add(row.key, split)
        return False
    if len(row.cid) != SHA256_CID_SIZE:
        return False
    identity = key_identity(row.key)
    known = KnownRow(identity, row.cid, row.size, piece, 0, row.offset, row.length)
    rows.add(encode_row(known))
    return True


def key_of(raw: bytes | None) -> Key | None:
    """The key that a row names; None where that can be none: anybody may have made the row."""
    try:
        key = Key.parse(raw or b"")
    except ProtocolError:
        return None
    is_name = key.find(b"\0") < 0 and len(key.file_name) <= _NAME_MAX
    return key if key == raw and is_name else None


class Findable(Protocol):
    """Says where the content of keys is."""

    def find(self, key: Key) -> FileAt | None:
        """Where it is; None when some of it is in no piece that is here."""


class ContentIndex:
    """Finds files by their keys. Made of all rows of some pieces, once."""

    def __init__(self, pieces: Sequence[FoundPiece | LoosePiece], scratch: bytes) -> None:
        """``scratch`` is a folder for what is too much for memory."""
        self.faults: list[HoldError] = []
        """Parts of pieces that could not be read."""
        self.fallback: Findable | None = None
        """Who is asked for what no row names."""
        self._pieces = pieces
        self._splits = Splits()
        self._index = KnownIndex(os.path.join(scratch, b"contents"))
        with SortedSpill(scratch) as rows:
            for number, piece in enumerate(pieces):
                for row in iter_rows(piece, self.faults):
                    take_row(rows, self._splits, number, row)
            self._index.add(rows)

    def find(self, key: Key) -> FileAt | None:
        """Where the content of a key is; None when some of it is in no piece that is here."""
        row = self._index.find(key_identity(key))
        if row is not None:
            part = FilePart(self._pieces[row.snapshot].copies, row.offset, row.length)
            return FileAt(row.size, row.cid, [part])
        found = self._splits.find(key, lambda number: self._pieces[number].copies)
        if found is None and self.fallback is not None:
            return self.fallback.find(key)
        return found
