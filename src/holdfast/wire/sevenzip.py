"""7z archives: where in the file the bytes of each of its files are, as pure code.

Only what a reader of single files needs: names, sizes, and for each the block it is in. An archive
made with ``-mx0`` keeps every file as it is: then a file is one range of the archive's bytes.
Format: 7zFormat.txt of the LZMA SDK (public domain), checked against 7-Zip.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from ..core.errors import RemoteProtocolError

START_SIZE = 32
"""So many bytes at its begin tell where an archive's header is."""
HEADER_MAX = 1 << 30
"""No header that we read is longer."""

_MAGIC = b"7z\xbc\xaf\x27\x1c"
_START = Struct("<6sBBIQQI")
_END, _HEADER, _ARCHIVE_PROPERTIES, _ADDITIONAL, _STREAMS, _FILES = 0, 1, 2, 3, 4, 5
_PACK, _UNPACK, _SUB, _SIZE, _CRC, _FOLDER, _UNPACK_SIZE, _COUNTS = 6, 7, 8, 9, 10, 11, 12, 13
_EMPTY_STREAM, _EMPTY_FILE, _NAMES, _ENCODED = 14, 15, 17, 23


class Block(NamedTuple):
    """Bytes of an archive that are packed together: how, and where in the file they are.

    ``method`` is 7-Zip's number (empty: packed in a way that is a chain of several).
    """

    method: bytes
    properties: bytes
    offset: int
    packed: int
    size: int


class Member(NamedTuple):
    """A file in an archive: its block (None when it is empty), where in its bytes, how many."""

    block: Block | None
    offset: int
    size: int


class _Reader:
    """Takes values from a header, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) != size:
            raise RemoteProtocolError("a 7z header that is cut short")
        self._at += size
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """The leading ones of the first byte say how many bytes follow, lowest first."""
        first = self.byte()
        more = 0
        while more < 8 and first & (0x80 >> more):
            more += 1
        low = int.from_bytes(self.take(more), "little")
        high = first & ((0x80 >> more) - 1) if more < 7 else 0
        return low | high << (8 * more)

    def count(self) -> int:
        """How many follow: each takes at least a byte of the header, somewhere."""
        return self.check_count(self.number())

    def check_count(self, count: int) -> int:
        """A number of things that may be true."""
        if count > len(self._data):
            raise RemoteProtocolError(f"a 7z header that tells of {count} things")
        return count

    def flags(self, count: int) -> list[bool]:
        """A bit for each of so many, the first one highest."""
        bits = self.take((count + 7) // 8)
        return [bool(bits[i >> 3] & (0x80 >> (i & 7))) for i in range(count)]

    def known(self, count: int) -> list[bool]:
        """Pass over checksums, since keys say better what content is; tells which there were."""
        known = [True] * count if self.byte() else self.flags(count)
        self.take(4 * sum(known))
        return known

    def rest(self) -> bytes:
        found = self._data[self._at :]
        self._at = len(self._data)
        return found

    def expect(self, *kinds: int) -> int:
        kind = self.byte()
        if kind not in kinds:
            raise RemoteProtocolError(f"a 7z header with part {kind} where it cannot be")
        return kind


def parse_start(data: bytes) -> tuple[int, int]:
    """Where in the file the header is, and how long; size 0 says that nothing is in it.

    Raises:
        RemoteProtocolError: This is no 7z archive.
    """
    if len(data) < START_SIZE:
        raise RemoteProtocolError("no 7z archive: it is too short")
    magic, *_, offset, size, _ = _START.unpack_from(data)
    if magic != _MAGIC or size > HEADER_MAX:
        raise RemoteProtocolError("no 7z archive, or one of an unlikely size")
    return START_SIZE + offset, size


def packed_header(data: bytes) -> Member | None:
    """The real header, when this one only says where it is; None when this is the real one."""
    if data[:1] != bytes([_ENCODED]):
        return None
    reader = _Reader(data)
    reader.byte()
    members = _streams(reader)
    if not members:
        raise RemoteProtocolError("a 7z archive without a header")
    return members[0]


def parse_header(data: bytes) -> dict[bytes, Member]:
    """The files of an archive by the last part of their names, which is a key's file name.

    Raises:
        RemoteProtocolError: It is no header.
    """
    reader = _Reader(data)
    reader.expect(_HEADER)
    members: list[Member] = []
    while (kind := reader.byte()) != _END:
        if kind == _ARCHIVE_PROPERTIES:
            while reader.byte() != _END:
                reader.take(reader.number())
        elif kind == _ADDITIONAL:
            _streams(reader)
        elif kind == _STREAMS:
            members = _streams(reader)
        elif kind == _FILES:
            return _files(reader, members)
        else:
            raise RemoteProtocolError(f"a 7z header with the unknown part {kind}")
    return {}


def _files(reader: _Reader, members: Sequence[Member]) -> dict[bytes, Member]:
    count = reader.count()
    no_stream, empty, names = [False] * count, [False] * count, [""] * count
    while (kind := reader.number()) != _END:
        part = _Reader(reader.take(reader.number()))
        if kind == _EMPTY_STREAM:
            no_stream = part.flags(count)
            empty = [False] * sum(no_stream)
        elif kind == _EMPTY_FILE:
            empty = part.flags(sum(no_stream))
        elif kind == _NAMES:
            names = _names(part, count)
    streams, empties = iter(members), iter(empty)
    found: dict[bytes, Member] = {}
    for name, without in zip(names, no_stream, strict=True):
        member = next(streams, None) if not without else None
        if without and next(empties, False):
            member = Member(None, 0, 0)
        if member is not None:
            found[name.rpartition("/")[2].encode()] = member
    return found


def _names(part: _Reader, count: int) -> list[str]:
    if part.byte():
        raise RemoteProtocolError("a 7z archive whose names are elsewhere")
    try:
        names = part.rest().decode("utf-16-le").split("\0")
    except UnicodeDecodeError:
        raise RemoteProtocolError("a 7z archive whose names are no text") from None
    if len(names) < count:
        raise RemoteProtocolError("a 7z archive with too few names")
    return names[:count]


class _Packing(NamedTuple):
    """A block before it is known where it is."""

    method: bytes
    properties: bytes
    outputs: int
    packed_streams: int
    size: int = 0
    has_digest: bool = False


def _streams(reader: _Reader) -> list[Member]:
    """All that is packed, in the order of the archive's files."""
    start, packed, blocks = 0, list[int](), list[_Packing]()
    members: list[Member] | None = None
    while (kind := reader.byte()) != _END:
        if kind == _PACK:
            start, packed = _pack_info(reader)
        elif kind == _UNPACK:
            blocks = _unpack_info(reader)
        elif kind == _SUB:
            members = _sub_streams(reader, blocks, _placed(start, packed, blocks))
        else:
            raise RemoteProtocolError(f"7z streams with the unknown part {kind}")
    if members is None:
        members = [Member(block, 0, block.size) for block in _placed(start, packed, blocks)]
    return members


