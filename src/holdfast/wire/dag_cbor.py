"""DAG-CBOR: values with one encoding each, and links to blocks in them. Pure code.

CBOR (RFC 8949) of definite lengths and shortest numbers; floats of 64 bits that are numbers; maps
by text alone, shorter keys first, then by their bytes; of tags only 42, a CID. What we would not
write we do not read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import TypeAlias

from ..core.errors import LocalProtocolError, ProtocolError
from .cid import Cid, parse_cid

DEPTH_MAX = 64
"""Values are neither written nor read deeper in each other."""
VALUES_MAX = 1 << 20
"""No more values are read from one block, since each takes more memory than a byte."""


class Link:
    """A link to a block."""

    __slots__ = ("cid",)

    def __init__(self, cid: Cid) -> None:
        self.cid = cid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and self.cid == other.cid

    def __hash__(self) -> int:
        return hash(self.cid)

    def __repr__(self) -> str:
        return f"Link({self.cid!r})"


Value: TypeAlias = (
    bool | int | float | bytes | str | Link | Sequence["Value"] | dict[str, "Value"] | None
)
"""What can be written; read are lists, never tuples."""

_UINT, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _OTHER = range(8)
_FALSE, _TRUE, _NULL, _DOUBLE = 0xF4, 0xF5, 0xF6, 0xFB
_LINK_TAG = 42
_LINK_START = b"\xd8\x2a"
_FLOAT = Struct(">d")
_U64 = 1 << 64
_SHORTEST = ((1, 24), (2, 1 << 8), (4, 1 << 16), (8, 1 << 32))


def encode_cbor(value: Value) -> bytes:
    """The bytes of a value.

    Raises:
        LocalProtocolError: It has none: a number out of reach or that is none, another kind of
            value, or values too deep in each other.
    """
    parts: list[bytes] = []
    _encode(value, parts, 0)
    return b"".join(parts)


def _encode(value: Value, parts: list[bytes], depth: int) -> None:
    if depth > DEPTH_MAX:
        raise LocalProtocolError(f"values more than {DEPTH_MAX} deep in each other")
    if isinstance(value, str):
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise LocalProtocolError(f"text that is not Unicode: {value[:80]!r}") from None
        parts += (_head(_TEXT, len(raw)), raw)
    elif isinstance(value, bytes):
        parts += (_head(_BYTES, len(value)), value)
    elif isinstance(value, Link):
        parts += (_LINK_START, _head(_BYTES, len(value.cid) + 1), b"\0", value.cid)
    elif value is None or isinstance(value, bool):
        parts.append(bytes((_NULL if value is None else _TRUE if value else _FALSE,)))
    elif isinstance(value, int):
        parts.append(_head(_UINT, value) if value >= 0 else _head(_NEGATIVE, -1 - value))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise LocalProtocolError(f"no number: {value}")
        parts.append(b"\xfb" + _FLOAT.pack(value))
    elif isinstance(value, dict):
        _encode_map(value, parts, depth)
    elif isinstance(value, (list, tuple)):
        parts.append(_head(_LIST, len(value)))
        for item in value:
            _encode(item, parts, depth + 1)
    else:
        raise LocalProtocolError(f"DAG-CBOR has no {type(value).__name__}")


def _encode_map(value: dict[str, Value], parts: list[bytes], depth: int) -> None:
    parts.append(_head(_MAP, len(value)))
    if not all(isinstance(key, str) for key in value):
        raise LocalProtocolError("a key of a map that is not text")
    for key in sorted(value, key=_key_order):
        _encode(key, parts, depth)
        _encode(value[key], parts, depth + 1)


def _key_order(key: str) -> tuple[int, bytes]:
    raw = key.encode("utf-8", "surrogatepass")
    return len(raw), raw


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | code,)) + number.to_bytes(size, "big")
    raise LocalProtocolError(f"a number of more than 64 bits: {number}")


def decode_cbor(data: bytes) -> Value:
    """The value that the bytes are. `encode_cbor` of it is the bytes again.

    Raises:
        ProtocolError: They are none, or not as `encode_cbor` writes it; it names the offset.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise ProtocolError(f"not DAG-CBOR: more after the value at offset {reader.at}")
    return value


class _Reader:
    """Takes values from bytes, one after another. Never holds more than they have."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = VALUES_MAX
        self.at = 0

    def value(self, depth: int) -> Value:
        start = self.at
        if depth > DEPTH_MAX:
            raise self._fault("values too deep in each other", start)
        major, number = self._head()
        if major == _UINT:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major == _BYTES:
            return self._take(number)
        if major == _TEXT:
            return self._text(number)
        if major == _LIST:
            self._check_count(number, start)
            return [self.value(depth + 1) for _ in range(number)]
        if major == _MAP:
            self._check_count(number, start)
            return self._map(number, depth)
        if major == _TAG:
            return self._link(number, start)
        return self._other(start)

    def _head(self) -> tuple[int, int]:
        start = self.at
        first = self._take(1)[0]
        major, low = first >> 5, first & 0x1F
        if major == _OTHER or low < 24:
            return major, low
        if low > 27:
            raise self._fault("a length that is not told", start)
        size, least = _SHORTEST[low - 24]
        number = int.from_bytes(self._take(size), "big")
        if number < least:
            raise self._fault("a number that is not the shortest", start)
        return major, number

    def _take(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) != size:
            raise self._fault("it is cut short", self.at)
        self.at += size
        return found

    def _text(self, size: int) -> str:
        start = self.at
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise self._fault("text that is not UTF-8", start) from None

    def _check_count(self, count: int, start: int) -> None:
        """Each value takes a byte at least."""
        self._left -= count
        if count > len(self._data) - self.at or self._left < 0:
            raise self._fault(f"{count} values, more than there can be", start)

    def _map(self, count: int, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        last = (-1, b"")
        for _ in range(count):
            start = self.at
            major, size = self._head()
            if major != _TEXT:
                raise self._fault("a key that is not text", start)
            key = self._text(size)
            order = (size, self._data[self.at - size : self.at])
            if order <= last:
                raise self._fault("a key twice or out of order", start)
            last = order
            found[key] = self.value(depth + 1)
        return found

    def _link(self, tag: int, start: int) -> Link:
        if tag != _LINK_TAG:
            raise self._fault(f"tag {tag}", start)
        major, size = self._head()
        if major != _BYTES or not size or self._take(1) != b"\0":
            raise self._fault("a link that is none", start)
        cid = self._take(size - 1)
        try:
            parse_cid(cid)
        except ProtocolError as error:
            raise self._fault(f"a link that is none ({error})", start) from None
        return Link(Cid(cid))

    def _other(self, start: int) -> Value:
        first = self._data[start]
        if first == _DOUBLE:
            number: float = _FLOAT.unpack(self._take(8))[0]
            if not math.isfinite(number):
                raise self._fault("a number that is none", start)
            return number
        if first in (_FALSE, _TRUE):
            return first == _TRUE
        if first == _NULL:
            return None
        raise self._fault(f"byte {first:#x}", start)

    @staticmethod
    def _fault(what: str, at: int) -> ProtocolError:
        return ProtocolError(f"not DAG-CBOR: {what} at offset {at}")
