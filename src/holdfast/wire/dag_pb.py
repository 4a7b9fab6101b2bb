"""dag-pb: blocks with links and some data, in one byte form of a protobuf message. Pure code.

    node = (12 varint(length) link)*  [0a varint(length) data]
    link = 0a varint(length) cid  [12 varint(length) name]  [18 varint(tsize)]

Links stand before the data, although their number is the higher one. What somebody else left out of
a link is read as None and written so; we leave nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import add
from typing import NamedTuple

from ..core.errors import ProtocolError
from .cid import DAG_PB_SHA256, RAW_SHA256, SHA256_CID_SIZE, Cid, parse_cid
from .varint import VARINT_SIZE_MAX, decode_varint, encode_varint, varint_size, varint_sizes

NODE_MAX = 2 << 20
"""No block that we read is larger."""

_LINK, _DATA = 0x12, 0x0A
_HASH, _NAME, _TSIZE = 0x0A, 0x12, 0x18
_KNOWN = frozenset((RAW_SHA256, DAG_PB_SHA256))
_CID_FIELD = 2 + SHA256_CID_SIZE


_SHORT_NAME_MAX = 0x7F - _CID_FIELD - 2 - 1 - VARINT_SIZE_MAX
_SHORT_NAMES = tuple(bytes((_NAME, size)) for size in range(_SHORT_NAME_MAX + 1))
_SHORT_HEADS = tuple(
    bytes((_LINK, _CID_FIELD + 2 + size, _HASH, SHA256_CID_SIZE))
    for size in range(_SHORT_NAME_MAX + 1 + VARINT_SIZE_MAX + 1)
)
"""What stands before the CID of a link, by how long its name and the field of its size are."""


class PbLink(NamedTuple):
    """A link: the CID, its name, and how many bytes the blocks below have, as its maker says."""

    cid: Cid
    name: bytes | None
    tsize: int | None


class PbNode(NamedTuple):
    """What a block holds. No data is not the same as data of no bytes."""

    links: list[PbLink]
    data: bytes | None


def encode_link(cid: bytes, name: bytes, tsize: int) -> bytes:
    """A link with all its fields, as `join_node` takes it."""
    body = b"".join(
        (
            b"\x0a", encode_varint(len(cid)), cid,
            b"\x12", encode_varint(len(name)), name,
            b"\x18", encode_varint(tsize),
        )
    )  # fmt: skip
    return b"\x12" + encode_varint(len(body)) + body


@lru_cache(maxsize=4096)
def _tsize_field(tsize: int) -> bytes:
    return b"\x18" + encode_varint(tsize)


def link_size(name_size: int, tsize: int) -> int:
    """How long a link by a sha2-256 CID will be."""
    body = _CID_FIELD + 2 + varint_size(name_size) + name_size + varint_size(tsize)
    return 1 + varint_size(body) + body


def encode_links(
    cids: Sequence[bytes], names: Sequence[bytes], tsizes: Sequence[int]
) -> list[bytes]:
    """`encode_link` of many, the fields in columns."""
    if not _are_short(names) or set(map(len, cids)) != {SHA256_CID_SIZE}:
        return list(map(encode_link, cids, names, tsizes))
    ends, lengths = list(map(_tsize_field, tsizes)), list(map(len, names))
    heads = map(_SHORT_HEADS.__getitem__, map(add, lengths, map(len, ends)))
    short = map(_SHORT_NAMES.__getitem__, lengths)
    return list(map(b"".join, zip(heads, cids, short, names, ends, strict=True)))


def links_size(names: Sequence[bytes], tsizes: Sequence[int]) -> int:
    """How long links by sha2-256 CIDs will be together."""
    if not _are_short(names):
        return sum(map(link_size, map(len, names), tsizes))
    least = (link_size(0, 0) - 1) * len(names)
    return least + sum(map(len, names)) + varint_sizes(tsizes)


def _are_short(names: Sequence[bytes]) -> bool:
    """Whether the length of each link is one byte, whatever else is in it."""
    return max(map(len, names), default=0) <= _SHORT_NAME_MAX


def join_node(links: Iterable[bytes], data: bytes) -> bytes:
    """The block of links that `encode_link` made, in that order, and of data."""
    return b"".join((*links, b"\x0a", encode_varint(len(data)), data))


def encode_node(node: PbNode) -> bytes:
    """The block of a node as it was read, with what its maker left out left out."""
    parts = []
    for cid, name, tsize in node.links:
        body = b"\x0a" + encode_varint(len(cid)) + cid
        if name is not None:
            body += b"\x12" + encode_varint(len(name)) + name
        if tsize is not None:
            body += b"\x18" + encode_varint(tsize)
        parts.append(b"\x12" + encode_varint(len(body)) + body)
    if node.data is not None:
        parts.append(b"\x0a" + encode_varint(len(node.data)) + node.data)
    return b"".join(parts)


def decode_node(block: bytes) -> PbNode:
    """What a block holds. `encode_node` of it is the block again.

    Raises:
        ProtocolError: It is not dag-pb in its one form, or too large.
    """
    if len(block) > NODE_MAX:
        raise ProtocolError(f"a dag-pb block of {len(block)} bytes")
    links: list[PbLink] = []
    at, end = 0, len(block)
    while at < end:
        field = block[at]
        start, stop = take_field(block, at + 1, end)
        if field == _LINK:
            links.append(_link(block, start, stop))
        elif field != _DATA or stop != end:
            raise ProtocolError(f"not dag-pb: field {field:#x} at offset {at}")
        else:
            return PbNode(links, block[start:])
        at = stop
    return PbNode(links, None)


def _link(block: bytes, at: int, end: int) -> PbLink:
    if at == end or block[at] != _HASH:
        raise ProtocolError(f"not dag-pb: a link to nothing at offset {at}")
    start, stop = take_field(block, at + 1, end)
    cid = block[start:stop]
    if len(cid) != SHA256_CID_SIZE or cid[:4] not in _KNOWN:
        parse_cid(cid)
    name = tsize = None
    if stop < end and block[stop] == _NAME:
        start, stop = take_field(block, stop + 1, end)
        name = block[start:stop]
    if stop < end and block[stop] == _TSIZE:
        tsize, stop = decode_varint(block, stop + 1)
    if stop != end:
        raise ProtocolError(f"not dag-pb: what is no part of a link at offset {stop}")
    return PbLink(Cid(cid), name, tsize)


def take_field(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the bytes of a field begin and end, its length being there.

    Raises:
        ProtocolError: They do not end before ``end``.
    """
    if at < end and data[at] < 0x80:
        size, start = data[at], at + 1
    else:
        size, start = decode_varint(data, at)
    if size > end - start:
        raise ProtocolError(f"a field of {size} bytes is cut short at offset {at}")
    return start, start + size