def _pack_info(reader: _Reader) -> tuple[int, list[int]]:
    start, count = START_SIZE + reader.number(), reader.count()
    sizes: list[int] = []
    while (kind := reader.expect(_END, _SIZE, _CRC)) != _END:
        if kind == _SIZE:
            sizes = [reader.number() for _ in range(count)]
        else:
            reader.known(count)
    return start, sizes


def _unpack_info(reader: _Reader) -> list[_Packing]:
    reader.expect(_FOLDER)
    count = reader.count()
    if reader.byte():
        raise RemoteProtocolError("a 7z archive whose blocks are described elsewhere")
    blocks = [_packing(reader) for _ in range(count)]
    reader.expect(_UNPACK_SIZE)
    # The size of what comes out in the end; of a chain it is not always the last, but those are
    # not unpacked anyway.
    blocks = [
        block._replace(size=[reader.number() for _ in range(block.outputs)][-1]) for block in blocks
    ]
    while reader.expect(_END, _CRC) != _END:
        known = reader.known(count)
        blocks = [b._replace(has_digest=has) for b, has in zip(blocks, known, strict=True)]
    return blocks


def _packing(reader: _Reader) -> _Packing:
    coders = reader.number()
    if not 0 < coders <= 32:
        raise RemoteProtocolError(f"a 7z block with {coders} steps")
    inputs = outputs = 0
    method = properties = b""
    for _ in range(coders):
        flags = reader.byte()
        method = reader.take(flags & 15)
        ins, outs = (reader.count(), reader.count()) if flags & 0x10 else (1, 1)
        properties = reader.take(reader.number()) if flags & 0x20 else b""
        inputs, outputs = inputs + ins, outputs + outs
    for _ in range(2 * (outputs - 1)):
        reader.number()
    streams = inputs - (outputs - 1)
    if streams > 1:
        for _ in range(streams):
            reader.number()
    return _Packing(method if coders == 1 else b"", properties, outputs, streams)


def _placed(start: int, packed: Sequence[int], blocks: Sequence[_Packing]) -> list[Block]:
    """Blocks with their places: they lie one after another."""
    placed = []
    streams = iter(packed)
    for block in blocks:
        length = sum(next(streams, 0) for _ in range(block.packed_streams))
        placed.append(Block(block.method, block.properties, start, length, block.size))
        start += length
    return placed


def _sub_streams(
    reader: _Reader, packings: Sequence[_Packing], blocks: Sequence[Block]
) -> list[Member]:
    """The files in each block; the last one of a block has what the others leave."""
    counts = [1] * len(blocks)
    kind = reader.expect(_END, _COUNTS, _SIZE, _CRC)
    if kind == _COUNTS:
        counts = [reader.count() for _ in blocks]
        kind = reader.expect(_END, _SIZE, _CRC)
    reader.check_count(sum(counts))
    members: list[Member] = []
    for block, count in zip(blocks, counts, strict=True):
        at = 0
        for number in range(count):
            is_last = number == count - 1
            size = block.size - at if is_last or kind != _SIZE else reader.number()
            if size < 0:
                raise RemoteProtocolError("a 7z block that is smaller than its files")
            members.append(Member(block, at, size))
            at += size
    if kind == _SIZE:
        kind = reader.expect(_END, _CRC)
    if kind == _CRC:
        alone = (count == 1 and p.has_digest for count, p in zip(counts, packings, strict=True))
        reader.known(sum(0 if one else count for one, count in zip(alone, counts, strict=True)))
        reader.expect(_END)
    return members
