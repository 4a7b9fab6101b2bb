"""The rows a piece of an archive has for its files, and the parts they are written in. Pure code.

Format: docs/formats/archive.md. A part is a dag-cbor block of at most `PART_MAX`. A path is
relative to the archive's root (``files/…`` is what a version holds); rows are in tree order. Links
have one length, so sizes are known before digests are: `UNKNOWN_CID` stands for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from functools import lru_cache
from itertools import repeat
from struct import Struct
from typing import NamedTuple

from ..core.errors import ProtocolError
from .archive_fields import (
    Fields,
    as_bytes,
    as_optional_bytes,
    as_optional_cid,
    as_optional_uint,
    as_text,
    as_texts,
    as_uint,
)
from .cid import DAG_CBOR_SHA256, SHA256_CID_SIZE, Cid
from .dag_cbor import Link, Value, encode_cbor
from .tree_layout import tree_order

VERSION = 1
"""Of the format; a reader refuses any other."""

PART_MAX = 1 << 20
"""No block of a part is larger."""

UNKNOWN_CID = Cid(DAG_CBOR_SHA256 + bytes(32))
"""As long as a CID that is not known yet."""


class RowKind(IntEnum):
    """What a file was: annexed, in git, a symlink that git has, or a file of no data set."""

    ANNEXED = 0
    GIT = 1
    SYMLINK = 2
    PLAIN = 3


class PartKind(StrEnum):
    """What the rows of a part are about: files in this piece, or content that is missing."""

    ROWS = "rows"
    MISSING = "missing"


class Row(NamedTuple):
    """A file's sections, or those of a range of it, are at this range of the piece.

    ``mode`` is git's (100644, 100755, 120000), of a plain file the system's. ``size`` is that of
    the whole file, of a symlink that of its target. ``start`` is the first byte of the file that
    is here; of a file that is split, all but the last row have no ``cid``.
    """

    path: bytes
    kind: RowKind
    mode: int
    size: int
    cid: Cid | None
    key: bytes | None
    offset: int
    length: int
    start: int = 0


class MissingRow(NamedTuple):
    """Content that a version names and that was nowhere to be had."""

    path: bytes
    key: bytes
    size: int | None
    urls: tuple[str, ...]
    reason: str


def encode_rows(rows: Iterable[bytes], count: int) -> bytes:
    """The block of a part, of that many rows that `encode_row` made."""
    return b"".join((_ROWS_START, _head(0x80, count), *rows))


def encode_missing(rows: Iterable[bytes], count: int) -> bytes:
    """The block of a part, of that many rows that `encode_missing_row` made."""
    return b"".join((_MISSING_START, _head(0x80, count), *rows))


def part_size(kind: PartKind, rows_size: int, count: int) -> int:
    """How large the block is whose rows have so many bytes together."""
    start = _ROWS_START if kind is PartKind.ROWS else _MISSING_START
    return len(start) + _head_size(count) + rows_size


def encode_row(row: Row) -> bytes:
    """A row as it stands in a part; it is as long whatever CID it has."""
    path, kind, mode, size, cid, key, offset, length, start = row
    link = _NULL if cid is None else _LINK + cid
    name = _NULL if key is None else _head(0x40, len(key)) + key
    return b"".join(
        (
            _NINE, _head(0x40, len(path)), path, _head(0, kind), _head(0, mode), _head(0, size),
            link, name, _head(0, offset), _head(0, length), _head(0, start),
        )
    )  # fmt: skip


def row_size(row: Row) -> int:
    """How long `encode_row` is."""
    path, kind, mode, size, cid, key, offset, length, start = row
    total = 1 + _head_size(len(path)) + len(path) + _head_size(kind) + _head_size(mode)
    total += 1 if cid is None else len(_LINK) + SHA256_CID_SIZE
    total += 1 if key is None else _head_size(len(key)) + len(key)
    return total + sum(map(_head_size, (size, offset, length, start)))


def encode_whole_rows(
    paths: Sequence[bytes], kinds: Sequence[int], modes: Sequence[int], sizes: Sequence[int],
    cids: Sequence[Cid], keys: Sequence[bytes | None], offsets: Sequence[int],
    lengths: Sequence[int],
) -> list[bytes]:  # fmt: skip
    """`encode_row` of many files that are whole, their fields in columns."""
    names: Iterable[bytes] = repeat(_NULL)
    if keys.count(None) < len(keys):
        names = [_NULL if key is None else _bytes_head(len(key)) + key for key in keys]
    columns = zip(
        repeat(_NINE), map(_bytes_head, map(len, paths)), paths, _number_heads(kinds),
        _number_heads(modes), _number_heads(sizes), repeat(_LINK), cids, names,
        _number_heads(offsets), _number_heads(lengths), repeat(_ZERO),
    )  # fmt: skip
    return list(map(b"".join, columns))


def whole_row_sizes(
    paths: Sequence[bytes], kinds: Sequence[int], modes: Sequence[int], sizes: Sequence[int],
    keys: Sequence[bytes | None], offsets: Sequence[int], lengths: Sequence[int],
) -> list[int]:  # fmt: skip
    """How long the rows of `encode_whole_rows` are."""
    same = 2 + len(_LINK) + SHA256_CID_SIZE
    columns: list[Iterable[int]] = [map(_bytes_size, map(len, paths))]
    for numbers in (kinds, modes, sizes, offsets, lengths):
        least = _head_size(min(numbers, default=0))
        if least == _head_size(max(numbers, default=0)):
            same += least
        else:
            columns.append(map(_head_size, numbers))
    if keys.count(None) < len(keys):
        columns.append(1 if key is None else _bytes_size(len(key)) for key in keys)
    else:
        same += 1
    if len(columns) == 1:
        return list(map(same.__add__, columns[0]))
    return [same + sum(each) for each in zip(*columns, strict=True)]


def encode_missing_row(row: MissingRow) -> bytes:
    """A row about content that is missing, as it stands in a part."""
    return encode_cbor([row.path, row.key, row.size, list(row.urls), row.reason])


def decode_rows(block: bytes) -> list[Row]:
    """The rows that a part's block holds, in tree order and in the order of their ranges.

    Raises:
        ProtocolError: It is no such block, or rows are out of order or lie over each other.
    """
    found = rows_as_written(block)
    if found is None:
        found = [_as_row(values) for values in _take_rows(block, PartKind.ROWS, 9)]
    last, end = b"", 0
    for row in found:
        order = tree_order(row.path)
        if order <= last or row.offset < end or (row.start >= row.size and row.start):
            raise ProtocolError(f"a row that cannot be: {row.path[:80]!r}")
        last, end = order, row.offset + row.length
    return found


def rows_as_written(block: bytes) -> list[Row] | None:
    """The rows of a block that is just as we write them, a row at a time; None of any other.

    Ten times as fast as value by value. Whether they are in order is not looked at.
    """
    if len(block) > PART_MAX or not block.startswith(_ROWS_START):
        return None
    head = _LIST_HEAD.match(block, len(_ROWS_START))
    if head is None:
        return None
    found, at, match_text, match_rest = [], head.end(), _TEXT_HEAD.match, _REST.match
    for _ in range(_number(head[1])):
        text = match_text(block, at)
        if text is None:
            return None
        begin = text.end()
        at = begin + _number(text[1])
        values = _MIDDLE.match(block, at)
        if values is None:
            return None
        path, at, key = block[begin:at], values.end(), None
        kind, mode, size, cid, key_head = values.groups()
        if key_head is not None:
            begin, at = at, at + _number(key_head)
            key = block[begin:at]
        rest = match_rest(block, at)
        if rest is None:
            return None
        at = rest.end()
        offset, length, start = rest.groups()
        found.append(
            Row(
                path, _KINDS[kind[0]], _number(mode), _number(size), None if cid is None else
                Cid(cid), key, _number(offset), _number(length), _number(start),
            )
        )  # fmt: skip
    return found if at == len(block) else None


def _number(head: bytes) -> int:
    """What the head of a value says: of a number that, of a list or bytes how many they are."""
    return head[0] & 0x1F if len(head) == 1 else int.from_bytes(head[1:], "big")


def _as_row(values: Sequence[Value]) -> Row:
    path, kind, mode, size, cid, key, offset, length, start = values
    return Row(
        as_bytes(path),
        _as_row_kind(kind),
        as_uint(mode),
        as_uint(size),
        as_optional_cid(cid),
        as_optional_bytes(key),
        as_uint(offset),
        as_uint(length),
        as_uint(start),
    )


def decode_missing(block: bytes) -> list[MissingRow]:
    """The rows of a part about content that is missing, in tree order.

    Raises:
        ProtocolError: It is no such block, or rows are out of order.
    """
    found = []
    last = b""
    for path, key, size, urls, reason in _take_rows(block, PartKind.MISSING, 5):
        row = MissingRow(
            as_bytes(path), as_bytes(key), as_optional_uint(size), as_texts(urls), as_text(reason)
        )
        order = tree_order(row.path)
        if order <= last:
            raise ProtocolError(f"a row that is out of order: {row.path[:80]!r}")
        last = order
        found.append(row)
    return found


def _take_rows(block: bytes, kind: PartKind, width: int) -> list[Sequence[Value]]:
    if len(block) > PART_MAX:
        raise ProtocolError(f"a part of {len(block)} bytes")
    fields = Fields.of_block(block, kind.value, VERSION)
    rows = fields.take_lists("rows")
    fields.finish()
    for row in rows:
        if len(row) != width:
            raise ProtocolError(f"a row of {len(row)} values in a part")
    return rows


def _as_row_kind(value: Value) -> RowKind:
    number = as_uint(value)
    if number > max(RowKind):
        raise ProtocolError(f"a row of an unknown kind: {number}")
    return RowKind(number)


def _head(major: int, number: int) -> bytes:
    """What a value begins with in CBOR, as `dag_cbor` writes it; shorter, since rows are many."""
    if number < 24:
        return _SHORT_HEADS[major + number]
    if number < 0x100:
        return bytes((major + 24, number))
    if number < 0x10000:
        return bytes((major + 25,)) + number.to_bytes(2, "big")
    if number < 0x100000000:
        return bytes((major + 26,)) + number.to_bytes(4, "big")
    return bytes((major + 27,)) + number.to_bytes(8, "big")


def _head_size(number: int) -> int:
    if number < 24:
        return 1
    if number < 0x10000:
        return 2 if number < 0x100 else 3
    return 5 if number < 0x100000000 else 9


def _number_heads(numbers: Sequence[int]) -> Iterable[bytes]:
    """`_head` of many numbers."""
    least, most = min(numbers, default=0), max(numbers, default=0)
    if least == most:
        return repeat(_head(0, least))
    size = _head_size(least)
    if size != _head_size(most) or size not in _HEADS:
        return map(_head, repeat(0), numbers)
    first, pack = _HEADS[size]
    return map(pack, repeat(first), numbers)


@lru_cache(maxsize=4096)
def _bytes_head(size: int) -> bytes:
    return _head(0x40, size)


@lru_cache(maxsize=4096)
def _bytes_size(size: int) -> int:
    return _head_size(size) + size


_HEADS = {2: (24, Struct(">BB").pack), 3: (25, Struct(">BH").pack), 5: (26, Struct(">BI").pack)}
"""What a number begins with, and what writes it, by how long both are together."""
_SHORT_HEADS = tuple(bytes((number,)) for number in range(256))
_NULL = b"\xf6"
_NINE = b"\x89"
_ZERO = b"\0"
_LINK = encode_cbor(Link(UNKNOWN_CID))[:-SHA256_CID_SIZE]
_ROWS_START = encode_cbor({"v": VERSION, "kind": "rows", "rows": []})[:-1]
_MISSING_START = encode_cbor({"v": VERSION, "kind": "missing", "rows": []})[:-1]


def _head_of(major: int, more: bytes = b"") -> bytes:
    """Matches the head of a value of less than 4 GiB, as short as it can be; or ``more``."""
    few = re.escape(bytes((major,))) + b"-" + re.escape(bytes((major + 23,)))
    one, two, four = (re.escape(bytes((major + 24 + wider,))) for wider in range(3))
    lengths = b"[%s]|%s[\\x18-\\xff]|%s(?!\\0)..|%s(?!\\0\\0)...." % (few, one, two, four)
    return b"(%s%s)" % (lengths, more)


_KINDS = tuple(RowKind)
_UINT = _head_of(0, rb"|\x1b(?!\0{4})[\0-\x7f].{7}")
_BYTES_HEAD = _head_of(0x40)
_LIST_HEAD = re.compile(_head_of(0x80), re.DOTALL)
_TEXT_HEAD = re.compile(_NINE + _BYTES_HEAD, re.DOTALL)
_OUR_CID = rb"(\x01[\x55\x70\x71]\x12\x20.{32})"
_MIDDLE = re.compile(
    b"".join(
        (
            rb"([\0-\x03])", _UINT, _UINT, b"(?:", _NULL, b"|", re.escape(_LINK), _OUR_CID, b")(?:",
            _NULL, b"|", _BYTES_HEAD, b")",
        )
    ),
    re.DOTALL,
)  # fmt: skip
"""What stands between the path of a row and its key."""
_REST = re.compile(_UINT * 3, re.DOTALL)
