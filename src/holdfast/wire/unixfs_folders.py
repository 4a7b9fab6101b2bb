"""Reading folders out of blocks that anybody may have made: listing, finding, walking. Pure code.

A name in a shard has to be where its hash puts it. So no name is there twice, a name is found if it
is there, and shards that lead around in circles are found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..core.errors import NotFoundError, ProtocolError
from .cid import DAG_PB, RAW, Cid, cid_text, parse_cid
from .file_layout import Block
from .folder_layout import BUCKET_NAMES, HASH_BYTES
from .folder_names import fault_in_names
from .multihash import MURMUR3_X64_64
from .murmur3 import murmur3_x64_64
from .unixfs import FANOUT, FOLDERS_DEEP_MAX, Kind, Unixfs
from .unixfs_reading import GetBlock, file_node, load, message_of, symlink_target

ENTRIES_MAX = 1 << 27
"""So many entries of a tree are told, unless told otherwise: few blocks can name many."""

_HELD_MAX = 32 << 20
"""The blocks of the folders that are open at a time have so many bytes at most."""


class FolderEntry(NamedTuple):
    """What a folder has under a name."""

    name: bytes
    cid: Cid


class Found(NamedTuple):
    """What is at a path, and the blocks that prove it: those of the folders passed."""

    cid: Cid
    trail: list[Block]


class TreeItem(NamedTuple):
    """What is in a tree: a file, a folder, or a symlink with its target."""

    path: bytes
    kind: Kind
    cid: Cid
    target: bytes = b""


class _Shard(NamedTuple):
    """A shard: what each bucket that is used holds. An entry has a name, a shard below has none."""

    block: Block
    depth: int
    prefix: int
    buckets: dict[int, FolderEntry]


def iter_folder(cid: Cid, get: GetBlock) -> Iterator[FolderEntry]:
    """The entries of a folder, in the order of its links.

    Raises:
        IntegrityError: A block is not the one its CID names.
        ProtocolError: It is no folder, or one with names that cannot be.
        NotFoundError: As ``get`` raises it.
    """
    block = load(cid, get)
    message, links = message_of(block)
    if message.kind is Kind.SHARD:
        yield from _iter_shard(_shard(block, 0, 0), get)
    else:
        yield from _entries(block, message, links)


def iter_shard_blocks(block: Block, get: GetBlock) -> Iterator[Block]:
    """A folder's own blocks, each before those below it."""
    yield block
    if message_of(block)[0].kind is Kind.SHARD:
        yield from _iter_below(_shard(block, 0, 0), get)


def find_entry(block: Block, name: bytes, get: GetBlock) -> tuple[FolderEntry | None, list[Block]]:
    """What a folder has under a name, and which of its blocks tell so; no others are read.

    Raises:
        ProtocolError: It is no folder, or one with names that cannot be.
    """
    message, links = message_of(block)
    if message.kind is not Kind.SHARD:
        entries = _entries(block, message, links)
        return next((entry for entry in entries if entry.name == name), None), [block]
    trail = [block]
    position = murmur3_x64_64(name)
    shard = _shard(block, 0, 0)
    while True:
        bucket = position >> 8 * (HASH_BYTES - 1 - shard.depth) & 0xFF
        entry = shard.buckets.get(bucket)
        if entry is None:
            return None, trail
        if entry.name:
            _check_names(shard, (entry,))
            return (entry if entry.name == name else None), trail
        shard = _below(shard, bucket, entry.cid, get)
        trail.append(shard.block)


def resolve(root: Cid, names: Sequence[bytes], get: GetBlock) -> Found:
    """What is at a path below a root.

    Raises:
        NotFoundError: Nothing is there, or a file where a folder should be.
        IntegrityError, ProtocolError: As `iter_folder`.
    """
    if len(names) > FOLDERS_DEEP_MAX:
        raise NotFoundError(f"no path of {len(names)} names is in an archive")
    cid, trail = root, list[Block]()
    for name in names:
        if not _is_folder(block := load(cid, get)):
            raise NotFoundError(f"{_shown(name)} is in no folder: {cid_text(cid)} is none")
        entry, blocks = find_entry(block, name, get)
        trail += blocks
        if entry is None:
            raise NotFoundError(f"there is no {_shown(name)} in folder {cid_text(cid)}")
        cid = entry.cid
    return Found(cid, trail)


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "backslashreplace"))


