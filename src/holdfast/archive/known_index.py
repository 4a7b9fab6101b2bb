"""Where content stands in the pieces of an archive: a file of rows of one length, sorted.

It can be made anew from the pieces alone. Read in order to plan a snapshot, by halving for one row.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import merge
from operator import itemgetter
from typing import NamedTuple

from ..dataset.sorted_spill import SortedSpill
from ..wire.cid import Cid

_ROW = struct.Struct(">32s36sQIIQQQ")
_BLOCK = _ROW.size * 512
_IDENTITY_SIZE = 32
_identity = itemgetter(slice(_IDENTITY_SIZE))


class KnownRow(NamedTuple):
    """Content of an identity (`repeats`): its CID, its size, and its range of a piece.

    Of a file that is split the range is that of its last part, from byte ``start`` on.
    """

    identity: bytes
    cid: Cid
    size: int
    snapshot: int
    piece: int
    offset: int
    length: int
    start: int = 0


class KnownIndex:
    """The file; there may be none yet."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __iter__(self) -> Iterator[tuple[bytes, Cid]]:
        """Identities and CIDs, sorted."""
        for raw in self._iter_raw():
            yield raw[:32], Cid(raw[32:68])

    def find(self, identity: bytes) -> KnownRow | None:
        """The row of an identity, or None."""
        with self.opened() as find:
            return find(identity)

    @contextmanager
    def opened(self) -> Iterator[Callable[[bytes], KnownRow | None]]:
        """`find` for many: the file is opened once."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield lambda _: None
            return
        try:
            yield partial(find_row, file)
        finally:
            os.close(file)

    def add(self, rows: SortedSpill) -> None:
        """Take in rows that `encode_row` made; those that are there stay. All or none."""
        self.make(rows, self)

    def make(self, rows: SortedSpill, old: KnownIndex) -> None:
        """Make it of those of another one, and of rows that `encode_row` made. All or none."""
        temporary = self._path + b".part"
        last = b""
        with open(temporary, "wb", buffering=1 << 16) as file:
            for raw in merge(old._iter_raw(), rows, key=_identity):
                identity = raw[:_IDENTITY_SIZE]
                if identity != last:
                    file.write(raw)
                    last = identity
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._path)

    def _iter_raw(self) -> Iterator[bytes]:
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            return
        with file:
            while block := file.read(_BLOCK):
                for at in range(0, len(block), _ROW.size):
                    yield block[at : at + _ROW.size]


def find_row(file: int, identity: bytes) -> KnownRow | None:
    """The row of an identity in the opened file of an index, or None."""
    low, high = 0, os.fstat(file).st_size // _ROW.size
    while low < high:
        middle = (low + high) // 2
        raw = os.pread(file, _ROW.size, middle * _ROW.size)
        if raw[:32] < identity:
            low = middle + 1
        elif raw[:32] > identity:
            high = middle
        else:
            return read_row(raw)
    return None


def encode_row(row: KnownRow) -> bytes:
    """A row as it stands in the file."""
    return _ROW.pack(*row)


def encode_rows(
    identities: Iterable[bytes], cids: Iterable[Cid], sizes: Iterable[int], snapshot: int,
    piece: int, offsets: Iterable[int], lengths: Iterable[int],
) -> Iterator[bytes]:  # fmt: skip
    """Rows of files that are whole in one piece, their fields in columns; none without identity."""
    some = zip(identities, cids, sizes, offsets, lengths, strict=True)
    return (
        _ROW.pack(identity, cid, size, snapshot, piece, offset, length, 0)
        for identity, cid, size, offset, length in some
        if identity
    )


def read_row(raw: bytes) -> KnownRow:
    """The row that `encode_row` made."""
    identity, cid, *numbers = _ROW.unpack(raw)
    return KnownRow(identity, Cid(cid), *numbers)
