"""Reading files and symlinks out of blocks that anybody may have made. Pure code.

Blocks come from a function; each is held against its CID before it is looked at, and is what its
parent claims or nothing is given of it. What blocks claim costs no memory, and a file costs no more
steps than it has bytes, some hundred at most for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from ..core.errors import ProtocolError
from .car import BLOCK_MAX
from .cid import DAG_PB, RAW, Cid, cid_text, parse_cid
from .dag_pb import decode_node
from .file_layout import Block
from .multihash import IDENTITY
from .unixfs import Kind, Unixfs, decode_unixfs

GetBlock: TypeAlias = Callable[[Cid], bytes]
"""Gives the block of a CID; raises `NotFoundError` when it has none. Not believed."""

LEVELS_MAX = 8
"""No file has more levels of nodes."""
LINKS_MAX = 1024
"""No node of a file has more links."""


class FileNode(NamedTuple):
    """A block of a file: bytes of its own, then those of its children with their sizes."""

    size: int
    content: bytes
    children: list[tuple[Cid, int]]


class FilePart(NamedTuple):
    """A block of a file: where its own bytes are in the file, and these."""

    block: Block
    offset: int
    content: bytes


def load(cid: Cid, get: GetBlock) -> Block:
    """The block of a CID, held against it. One that is its own CID is not asked for.

    Raises:
        IntegrityError: It is another one.
        ProtocolError: It is too large, or its CID is none that we can check.
    """
    hashed = parse_cid(cid).multihash
    if hashed.code == IDENTITY:
        return Block(cid, hashed.digest)
    data = get(cid)
    if len(data) > BLOCK_MAX:
        raise ProtocolError(f"block {cid_text(cid)} has {len(data)} bytes")
    hashed.check(data)
    return Block(cid, data)


def message_of(block: Block) -> tuple[Unixfs, list[tuple[Cid, bytes]]]:
    """What a dag-pb block is as UnixFS, and its links with their names.

    Raises:
        ProtocolError: It is none.
    """
    if parse_cid(block.cid).codec != DAG_PB:
        raise ProtocolError(f"block {cid_text(block.cid)} is no UnixFS")
    try:
        node = decode_node(block.data)
        message = decode_unixfs(node.data or b"")
    except ProtocolError as error:
        raise ProtocolError(f"block {cid_text(block.cid)}: {error}") from None
    return message, [(link.cid, link.name or b"") for link in node.links]


def file_node(block: Block) -> FileNode:
    """A block as one of a file.

    Raises:
        ProtocolError: It is none, or what it claims does not fit together.
    """
    if parse_cid(block.cid).codec == RAW:
        return FileNode(len(block.data), block.data, [])
    message, links = message_of(block)
    content, sizes = message.data or b"", message.block_sizes
    size = len(content) + sum(sizes)
    claimed = size if message.file_size is None and not links else message.file_size
    if message.kind not in (Kind.FILE, Kind.RAW):
        raise _fault(block, "it is of no file")
    if len(links) != len(sizes) or len(links) > LINKS_MAX:
        raise _fault(block, f"{len(links)} links for {len(sizes)} sizes")
    if size != claimed or 0 in sizes:
        raise _fault(block, f"{claimed} bytes of a file are the sum of {size}")
    children = [(cid, part) for (cid, _), part in zip(links, sizes, strict=True)]
    return FileNode(size, content, children)


def file_size(cid: Cid, get: GetBlock) -> int:
    """How many bytes a file has, by its root alone: that these are there is not known yet."""
    return file_node(load(cid, get)).size


def iter_file(cid: Cid, get: GetBlock, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes of a file, from ``start`` to before ``stop``, as its blocks come.

    Only blocks that have some of them are asked for.

    Raises:
        IntegrityError: A block is not the one its CID names.
        ProtocolError: A block is none of a file, or not what its parent claims.
        NotFoundError: As ``get`` raises it.
    """
    for part in iter_file_parts(cid, get, start, stop):
        first = max(0, start - part.offset)
        last = len(part.content) if stop is None else stop - part.offset
        if content := part.content[first : max(0, last)]:
            yield content


def iter_file_parts(
    cid: Cid, get: GetBlock, start: int = 0, stop: int | None = None
) -> Iterator[FilePart]:
    """The blocks that a range of a file needs, each before those below it; the root always."""
    waiting: list[tuple[Cid, int, int, int]] = [(cid, -1, 0, 0)]
    while waiting:
        cid, claimed, at, level = waiting.pop()
        block = load(cid, get)
        node = file_node(block)
        if claimed not in (-1, node.size):
            raise _fault(block, f"{node.size} bytes at {at} of a file that should be {claimed}")
        if level > LEVELS_MAX:
            raise _fault(block, f"more than {LEVELS_MAX} levels of a file")
        yield FilePart(block, at, node.content)
        at += len(node.content)
        below = []
        for child, size in node.children:
            if at + size > start and (stop is None or max(at, start) < stop):
                below.append((child, size, at, level + 1))
            at += size
        waiting += reversed(below)


def symlink_target(block: Block) -> bytes:
    """Where a symlink leads to.

    Raises:
        ProtocolError: It is none.
    """
    message, links = message_of(block)
    if message.kind is not Kind.SYMLINK or links or message.data is None:
        raise _fault(block, "it is no symlink")
    return message.data


def _fault(block: Block, what: str) -> ProtocolError:
    return ProtocolError(f"block {cid_text(block.cid)}: {what}")
