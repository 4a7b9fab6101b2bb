"""Which blocks answer a request to a trustless gateway, and in which order. Pure code.

First the blocks that prove the path, then those of the scope, depth first: a block before those
that it links to, these in the order of its links. Specification: IPFS Trustless Gateway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from ..core.errors import ProtocolError
from .cid import DAG_CBOR, DAG_PB, RAW, Cid, parse_cid
from .dag_cbor import Link, Value, decode_cbor
from .dag_pb import decode_node
from .file_layout import Block
from .multihash import IDENTITY
from .unixfs import Kind, decode_unixfs
from .unixfs_folders import iter_shard_blocks, resolve
from .unixfs_reading import GetBlock, file_node, iter_file_parts, load

BLOCKS_MAX = 1 << 26
"""A walk visits so many blocks at most, unless told otherwise: few blocks can link to many."""
WAITING_MAX = 1 << 20
"""So many links wait to be followed at most."""


class Scope(StrEnum):
    """How much of what is at the path is wanted; as the word in a request says."""

    BLOCK = "block"
    ENTITY = "entity"
    ALL = "all"


class ByteRange(NamedTuple):
    """First and last byte wanted, from the end when negative; None is up to the end."""

    first: int
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Where it begins and ends in a file of that size; of no length when it has none of it."""
        start = self.first if self.first >= 0 else max(0, size + self.first)
        if self.last is None:
            stop = size
        else:
            stop = min(size, (self.last if self.last >= 0 else size + self.last) + 1)
        return start, max(start, stop)


def parse_byte_range(text: str) -> ByteRange:
    """The range that a request's ``entity-bytes`` says.

    Raises:
        ProtocolError: It says none.
    """
    found = re.fullmatch(r"(-?[0-9]{1,18}):(-?[0-9]{1,18}|\*)", text, re.ASCII)
    if found is None:
        raise ProtocolError(f"no range of bytes: {text[:80]!r}")
    first, last = int(found[1]), None if found[2] == "*" else int(found[2])
    if last is not None and (first < 0) == (last < 0) and last < first:
        raise ProtocolError(f"a range of bytes that ends before it begins: {text[:80]!r}")
    return ByteRange(first, last)


def iter_scope(
    root: Cid,
    names: Sequence[bytes],
    get: GetBlock,
    scope: Scope = Scope.ALL,
    byte_range: ByteRange | None = None,
    *,
    repeats: bool = False,
    blocks_max: int = BLOCKS_MAX,
) -> Iterator[Block]:
    """The blocks that answer a request. A block that is its own CID is not among them.

    With ``repeats`` a block comes as often as it is linked to. The path is followed when the first
    block is asked for.

    Raises:
        NotFoundError: Nothing is at the path, or a block is not there.
        IntegrityError: A block is not the one its CID names.
        ProtocolError: A block is not what it should be, or there are more than ``blocks_max``.
    """
    found = resolve(root, names, get)
    top = load(found.cid, get)
    if byte_range is not None:
        scope = Scope.ENTITY
    if scope is Scope.ALL:
        blocks = iter_dag(top, get, None if repeats else set())
    elif scope is Scope.BLOCK:
        blocks = iter((top,))
    else:
        blocks = _entity(top, get, byte_range)
    sent: set[Cid] = set()
    for number, block in enumerate(chain(found.trail, blocks)):
        if number >= blocks_max:
            raise ProtocolError(f"more than {blocks_max} blocks")
        if scope is Scope.ENTITY and not repeats:
            if block.cid in sent:
                continue
            sent.add(block.cid)
        if parse_cid(block.cid).multihash.code != IDENTITY:
            yield block


def _entity(top: Block, get: GetBlock, byte_range: ByteRange | None) -> Iterator[Block]:
    kind = _kind(top)
    if kind in (Kind.FOLDER, Kind.SHARD):
        return iter_shard_blocks(top, get)
    if kind not in (Kind.FILE, Kind.RAW):
        return iter((top,))
    start, stop = 0, file_node(top).size
    if byte_range is not None:
        start, stop = byte_range.within(stop)
    return (part.block for part in iter_file_parts(top.cid, get, start, stop))


def _kind(block: Block) -> Kind | None:
    """What a block is as UnixFS; None when it is none, which is no fault."""
    codec = parse_cid(block.cid).codec
    if codec == RAW:
        return Kind.RAW
    if codec != DAG_PB:
        return None
    try:
        return decode_unixfs(decode_node(block.data).data or b"").kind
    except ProtocolError:
        return None


def iter_dag(top: Block, get: GetBlock, seen: set[Cid] | None = None) -> Iterator[Block]:
    """A block and all below it, depth first. What is in ``seen`` is passed over, and put there."""
    yield top
    waiting = links_of(top)[::-1]
    while waiting:
        cid = waiting.pop()
        if seen is not None:
            if cid in seen:
                continue
            seen.add(cid)
        block = load(cid, get)
        yield block
        waiting += reversed(links_of(block))
        if len(waiting) > WAITING_MAX:
            raise ProtocolError(f"more than {WAITING_MAX} links wait to be followed")


def links_of(block: Block) -> list[Cid]:
    """The links of a block, in order; none when it is of a kind that we do not read.

    Raises:
        ProtocolError: It is not of the kind that its CID says.
    """
    codec = parse_cid(block.cid).codec
    if codec == DAG_PB:
        return [link.cid for link in decode_node(block.data).links]
    if codec == DAG_CBOR:
        return list(_links_in(decode_cbor(block.data)))
    return []


def _links_in(value: Value) -> Iterator[Cid]:
    if isinstance(value, Link):
        yield value.cid
    elif isinstance(value, dict):
        for item in value.values():
            yield from _links_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _links_in(item)
