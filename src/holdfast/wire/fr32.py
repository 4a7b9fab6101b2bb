"""Fr32: 127 bytes of payload become 128, each 32 bytes a number below 2^254. Pure code.

The payload is a stream of bits, lowest bit of the first byte first; after every 254 bits come two
zero bits. Format: docs/formats/piece.md.
"""

from __future__ import annotations

import struct

from ..core import faults

PAYLOAD_GROUP, PADDED_GROUP = 127, 128
"""What is padded at a time, and what becomes of it: the smallest whole number of bytes each."""

_PAYLOAD, _PADDED = struct.Struct("127s"), struct.Struct("128s")
_LANE = (1 << 254) - 1

Buffer = bytes | bytearray | memoryview


def pad(payload: Buffer) -> bytes:
    """Whole groups of payload, padded."""
    assert len(payload) % PAYLOAD_GROUP == 0, "only whole groups can be padded"
    number = int.from_bytes
    groups = []
    for (group,) in _PAYLOAD.iter_unpack(payload):
        bits = number(group, "little")
        spread = (
            bits & _LANE
            | (bits >> 254 & _LANE) << 256
            | (bits >> 508 & _LANE) << 512
            | (bits >> 762) << 768
        )
        groups.append(spread.to_bytes(PADDED_GROUP, "little"))
    return b"".join(groups)


def unpad(padded: Buffer) -> bytes:
    """The payload of whole padded groups.

    Raises:
        ProtocolError: The length is no multiple of 128, or bits that have to be zero are not.
    """
    if len(padded) % PADDED_GROUP:
        raise _refused(f"it has {len(padded)} bytes, which is no multiple of {PADDED_GROUP}")
    if any(top > 0x3F for top in padded[31::32]):
        raise _refused("two bits that are always zero are not, so it was never padded")
    groups = []
    for (group,) in _PADDED.iter_unpack(padded):
        bits = int.from_bytes(group, "little")
        joined = (
            bits & _LANE
            | (bits >> 256 & _LANE) << 254
            | (bits >> 512 & _LANE) << 508
            | (bits >> 768) << 762
        )
        groups.append(joined.to_bytes(PAYLOAD_GROUP, "little"))
    return b"".join(groups)


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
