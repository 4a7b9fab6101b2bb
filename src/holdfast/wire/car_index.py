"""Indexes of CARs: where the block of a digest is, in both sorted forms of version 2. Pure code.

    index  = varint(0x0400) widths  |  varint(0x0401) i32(number of codes) (u64 code, widths)*
    widths = i32(number of widths) (u32 width, u64 length of the rows in BYTES, rows)*
    row    = digest, u64 offset of the section in the CAR of version 1

Everything little-endian; codes, widths and rows ascend; a width is 8 more than that of the digests.
A CID that holds its content has no row. An index is a hint: what it leads to must be checked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from struct import Struct

from ..core.errors import LocalProtocolError, ProtocolError
from .cid import parse_cid
from .multihash import DIGEST_MAX, IDENTITY
from .varint import VARINT_MAX, decode_varint, encode_varint

INDEX_SORTED = 0x0400
"""By digests alone."""
MULTIHASH_INDEX_SORTED = 0x0401
"""By hash, then by digests; the one to write."""

_COUNT = Struct("<i")
_CODE = Struct("<Q")
_WIDTH = Struct("<IQ")
_OFFSET = Struct("<Q")


class _Group:
    """Rows of one width, of the hash of that code; None when the index does not tell."""

    __slots__ = ("code", "rows", "size", "width")

    def __init__(self, code: int | None, width: int, rows: memoryview) -> None:
        self.code = code
        self.width = width
        self.size = width - _OFFSET.size
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows) // self.width

    def digest(self, number: int) -> bytes:
        at = number * self.width
        return bytes(self.rows[at : at + self.size])

    def offset(self, number: int) -> int:
        found: int = _OFFSET.unpack_from(self.rows, number * self.width + self.size)[0]
        return found

    def find(self, digest: bytes) -> Iterator[int]:
        """The offsets in the rows of a digest."""
        number = bisect_left(range(len(self)), digest, key=self.digest)
        while number < len(self) and self.digest(number) == digest:
            yield self.offset(number)
            number += 1

    def is_sorted(self) -> bool:
        """Whether digests ascend (one may be there twice), and no offset is out of reach."""
        far = max(self.rows[self.width - 1 :: self.width]) >= 0x80
        digests = map(self.digest, range(len(self)))
        return not far and all(one <= other for one, other in pairwise(digests))


class CarIndex:
    """An index that was read. Its rows stay the bytes they are; lookups search in them."""

    def __init__(self, codec: int, groups: list[_Group]) -> None:
        self.codec = codec
        self._groups = groups

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(map(len, self._groups))

    def __iter__(self) -> Iterator[tuple[int | None, bytes, int]]:
        """Code, digest and offset of every row, in order."""
        for group in self._groups:
            for number in range(len(group)):
                yield group.code, group.digest(number), group.offset(number)

    def find(self, cid: bytes) -> list[int]:
        """Where sections with the digest of that CID may be; none when the index has no row."""
        code, digest = parse_cid(cid).multihash
        if code == IDENTITY:
            return []
        return [
            offset
            for group in self._groups
            if group.code in (None, code) and group.size == len(digest)
            for offset in group.find(digest)
        ]


def encode_index(rows: Iterable[tuple[bytes, int]], codec: int = MULTIHASH_INDEX_SORTED) -> bytes:
    """The index of CIDs and the offsets of their sections, its codec before it.

    The same for the same rows in any order. Takes about 150 bytes of memory a row.
    """
    by_hash: dict[int, dict[int, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    is_told = codec == MULTIHASH_INDEX_SORTED
    assert is_told or codec == INDEX_SORTED, "no such index"
    for cid, offset in rows:
        code, digest = parse_cid(cid).multihash
        if code == IDENTITY:
            continue
        if not 0 <= offset <= VARINT_MAX:
            raise LocalProtocolError(f"no index can say offset {offset}")
        widths = by_hash[code if is_told else 0]
        # Highest byte first, so that rows of one digest are sorted by their offsets.
        widths[len(digest)].append(digest + offset.to_bytes(_OFFSET.size, "big"))
    if not is_told:
        return b"".join((encode_varint(codec), *_encode_widths(by_hash[0])))
    parts = [encode_varint(codec), _COUNT.pack(len(by_hash))]
    for code in sorted(by_hash):
        parts.append(_CODE.pack(code))
        parts += _encode_widths(by_hash[code])
    return b"".join(parts)


def _encode_widths(widths: dict[int, list[bytes]]) -> Iterator[bytes]:
    yield _COUNT.pack(len(widths))
    for size in sorted(widths):
        rows = sorted(widths[size])
        width = size + _OFFSET.size
        yield _WIDTH.pack(width, width * len(rows))
        yield b"".join([row[:size] + row[: size - 1 : -1] for row in rows])


def decode_index(data: bytes) -> CarIndex:
    """The index that the bytes are, its codec before it.

    Raises:
        ProtocolError: They are none, or of another kind: then the CAR must be read for one.
    """
    codec, at = decode_varint(data)
    view = memoryview(data)
    groups: list[_Group] = []
    if codec == INDEX_SORTED:
        at = _decode_widths(view, at, None, groups)
    elif codec == MULTIHASH_INDEX_SORTED:
        count, at = _take_count(view, at)
        last = -1
        for _ in range(count):
            code = int(_unpack(_CODE, view, at)[0])
            if code <= last or code == IDENTITY:
                raise ProtocolError(f"hash {code:#x} out of order in an index at offset {at}")
            last = code
            before = len(groups)
            at = _decode_widths(view, at + _CODE.size, code, groups)
            if len(groups) == before:
                raise ProtocolError(f"a hash without rows in an index at offset {at}")
    else:
        raise ProtocolError(f"an index of kind {codec:#x} at offset 0")
    if at != len(data):
        raise ProtocolError(f"more after an index at offset {at}")
    return CarIndex(codec, groups)


def _decode_widths(view: memoryview, at: int, code: int | None, groups: list[_Group]) -> int:
    count, at = _take_count(view, at)
    last = _OFFSET.size
    for _ in range(count):
        width, size = _unpack(_WIDTH, view, at)
        if not last < width <= DIGEST_MAX + _OFFSET.size or not size or size % width:
            raise ProtocolError(f"{size} bytes of rows of {width} in an index at offset {at}")
        start = at + _WIDTH.size
        rows = view[start : start + size]
        if len(rows) != size:
            raise ProtocolError(f"the rows of an index are cut short at offset {at}")
        last = width
        groups.append(_Group(code, width, rows))
        if not groups[-1].is_sorted():
            raise ProtocolError(f"rows of an index out of order or reach, from offset {start}")
        at = start + size
    return at


def _take_count(view: memoryview, at: int) -> tuple[int, int]:
    count = int(_unpack(_COUNT, view, at)[0])
    if not 0 <= count <= len(view):
        raise ProtocolError(f"{count} parts of an index at offset {at}")
    return count, at + _COUNT.size


def _unpack(fields: Struct, view: memoryview, at: int) -> tuple[int, ...]:
    if len(view) - at < fields.size:
        raise ProtocolError(f"an index is cut short at offset {at}")
    return fields.unpack_from(view, at)
