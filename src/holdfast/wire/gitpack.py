"""Git packs, written in one stream: whole objects, no deltas; and the index of what was written.

`git repack` finds deltas later, when there is time. Format: gitformat-pack(5).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import BinaryIO, NewType
from zlib import crc32

from .gitobjects import ObjectFormat, Oid, deflate, hash_object

PackTrailer = NewType("PackTrailer", bytes)
"""The checksum at the end of a pack; git names the pack by it."""

COMMIT = 1
TREE = 2
BLOB = 3

_WORDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
_SIGNATURE = b"PACK\0\0\0\2"
_INDEX_SIGNATURE = b"\xfftOc\0\0\0\2"
_SLICE = 1 << 20
_NEAR_MAX = (1 << 31) - 1
_IS_FAR = 1 << 31


class PackWriter:
    """Writes one pack into an empty file that can be sought and read back (``w+b``).

    Holds about 130 bytes of memory for each object, and not its content.
    """

    def __init__(self, out: BinaryIO, fmt: ObjectFormat, level: int = 1) -> None:
        self._out = out
        self._format = fmt
        self._level = level
        self._known: dict[Oid, None] = {}  # in the order of the pack
        self._crcs = array("I")
        self._offsets = array("Q")
        self._end = out.write(_SIGNATURE + bytes(4))
        self._trailer: PackTrailer | None = None

    @property
    def count(self) -> int:
        """How many objects the pack holds."""
        return len(self._known)

    @property
    def size(self) -> int:
        """How many bytes the pack has so far, without its checksum."""
        return self._end

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._known

    def add(self, kind: int, data: bytes) -> Oid:
        """Put one object in, unless the pack has it already; gives its name."""
        assert self._trailer is None, "the pack is finished"
        oid = hash_object(_WORDS[kind], data, self._format)
        if oid in self._known:
            return oid
        raw = _header(kind, len(data)) + deflate(data, self._level)
        self._out.write(raw)
        self._known[oid] = None
        self._crcs.append(crc32(raw))
        self._offsets.append(self._end)
        self._end += len(raw)
        return oid

    def finish(self) -> PackTrailer:
        """Complete the pack, and give its checksum.

        The count of objects stands before everything that is hashed, so the pack is read once
        more.
        """
        out = self._out
        out.seek(len(_SIGNATURE))
        out.write(len(self._known).to_bytes(4, "big"))
        out.seek(0)
        hasher = self._format.hasher(b"")
        while chunk := out.read(_SLICE):
            hasher.update(chunk)
        self._trailer = PackTrailer(hasher.digest())
        out.write(self._trailer)
        return self._trailer

    def index_bytes(self) -> bytes:
        """The ``.idx`` file (version 2) of the finished pack, as `git index-pack` makes it."""
        assert self._trailer is not None, "the pack is not finished"
        oids = list(self._known)
        order = sorted(range(len(oids)), key=oids.__getitem__)
        oids.sort()
        content = b"".join(
            (
                _INDEX_SIGNATURE,
                _fan_out(oids),
                *oids,
                _big_endian(array("I", [self._crcs[i] for i in order])),
                _offset_tables([self._offsets[i] for i in order]),
                self._trailer,
            )
        )
        return content + self._format.hasher(content).digest()


def _header(kind: int, size: int) -> bytes:
    """Kind and size: four bits of the size in the first byte, then seven in each."""
    first = kind << 4 | size & 0x0F
    size >>= 4
    if not size:
        return bytes((first,))
    if size < 0x80:
        return bytes((first | 0x80, size))
    raw = bytearray((first | 0x80,))
    while size >= 0x80:
        raw.append(size & 0x7F | 0x80)
        size >>= 7
    raw.append(size)
    return bytes(raw)


def _fan_out(oids: list[Oid]) -> bytes:
    """How many names begin with a byte up to each of the 256."""
    starts = [bisect_left(oids, bytes((first,))) for first in range(1, 256)]
    return _big_endian(array("I", [*starts, len(oids)]))


def _offset_tables(offsets: list[int]) -> bytes:
    """Offsets of 31 bits; longer ones are in a second table, the first says where."""
    far = [offset for offset in offsets if offset > _NEAR_MAX]
    if not far:
        return _big_endian(array("I", offsets))
    places = accumulate((offset > _NEAR_MAX for offset in offsets), initial=0)
    near = [
        _IS_FAR | place if offset > _NEAR_MAX else offset
        for offset, place in zip(offsets, places, strict=False)
    ]
    return _big_endian(array("I", near)) + _big_endian(array("Q", far))


def _big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values.byteswap()
    return values.tobytes()
