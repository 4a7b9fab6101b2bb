"""The blocks of a folder: one, or shards when one would be too large; and their sizes from names.

A shard has a bucket for each value of one byte of the hash of a name: the first byte in the first
shard, the next one in those below. A bucket of one entry holds it under two upper-case hex digits
and its name, a fuller one holds another shard under the digits alone. So their shape follows from
the names, and their sizes from what links tell. Shards are written in the order of buckets, each
after those below it; the folder's own block is last.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from ..core.errors import LocalProtocolError
from .cid import Cid, dag_pb_cid
from .dag_pb import encode_link, encode_links, join_node, link_size, links_size
from .file_layout import Block, section_size
from .folder_names import fault_in_names
from .murmur3 import murmur3_x64_64
from .unixfs import FOLDER_DATA, PROFILE, Profile, shard_data
from .varint import varint_size

BUCKET_NAMES = tuple(b"%02X" % bucket for bucket in range(256))
HASH_BYTES = 8
"""So deep can shards be: then the hash of a name has no more bytes."""

_FOLDER_END = 2 + len(FOLDER_DATA)
_SHARD_END = len(shard_data(0))


class Entry(NamedTuple):
    """What a folder holds under a name, and how many bytes the blocks of it have."""

    name: bytes
    cid: Cid
    tsize: int


class FolderPlan(NamedTuple):
    """What the folder's own blocks will be: their sizes in order, and what a link to it tells."""

    block_sizes: list[int]
    length: int
    tsize: int


class FolderBlocks(NamedTuple):
    """The folder's own blocks in order, its own one last, and what a link to it tells."""

    blocks: list[Block]
    tsize: int


def plan_folder(
    names: Sequence[bytes], tsizes: Sequence[int], profile: Profile = PROFILE
) -> FolderPlan:
    """What a folder of these entries will be; names in the order of their bytes.

    Raises:
        LocalProtocolError: A name cannot be in a folder, is there twice, or out of order.
    """
    check_names(names)
    size = _FOLDER_END + links_size(names, tsizes)
    if size <= profile.folder_size_max:
        return FolderPlan([size], section_size(size), size + sum(tsizes))
    sizes: list[int] = []

    def close(buckets: list[int], links: list[tuple[bytes, int]]) -> int:
        data = _SHARD_END + (buckets[-1] >> 3) + 1
        size = 1 + varint_size(data) + data
        size += sum(link_size(len(name), tsize) for name, tsize in links)
        sizes.append(size)
        return size + sum(tsize for _, tsize in links)

    tsize = _fold(names, tsizes, close)
    return FolderPlan(sizes, sum(map(section_size, sizes)), tsize)


def build_folder(entries: Sequence[Entry], profile: Profile = PROFILE) -> FolderBlocks:
    """The blocks of a folder of these entries; names in the order of their bytes.

    Raises:
        LocalProtocolError: A name cannot be in a folder, is there twice, or out of order.
    """
    names, cids = [entry.name for entry in entries], [entry.cid for entry in entries]
    return build_from_columns(names, cids, [entry.tsize for entry in entries], profile)


def build_from_columns(
    names: Sequence[bytes], cids: Sequence[Cid], tsizes: Sequence[int], profile: Profile = PROFILE
) -> FolderBlocks:
    """As `build_folder`, the names, CIDs and sizes of entries each by themselves."""
    check_names(names)
    block = join_node(encode_links(cids, names, tsizes), FOLDER_DATA)
    if len(block) <= profile.folder_size_max:
        return FolderBlocks([Block(dag_pb_cid(block), block)], len(block) + sum(tsizes))
    blocks: list[Block] = []

    def close(buckets: list[int], links: list[tuple[bytes, tuple[Cid, int]]]) -> tuple[Cid, int]:
        used = 0
        for bucket in buckets:
            used |= 1 << bucket
        data = join_node(
            (encode_link(cid, name, tsize) for name, (cid, tsize) in links), shard_data(used)
        )
        blocks.append(Block(dag_pb_cid(data), data))
        return blocks[-1].cid, len(data) + sum(tsize for _, (_, tsize) in links)

    _, tsize = _fold(names, list(zip(cids, tsizes, strict=True)), close)
    return FolderBlocks(blocks, tsize)


def check_names(names: Sequence[bytes]) -> None:
    """Pass when these can be the names in a folder, in the order they are written.

    Raises:
        LocalProtocolError: They cannot; it says why.
    """
    if fault := fault_in_names(names):
        raise LocalProtocolError(f"names in a folder: {fault}")


Below = TypeVar("Below")


def _fold(
    names: Sequence[bytes],
    below: Sequence[Below],
    close: Callable[[list[int], list[tuple[bytes, Below]]], Below],
) -> Below:
    """Shape entries into shards; ``close`` gets the buckets and links of each, lowest first."""
    hashes = list(map(murmur3_x64_64, names))
    order = sorted(range(len(names)), key=hashes.__getitem__)
    hashes.sort()

    def shard(start: int, stop: int, depth: int) -> Below:
        if depth == HASH_BYTES:
            raise LocalProtocolError(f"two names of one hash: {names[order[start]]!r} and another")
        shift = 8 * (HASH_BYTES - 1 - depth)
        buckets: list[int] = []
        links: list[tuple[bytes, Below]] = []
        while start < stop:
            prefix = hashes[start] >> shift
            end = bisect_left(hashes, (prefix + 1) << shift, start, stop)
            bucket = prefix & 0xFF
            buckets.append(bucket)
            if end == start + 1:
                entry = order[start]
                links.append((BUCKET_NAMES[bucket] + names[entry], below[entry]))
            else:
                links.append((BUCKET_NAMES[bucket], shard(start, end, depth + 1)))
            start = end
        return close(buckets, links)

    return shard(0, len(names), 0)
