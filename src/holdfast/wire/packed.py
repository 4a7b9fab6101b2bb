"""The records of a packed store: many contents one after the other in a file. Pure code.

Format: docs/formats/packed.md. A record says all of itself and guards its header and its content
by a checksum each, so that what a store holds can be told from its packs alone.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

PACK_START = b"holdfast pack 1\n"
"""The first bytes of every pack; the number is the version of the format."""

CONTENT, REMOVAL, SYNC = b"CRS"
"""The kinds of record: content; a record of content is removed; all before this was synced."""

END_SIZE = 4
"""After the content: its CRC-32."""

KEY_MAX = 0xFFFF

_MAGIC = b"HfR1"
_FIELDS = struct.Struct(">4sBBHQQ")
_CHECK = struct.Struct(">I")
FIXED_SIZE = _FIELDS.size + _CHECK.size
"""The header without the key."""


class Record(NamedTuple):
    """What a header says. ``id`` tells records of one key apart; a removal has that of its record.

    ``kind`` may be one of a later version; such a record is passed over, and kept.
    """

    kind: int
    id: int
    size: int
    key: bytes
    flags: int = 0

    @property
    def header_size(self) -> int:
        """How many bytes stand before the content."""
        return FIXED_SIZE + len(self.key)

    @property
    def length(self) -> int:
        """How many bytes all of it has."""
        return FIXED_SIZE + len(self.key) + self.size + END_SIZE


def write_header(record: Record) -> bytes:
    """A record's header with its key; content and its checksum follow."""
    fields = _FIELDS.pack(
        _MAGIC, record.kind, record.flags, len(record.key), record.size, record.id
    )
    return fields + _CHECK.pack(crc32(record.key, crc32(fields))) + record.key


def read_header(data: bytes, at: int = 0) -> Record | None:
    """The record whose header begins there; None when no whole and right one does."""
    if not data.startswith(_MAGIC, at) or len(data) - at < FIXED_SIZE:
        return None
    _, kind, flags, key_size, size, number = _FIELDS.unpack_from(data, at)
    start = at + FIXED_SIZE
    key = data[start : start + key_size]
    (check,) = _CHECK.unpack_from(data, start - _CHECK.size)
    if len(key) < key_size or check != crc32(key, crc32(data[at : start - _CHECK.size])):
        return None
    return Record(kind, number, size, key, flags)


def find_header(data: bytes, start: int = 0) -> int:
    """The first place from ``start`` on where a right header begins; -1 when there is none."""
    at = data.find(_MAGIC, start)
    while at >= 0 and read_header(data, at) is None:
        at = data.find(_MAGIC, at + 1)
    return at


def write_end(checksum: int) -> bytes:
    """What follows content whose CRC-32 is this."""
    return _CHECK.pack(checksum)


def write_small(record: Record, content: bytes) -> bytes:
    """A whole record at once."""
    return write_header(record) + content + _CHECK.pack(crc32(content))


def version_of(start: bytes) -> str | None:
    """The version a pack's first bytes name; None when they are of no pack, or cut short."""
    words = start[: len(PACK_START)].split(b" ")
    if words[:2] != [b"holdfast", b"pack"] or len(words) < 3 or not words[2].endswith(b"\n"):
        return None
    return words[2].strip().decode("ascii", "replace")
