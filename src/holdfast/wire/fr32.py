"""Fr32: 127 bytes of payload become 128, each 32 bytes a number below 2^254. Pure code.

The payload is a stream of bits, lowest bit of the first byte first; after every 254 bits come two
zero bits. Format: docs/formats/piece.md.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from ..core import faults

PAYLOAD_GROUP, PADDED_GROUP = 127, 128
"""What is padded at a time, and what becomes of it: the smallest whole number of bytes each."""

_AT_ONCE = 512
"""So many groups: the numbers they make stay in a processor's cache."""


def _mask(*bits: tuple[int, int]) -> int:
    """These ranges of bits in each of as many groups as are done at once."""
    one = sum((1 << end) - (1 << start) for start, end in bits)
    return int.from_bytes(one.to_bytes(PADDED_GROUP, "little") * _AT_ONCE, "little")


_FIRST_HALF = _mask((0, 508))
_FIRST_OF_HALVES = _mask((0, 254), (512, 766))
"""Of a group, the first two lanes of 254 bits; of its halves, when these are apart, the first."""

Buffer = bytes | bytearray | memoryview


def pad(payload: Buffer) -> bytes:
    """Whole groups of payload, padded."""
    assert len(payload) % PAYLOAD_GROUP == 0, "only whole groups can be padded"
    parts = []
    for at in range(0, len(payload), _AT_ONCE * PAYLOAD_GROUP):
        some = payload[at : at + _AT_ONCE * PAYLOAD_GROUP]
        close, spaced = _layouts(len(some) // PAYLOAD_GROUP)
        # A zero byte after each group puts every group at its place; then its halves move apart by
        # four bits, and then the lanes of each half by two.
        bits = int.from_bytes(spaced.pack(*close.unpack(some)), "little")
        first = bits & _FIRST_HALF
        bits = first | (bits ^ first) << 4
        first = bits & _FIRST_OF_HALVES
        parts.append((first | (bits ^ first) << 2).to_bytes(spaced.size, "little"))
    return b"".join(parts)


def unpad(padded: Buffer) -> bytes:
    """The payload of whole padded groups.

    Raises:
        ProtocolError: The length is no multiple of 128, or bits that have to be zero are not.
    """
    if len(padded) % PADDED_GROUP:
        raise _refused(f"it has {len(padded)} bytes, which is no multiple of {PADDED_GROUP}")
    if any(top > 0x3F for top in padded[31::32]):
        raise _refused("two bits that are always zero are not, so it was never padded")
    parts = []
    for at in range(0, len(padded), _AT_ONCE * PADDED_GROUP):
        some = padded[at : at + _AT_ONCE * PADDED_GROUP]
        close, spaced = _layouts(len(some) // PADDED_GROUP)
        bits = int.from_bytes(some, "little")
        first = bits & _FIRST_OF_HALVES
        bits = first | (bits ^ first) >> 2
        first = bits & _FIRST_HALF
        moved = first | (bits ^ first) >> 4
        parts.append(close.pack(*spaced.unpack(moved.to_bytes(spaced.size, "little"))))
    return b"".join(parts)


@lru_cache(maxsize=64)
def _layouts(groups: int) -> tuple[struct.Struct, struct.Struct]:
    """So many groups of payload, close together and with a byte after each."""
    return struct.Struct("127s" * groups), struct.Struct("127sx" * groups)


class Padder:
    """Pads a payload that comes in parts of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: Buffer) -> bytes:
        """Take more payload; what can be told of the padded bytes by now."""
        self._rest += part
        whole = len(self._rest) - len(self._rest) % PAYLOAD_GROUP
        ready, self._rest = self._rest[:whole], self._rest[whole:]
        return pad(ready)

    def finish(self) -> bytes:
        """The last group, filled up with zeros; nothing when all were whole."""
        rest, self._rest = self._rest, b""
        return pad(rest.ljust(PAYLOAD_GROUP, b"\0")) if rest else b""


class Unpadder:
    """Takes the padding out of bytes that come in parts of any size."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: Buffer) -> bytes:
        """Take more padded bytes; what can be told of the payload by now.

        Raises:
            ProtocolError: See `unpad`.
        """
        self._rest += part
        whole = len(self._rest) - len(self._rest) % PADDED_GROUP
        ready, self._rest = self._rest[:whole], self._rest[whole:]
        return unpad(ready)

    def finish(self) -> None:
        """There are no more.

        Raises:
            ProtocolError: They ended inside a group.
        """
        if self._rest:
            raise _refused(f"it ends {len(self._rest)} bytes into a group of {PADDED_GROUP}")


def groups_of(start: int, stop: int) -> range:
    """The numbers of the groups that hold a range of payload."""
    assert 0 <= start < stop, "a range holds at least one byte"
    return range(start // PAYLOAD_GROUP, (stop - 1) // PAYLOAD_GROUP + 1)


def _refused(detail: str) -> Exception:
    return faults.BAD_PIECE(what="what should be a padded piece", detail=detail)
