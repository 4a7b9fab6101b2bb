"""CAR, version 1: a header that names roots, then blocks, each after its length and CID. Pure code.

car     = varint(length) dag-cbor {"roots": [link…], "version": 1}  section*
section = varint(length of CID and block) CID block
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import IntegrityError, ProtocolError
from .cid import Cid, decode_cid, parse_cid
from .dag_cbor import Link, decode_cbor, encode_cbor
from .varint import VARINT_SIZE_MAX, decode_varint, encode_varint

HEADER_MAX = 32 << 20
"""No longer header is read."""
BLOCK_MAX = 2 << 20
"""No larger block is read, unless told otherwise."""

HEADER_SIZE = 59
"""How long the header is that names one root by a sha2-256 CID: the first section begins there.

So the blocks can be written first, and the header last.
"""

_HEAD_MAX = 512
"""No length and CID of a section are longer."""


class Section(NamedTuple):
    """A block in a CAR. ``offset`` is that of its length, ``start`` that of its own bytes."""

    cid: Cid
    offset: int
    start: int
    block: bytes


class SectionHead(NamedTuple):
    """What stands before a block: its CID, and where the block begins and ends."""

    cid: Cid
    start: int
    end: int


class CarReader:
    """Reads a CAR from chunks of any sizes: the header at once, then the blocks in order.

    Holds one section and one chunk. Every block is held against its CID before it is given,
    unless ``check`` is off. With ``padded``, a section of length zero is the end, and nothing but
    zeros may follow.

    Raises:
        ProtocolError: It is no CAR, is cut short, or has a section that is too large; it names
            the offset.
        IntegrityError: A block is not the one that its CID names.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        *,
        check: bool = True,
        padded: bool = False,
        block_max: int = BLOCK_MAX,
    ) -> None:
        self._window = _Window(chunks)
        self._check = check
        self._padded = padded
        self._block_max = block_max
        self.roots = self._header()

    def __iter__(self) -> Iterator[Section]:
        window = self._window
        while window.fill(1):
            offset = window.offset
            length = window.varint()
            if not length:
                self._check_padding(offset)
                return
            if length > self._block_max + _HEAD_MAX:
                raise ProtocolError(f"a section of {length} bytes at offset {offset}")
            section = window.take(length)
            cid, start = _decode_cid_at(section, offset)
            block = section[start:]
            if len(block) > self._block_max:
                raise ProtocolError(f"a block of {len(block)} bytes at offset {offset}")
            if self._check:
                _check_block(cid, block, offset)
            yield Section(cid, offset, window.offset - len(block), block)

    def _header(self) -> list[Cid]:
        size = self._window.varint()
        if not 0 < size <= HEADER_MAX:
            raise ProtocolError(f"a CAR with a header of {size} bytes at offset 0")
        return decode_header(self._window.take(size))

    def _check_padding(self, offset: int) -> None:
        window = self._window
        if not self._padded:
            raise ProtocolError(f"a section of no bytes at offset {offset}")
        while rest := window.take_some():
            if rest.strip(b"\0"):
                raise ProtocolError(f"what is no padding after the end at offset {offset}")


def encode_header(roots: Sequence[Cid]) -> bytes:
    """The header with its length."""
    body = encode_cbor({"roots": [Link(root) for root in roots], "version": 1})
    return encode_varint(len(body)) + body


def decode_header(body: bytes) -> list[Cid]:
    """The roots that a header names, its length taken off. They are hints: there may be none.

    Raises:
        ProtocolError: It is no header of version 1.
    """
    header = decode_cbor(body)
    if not isinstance(header, dict) or header.keys() != {"roots", "version"}:
        raise ProtocolError("not the header of a CAR of version 1, at offset 0")
    roots, version = header["roots"], header["version"]
    if type(version) is not int or version != 1 or not isinstance(roots, list):
        raise ProtocolError("not the header of a CAR of version 1, at offset 0")
    found = []
    for root in roots:
        if not isinstance(root, Link):
            raise ProtocolError("a root of a CAR that is no link, at offset 0")
        found.append(root.cid)
    return found


def encode_head(cid: bytes, block_size: int) -> bytes:
    """What stands before a block of that size."""
    return encode_varint(len(cid) + block_size) + cid


def encode_section(cid: bytes, block: bytes) -> bytes:
    """A block with what stands before it."""
    return b"".join((encode_varint(len(cid) + len(block)), cid, block))


def decode_head(data: bytes, at: int = 0, *, block_max: int = BLOCK_MAX) -> SectionHead:
    """What stands there before a block; the block itself need not be in ``data``.

    Raises:
        ProtocolError: No section begins there, or one with a larger block.
    """
    length, cid_at = decode_varint(data, at)
    cid, start = decode_cid(data, cid_at)
    end = cid_at + length
    if not start <= end <= start + block_max:
        raise ProtocolError(f"a section of {length} bytes at offset {at}")
    return SectionHead(cid, start, end)


def _check_block(cid: Cid, block: bytes, offset: int) -> None:
    try:
        parse_cid(cid).multihash.check(block)
    except IntegrityError as error:
        raise IntegrityError(f"{error}, in the section at offset {offset}") from None
    except ProtocolError as error:
        raise ProtocolError(f"{error}, in the section at offset {offset}") from None


def _decode_cid_at(section: bytes, offset: int) -> tuple[Cid, int]:
    try:
        return decode_cid(section)
    except ProtocolError as error:
        raise ProtocolError(f"a section without a CID at offset {offset}: {error}") from None


class _Window:
    """What has come of a stream and was not taken yet."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._at = 0
        self.offset = 0

    def fill(self, size: int) -> bool:
        """Have so many bytes at hand; False when the stream ends before."""
        missing = size - (len(self._data) - self._at)
        if missing <= 0:
            return True
        parts = [self._data[self._at :]]
        while missing > 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            missing -= len(chunk)
        self._data, self._at = b"".join(parts), 0
        return missing <= 0

    def take(self, size: int) -> bytes:
        if not self.fill(size):
            raise ProtocolError(f"a CAR that is cut short: {size} bytes from offset {self.offset}")
        found = self._data[self._at : self._at + size]
        self._at += size
        self.offset += size
        return found

    def take_some(self) -> bytes:
        """Some bytes; none at the end."""
        self.fill(1)
        found = self._data[self._at :]
        self.take(len(found))
        return found

    def varint(self) -> int:
        self.fill(VARINT_SIZE_MAX)
        head = self._data[self._at : self._at + VARINT_SIZE_MAX]
        try:
            number, size = decode_varint(head)
        except ProtocolError as error:
            raise ProtocolError(f"{error} after offset {self.offset} of a CAR") from None
        self._at += size
        self.offset += size
        return number
