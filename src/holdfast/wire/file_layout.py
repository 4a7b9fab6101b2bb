"""Where the blocks of a file stand in a CAR, told from its size alone; and the nodes over them.

A file is cut into leaves; a node has up to `Profile.width` of them below it, a node over nodes as
many, until one is left: every leaf is as deep as any other. A file of one leaf is that leaf.

Order of the blocks: leaves as in the file. A node follows the block that shows it complete: the
next one on its children's level (for the first node the 1,025th leaf), or the last block there is.
The root is last. ipfs-car writes so too. CIDs have one length, so every number is known before a
byte of the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..core.errors import LocalProtocolError
from .cid import DAG_PB_SHA256, RAW_SHA256, SHA256_CID_SIZE, Cid, dag_pb_cid
from .dag_pb import link_size
from .unixfs import PROFILE, Profile
from .varint import encode_varint, varint_size

LEAVES_MAX = 1 << 40
"""A file of more leaves is not planned (an exbibyte of our leaves)."""


class Block(NamedTuple):
    """A block that is ready to be written."""

    cid: Cid
    data: bytes


class FilePlan(NamedTuple):
    """What a file will be in a CAR.

    ``length`` is that of all its sections; ``tsize`` is that of its blocks, as a link to it says.
    """

    size: int
    leaves: int
    nodes: int
    length: int
    tsize: int


class PlannedBlock(NamedTuple):
    """A block that will be at ``offset`` of the CAR: a section's head, then ``size`` bytes.

    A leaf has the file's bytes from ``start`` on; a node has None there.
    """

    offset: int
    head_size: int
    size: int
    start: int | None


class _Sort(NamedTuple):
    """A sort of block: its size, and what a link tells of it (bytes of blocks, of the file)."""

    block: int
    tsize: int
    size: int


class _Level(NamedTuple):
    """The blocks of one level: how many, what all but the last are, what the last is."""

    blocks: int
    full: _Sort
    last: _Sort


def head_size(block_size: int) -> int:
    """How long a section's length and CID are."""
    return varint_size(block_size + SHA256_CID_SIZE) + SHA256_CID_SIZE


def section_size(block_size: int) -> int:
    """How long the section of such a block is."""
    return varint_size(block_size + SHA256_CID_SIZE) + SHA256_CID_SIZE + block_size


def section_sizes(block_sizes: Sequence[int]) -> list[int]:
    """`section_size` of many."""
    least = head_size(min(block_sizes, default=0))
    if least == head_size(max(block_sizes, default=0)):
        return list(map(least.__add__, block_sizes))
    head, varints = SHA256_CID_SIZE, _VARINT_SIZES
    return [size + head + varints[(size + head).bit_length()] for size in block_sizes]


_VARINT_SIZES = tuple(varint_size(1 << bits >> 1) for bits in range(64))
"""Of numbers, by how many bits they have."""


def plan_file(size: int, profile: Profile = PROFILE) -> FilePlan:
    """What a file of that size will be.

    Raises:
        LocalProtocolError: It has more than `LEAVES_MAX` leaves.
    """
    if 0 <= size <= profile.chunk_size:
        return FilePlan(size, 1, 0, section_size(size), size)
    levels = _levels(size, profile)
    length = sum(
        (level.blocks - 1) * section_size(level.full.block) + section_size(level.last.block)
        for level in levels
    )
    nodes = sum(level.blocks for level in levels[1:])
    return FilePlan(size, levels[0].blocks, nodes, length, levels[-1].last.tsize)


def iter_blocks(
    size: int, offset: int, profile: Profile = PROFILE, *, first_leaf: int = 0
) -> Iterator[PlannedBlock]:
    """The blocks of a file whose first section is at ``offset``, in the order they are written.

    They may begin at a later leaf; see `leaf_at`.
    """
    levels = _levels(size, profile)
    leaves = levels[0].blocks
    at = offset + leaf_offset(size, first_leaf, profile)
    for number in range(first_leaf, leaves):
        block = levels[0].full.block if number + 1 < leaves else levels[0].last.block
        head = head_size(block)
        yield PlannedBlock(at, head, block, number * profile.chunk_size)
        at += head + block
        for height, place in _nodes_after(number, levels, profile.width):
            level = levels[height]
            block = level.full.block if place + 1 < level.blocks else level.last.block
            head = head_size(block)
            yield PlannedBlock(at, head, block, None)
            at += head + block


def root_section(size: int, profile: Profile = PROFILE) -> int:
    """How long the section of a file's root is: the last one it has."""
    return section_size(_levels(size, profile)[-1].last.block)


def leaf_offset(size: int, number: int, profile: Profile = PROFILE) -> int:
    """How far after the file's first section the leaf of that number begins."""
    assert 0 <= number < _leaf_count(size, profile), "no leaf of the file"
    count = number
    total = count * section_size(profile.chunk_size)
    for node in _full_sorts(profile)[1:]:
        count = max(0, count - 1) // profile.width
        if not count:
            break
        total += count * section_size(node.block)
    return total


def leaf_at(size: int, distance: int, profile: Profile = PROFILE) -> int:
    """The last leaf that begins at most so far after the file's first section."""
    low, high = 0, _leaf_count(size, profile)
    while high - low > 1:
        middle = (low + high) // 2
        if leaf_offset(size, middle, profile) <= distance:
            low = middle
        else:
            high = middle
    return low