def iter_tree(root: Cid, get: GetBlock, *, entries_max: int = ENTRIES_MAX) -> Iterator[TreeItem]:
    """All that is below a folder, each folder before what is in it. Holds a listing a level.

    Raises:
        ProtocolError: A block is none of a tree, or names more than ``entries_max`` in all.
        IntegrityError, NotFoundError: As `iter_folder`.
    """
    waiting = [(b"", 0, iter_folder(root, get))]
    held = 0
    while waiting:
        path, size, entries = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            held -= size
            waiting.pop()
            continue
        entries_max -= 1
        if entries_max < 0 or len(waiting) > FOLDERS_DEEP_MAX or held > _HELD_MAX:
            raise ProtocolError(f"a tree too large or too deep at {path[:80]!r}")
        item, size = _item(path + b"/" + entry.name if path else entry.name, entry.cid, get)
        yield item
        if item.kind is Kind.FOLDER:
            held += size
            waiting.append((item.path, size, iter_folder(item.cid, get)))


def _item(path: bytes, cid: Cid, get: GetBlock) -> tuple[TreeItem, int]:
    """What a CID in a tree is, and how large its block."""
    if parse_cid(cid).codec == RAW:
        return TreeItem(path, Kind.FILE, cid), 0
    block = load(cid, get)
    size = len(block.data)
    kind = message_of(block)[0].kind
    if kind is Kind.SYMLINK:
        return TreeItem(path, kind, cid, symlink_target(block)), size
    if kind in (Kind.FOLDER, Kind.SHARD):
        return TreeItem(path, Kind.FOLDER, cid), size
    file_node(block)
    return TreeItem(path, Kind.FILE, cid), size


def _is_folder(block: Block) -> bool:
    if parse_cid(block.cid).codec != DAG_PB:
        return False
    return message_of(block)[0].kind in (Kind.FOLDER, Kind.SHARD)


def _entries(
    block: Block, message: Unixfs, links: list[tuple[Cid, bytes]]
) -> Iterator[FolderEntry]:
    if message.kind is not Kind.FOLDER:
        raise _fault(block, "it is no folder")
    if fault := fault_in_names([name for _, name in links]):
        raise _fault(block, f"names in a folder: {fault}")
    return (FolderEntry(name, cid) for cid, name in links)


def _shard(block: Block, depth: int, prefix: int) -> _Shard:
    """A block as a shard at its place: ``prefix`` is what the hashes of its names begin with."""
    message, links = message_of(block)
    bits = message.data or b""
    if message.kind is not Kind.SHARD or depth == HASH_BYTES:
        raise _fault(block, "it is no shard, or one too deep")
    if (message.hash_code, message.fanout) != (MURMUR3_X64_64, FANOUT):
        raise _fault(block, f"a shard of fanout {message.fanout} by hash {message.hash_code}")
    if len(bits) > FANOUT // 8 or bits[:1] == b"\0" or not (links or not depth):
        raise _fault(block, "a shard that does not tell its buckets")
    used = int.from_bytes(bits, "big")
    buckets = [bucket for bucket in range(FANOUT) if used >> bucket & 1]
    if len(buckets) != len(links):
        raise _fault(block, f"a shard of {len(buckets)} buckets and {len(links)} links")
    found = {}
    for bucket, (cid, name) in zip(buckets, links, strict=True):
        if name[:2] != BUCKET_NAMES[bucket]:
            raise _fault(block, f"{name[:40]!r} stands in bucket {bucket:02X}")
        found[bucket] = FolderEntry(name[2:], cid)
    return _Shard(block, depth, prefix, found)


def _check_names(shard: _Shard, entries: Iterable[FolderEntry]) -> None:
    """Pass when entries of a shard have names that can be, and stand where these belong."""
    names = [entry.name for entry in entries if entry.name]
    if fault := fault_in_names(names, is_ordered=False):
        raise _fault(shard.block, f"names in a folder: {fault}")
    shift = 8 * (HASH_BYTES - 1 - shard.depth)
    for name in names:
        position = murmur3_x64_64(name) >> shift
        entry = shard.buckets.get(position & 0xFF)
        if position >> 8 != shard.prefix or entry is None or entry.name != name:
            raise _fault(shard.block, f"{name[:40]!r} stands where its hash does not put it")


def _below(shard: _Shard, bucket: int, cid: Cid, get: GetBlock) -> _Shard:
    return _shard(load(cid, get), shard.depth + 1, shard.prefix << 8 | bucket)


def _iter_shard(shard: _Shard, get: GetBlock) -> Iterator[FolderEntry]:
    _check_names(shard, shard.buckets.values())
    for bucket, entry in shard.buckets.items():
        if entry.name:
            yield entry
        else:
            yield from _iter_shard(_below(shard, bucket, entry.cid, get), get)


def _iter_below(shard: _Shard, get: GetBlock) -> Iterator[Block]:
    _check_names(shard, shard.buckets.values())
    for bucket, entry in shard.buckets.items():
        if not entry.name:
            below = _below(shard, bucket, entry.cid, get)
            yield below.block
            yield from _iter_below(below, get)


def _fault(block: Block, what: str) -> ProtocolError:
    return ProtocolError(f"block {cid_text(block.cid)}: {what}")
