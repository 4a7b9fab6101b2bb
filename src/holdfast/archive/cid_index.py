"""Where things with a CID stand in pieces: a sorted file without a name, found by halving."""

from __future__ import annotations

import os
import struct
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..dataset.sorted_spill import SortedSpill
from ..wire.cid import SHA256_CID_SIZE, Cid

_ROW = struct.Struct(f">{SHA256_CID_SIZE}sIQQQ")
_FOUND_MAX = 8
"""So many places of one CID are told at most."""


class Standing(NamedTuple):
    """What has a CID is at a range of a piece, told by its place in a list; and its size."""

    cid: Cid
    piece: int
    offset: int
    length: int
    size: int


class CidIndex:
    """The file. Memory does not grow with what is in it."""

    def __init__(self, items: Iterable[Standing], scratch: bytes) -> None:
        """``scratch`` is a folder for it; nothing of it is left, whatever happens."""
        self._file = tempfile.TemporaryFile(dir=os.fsdecode(scratch))  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        count = 0
        with SortedSpill(scratch) as rows:
            for item in items:
                if len(item.cid) == SHA256_CID_SIZE:  # all that we write
                    rows.add(_ROW.pack(*item))
            for row in rows:
                self._file.write(row)
                count += 1
        self._file.flush()
        self._count = count

    def __iter__(self) -> Iterator[Standing]:
        """All that is in it, by CID."""
        for place in range(self._count):
            yield _read(self._row(place))

    def __len__(self) -> int:
        return self._count

    def find(self, cid: Cid) -> list[Standing]:
        """Where it is, some places of it if there are many."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._row(middle)[:SHA256_CID_SIZE] < cid:
                low = middle + 1
            else:
                high = middle
        found = []
        for place in range(low, min(self._count, low + _FOUND_MAX)):
            row = self._row(place)
            if row[:SHA256_CID_SIZE] != cid:
                break
            found.append(_read(row))
        return found

    def _row(self, place: int) -> bytes:
        return os.pread(self._file.fileno(), _ROW.size, place * _ROW.size)


def _read(row: bytes) -> Standing:
    cid, *numbers = _ROW.unpack(row)
    return Standing(Cid(cid), *numbers)