class FileBuilder:
    """Gives the nodes of a file, fed the sha2-256 of its leaves in order.

    A file of one leaf has no nodes, and that leaf's CID: nobody needs a builder for it.
    Holds at most `Profile.width` digests for each level.
    """

    def __init__(self, size: int, profile: Profile = PROFILE) -> None:
        self._width = profile.width
        self._levels = _levels(size, profile)
        self._pending: list[list[bytes]] = [[] for _ in self._levels]
        self._fed = 0
        self._next = profile.width  # the leaf that shows a node complete

    def add(self, digest: bytes) -> list[Block]:
        """The nodes that stand after this leaf."""
        number = self._fed
        leaves = self._levels[0].blocks
        assert number < leaves, "the file has no more leaves"
        self._fed = number + 1
        if number != self._next and self._fed != leaves:
            self._pending[0].append(digest)
            return []
        if number == self._next:
            self._next += self._width
        blocks: list[Block] = []
        self._arrive(0, number, digest, blocks)
        if self._fed == leaves:
            for height, level in enumerate(self._levels[1:], 1):
                place = level.blocks - 1
                blocks.append(self._node(height, place))
                self._arrive(height, place, blocks[-1].cid[4:], blocks)
        return blocks

    @property
    def root(self) -> Cid:
        """The file's CID, once every leaf was there."""
        assert self._fed == self._levels[0].blocks, "leaves are missing"
        codec = DAG_PB_SHA256 if len(self._levels) > 1 else RAW_SHA256
        return Cid(codec + self._pending[-1][-1])

    @property
    def tsize(self) -> int:
        """What a link to the file tells."""
        return self._levels[-1].last.tsize

    def _arrive(self, height: int, place: int, digest: bytes, blocks: list[Block]) -> None:
        """Take in a block of that level, after the node that it shows complete."""
        for above, place_above in _completed_by(height, place, self._width):
            block = self._node(above, place_above)
            blocks.append(block)
            self._pending[above - 1].append(digest)
            height, digest = above, block.cid[4:]
        self._pending[height].append(digest)

    def _node(self, height: int, place: int) -> Block:
        below, level = self._levels[height - 1], self._levels[height]
        is_last = place + 1 == level.blocks
        digests = self._pending[height - 1]
        self._pending[height - 1] = []
        child = below.last if is_last else below.full
        data = _encode_node(digests, below.full, child, level.last if is_last else level.full)
        return Block(dag_pb_cid(data), data)


def _nodes_after(number: int, levels: tuple[_Level, ...], width: int) -> Iterator[tuple[int, int]]:
    """The nodes that stand after a leaf: on which level, and which one there."""
    yield from _completed_by(0, number, width)
    if number + 1 == levels[0].blocks:
        for height in range(1, len(levels)):
            place = levels[height].blocks - 1
            yield height, place
            yield from _completed_by(height, place, width)


def _completed_by(height: int, place: int, width: int) -> Iterator[tuple[int, int]]:
    """The nodes shown complete by the arrival of a block beside them, and of these themselves."""
    while place and place % width == 0:
        height, place = height + 1, place // width - 1
        yield height, place


def _leaf_count(size: int, profile: Profile) -> int:
    count = -(-size // profile.chunk_size) or 1
    if size < 0 or count > LEAVES_MAX:
        raise LocalProtocolError(f"no file of {size} bytes can be laid out")
    return count


def _levels(size: int, profile: Profile) -> tuple[_Level, ...]:
    """The levels of a file's blocks, leaves first; the last one is the root alone."""
    count = _leaf_count(size, profile)
    end = size - (count - 1) * profile.chunk_size
    last = _Sort(end, end, end)
    levels = []
    for full in _full_sorts(profile):
        levels.append(_Level(count, full, last))
        if count == 1:
            break
        links = (count - 1) % profile.width + 1
        last = _node_sort(links, full, last)
        count = -(-count // profile.width)
    return tuple(levels)


@lru_cache(maxsize=16)
def _full_sorts(profile: Profile) -> tuple[_Sort, ...]:
    """A full block of every level that a file can have."""
    leaf = profile.chunk_size
    sorts = [_Sort(leaf, leaf, leaf)]
    while sorts[-1].size < LEAVES_MAX * leaf:
        sorts.append(_node_sort(profile.width, sorts[-1], sorts[-1]))
    return tuple(sorts)


def _node_sort(links: int, full: _Sort, last: _Sort) -> _Sort:
    """A node over so many blocks, the last of which differs."""
    others = links - 1
    size = others * full.size + last.size
    data = (
        3 + varint_size(size) + others * (1 + varint_size(full.size)) + 1 + varint_size(last.size)
    )
    block = others * link_size(0, full.tsize) + link_size(0, last.tsize)
    block += 1 + varint_size(data) + data
    return _Sort(block, block + others * full.tsize + last.tsize, size)


def _encode_node(digests: list[bytes], full: _Sort, last: _Sort, node: _Sort) -> bytes:
    """The block over those; all links but the last are alike."""
    codec = RAW_SHA256 if full.tsize == full.size else DAG_PB_SHA256
    head, tail = _link_around(full, codec)
    parts = [head, (tail + head).join(digests[:-1]), tail] if len(digests) > 1 else []
    head, tail = _link_around(last, codec)
    sizes = (b"\x20" + encode_varint(full.size)) * (len(digests) - 1)
    data = b"".join(
        (b"\x08\x02\x18", encode_varint(node.size), sizes, b"\x20", encode_varint(last.size))
    )
    return b"".join((*parts, head, digests[-1], tail, b"\x0a", encode_varint(len(data)), data))


def _link_around(child: _Sort, codec: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the digest of a link without a name."""
    tail = b"\x12\0\x18" + encode_varint(child.tsize)
    size = 2 + SHA256_CID_SIZE + len(tail)
    return b"\x12" + encode_varint(size) + b"\x0a\x24" + codec, tail
