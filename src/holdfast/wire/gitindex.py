"""git's index, read in place and rewritten in one sorted pass; its cache tree.

Versions 2, 3 and 4 are read; 2 is written, or 3 when a flag needs it. An index that says less than
all (split, sparse) is refused: those are git's to handle. Format: gitformat-index(5).
"""

from __future__ import annotations

import os
import re
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from mmap import mmap
from typing import BinaryIO, NamedTuple

from ..core.errors import LocalProtocolError, ProtocolError
from .gitobjects import ObjectFormat, Oid

_SIGNATURE = b"DIRC"
_HEADER = struct.Struct(">4sII")
_MTIME = struct.Struct(">8xII")
_EXTENSION = struct.Struct(">4sI")
_CACHE_TREE = b"TREE"

_FIXED = {size: struct.Struct(f">10I{size}sH") for size in (20, 32)}

_ASSUME_VALID = 0x8000
_EXTENDED = 0x4000
_STAGE_SHIFT = 12
_LENGTH = 0x0FFF
_SKIP_WORKTREE = 0x4000
_INTENT_TO_ADD = 0x2000

_COUNTS = re.compile(rb"(-1|[0-9]{1,10}) ([0-9]{1,10})")

_PADDING = [bytes(8 - size % 8) for size in range(8)]
_U32 = 0xFFFFFFFF
_SLICE = 1 << 20
_PIECES_MAX = 8192
_SIZE_AT = 36
_NEVER = 1 << 64


class GitOnlyError(ProtocolError):
    """An index is whole, but has a part without which its entries do not mean what they say."""

    def __init__(self, part: str) -> None:
        super().__init__(f"the git index has a part that only git can handle: {part}")
        self.part = part


class StatFacts(NamedTuple):
    """What the index keeps of a file's lstat, to see later that it is unchanged; 32 bits each."""

    ctime_s: int = 0
    ctime_ns: int = 0
    mtime_s: int = 0
    mtime_ns: int = 0
    dev: int = 0
    ino: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0


StatTuple = tuple[int, int, int, int, int, int, int, int, int]
"""`StatFacts`, or the same as a plain tuple."""

Row = tuple[bytes, int, Oid, StatTuple, int]
"""Path, mode, object, facts of lstat, and the flags as git has them, extended ones 16 bits up."""


class IndexEntry(NamedTuple):
    """All that the index says of one path at one stage."""

    path: bytes
    mode: int
    oid: Oid
    stat: StatFacts
    stage: int = 0
    assume_valid: bool = False
    skip_worktree: bool = False
    intent_to_add: bool = False

    def encode(self) -> bytes:
        """The entry as `write_index` takes it."""
        return encode_entry(
            self.path,
            self.mode,
            self.oid,
            self.stat,
            stage=self.stage,
            assume_valid=self.assume_valid,
            skip_worktree=self.skip_worktree,
            intent_to_add=self.intent_to_add,
        )


def stat_facts(found: os.stat_result) -> StatFacts:
    """What the index keeps of an lstat."""
    ctime_s, ctime_ns = divmod(found.st_ctime_ns, 1_000_000_000)
    mtime_s, mtime_ns = divmod(found.st_mtime_ns, 1_000_000_000)
    return StatFacts(
        ctime_s & _U32, ctime_ns, mtime_s & _U32, mtime_ns,
        found.st_dev & _U32, found.st_ino & _U32,
        found.st_uid & _U32, found.st_gid & _U32, found.st_size & _U32,
    )  # fmt: skip


def is_racy(entry_mtime: tuple[int, int], index_mtime: tuple[int, int]) -> bool:
    """Whether a file may have changed without a trace: not older than the index that knows it.

    Moments are (seconds, nanoseconds). Where either has no fraction, as some programs and file
    systems have it, seconds are compared.
    """
    if entry_mtime[1] and index_mtime[1]:
        return entry_mtime >= index_mtime
    return entry_mtime[0] >= index_mtime[0]


def encode_entry(
    path: bytes,
    mode: int,
    oid: Oid,
    stat: StatTuple,
    *,
    stage: int = 0,
    assume_valid: bool = False,
    skip_worktree: bool = False,
    intent_to_add: bool = False,
) -> bytes:
    """One entry in the form of versions 2 and 3. ``stat`` is in the order of `StatFacts`;
    what is wider than 32 bits loses its upper bits, as in git.

    Raises:
        LocalProtocolError: The path, stage or object name is not one git could read back.
    """
    length = len(path)
    if not length or b"\0" in path or not 0 <= stage <= 3 or len(oid) not in _FIXED:
        raise LocalProtocolError(f"not an index entry: {path[:100]!r} stage {stage} {oid.hex()}")
    flags = (length if length < _LENGTH else _LENGTH) | stage << _STAGE_SHIFT
    if assume_valid:
        flags |= _ASSUME_VALID
    more = b""
    if skip_worktree or intent_to_add:
        flags |= _EXTENDED
        more = (skip_worktree * _SKIP_WORKTREE | intent_to_add * _INTENT_TO_ADD).to_bytes(2, "big")
    ctime_s, ctime_ns, mtime_s, mtime_ns, dev, ino, uid, gid, size = stat
    try:
        head = _FIXED[len(oid)].pack(
            ctime_s, ctime_ns, mtime_s, mtime_ns, dev, ino, mode, uid, gid, size, oid, flags
        )
    except struct.error:
        ctime_s, ctime_ns, mtime_s, mtime_ns, dev, ino, uid, gid, size = [x & _U32 for x in stat]
        head = _FIXED[len(oid)].pack(
            ctime_s, ctime_ns, mtime_s, mtime_ns, dev, ino, mode, uid, gid, size, oid, flags
        )
    return head + more + path + _PADDING[(len(head) + len(more) + length) & 7]


class IndexView:
    """An index in memory or mapped, its entries found by position or path, decoded when asked for.

    Entries are in git's order: by the bytes of the path, then by stage. That order is believed,
    not checked, as the checksum is. A mapped index must stay open as long as the view is used.
    """

    def __init__(self, data: bytes | mmap | memoryview, fmt: ObjectFormat) -> None:
        """Find the entries.

        Raises:
            ProtocolError: It is no index, is damaged, or has a part that only git may handle.
        """
        raw = bytes(data) if isinstance(data, memoryview) else data
        end = len(raw) - fmt.digest_size
        if end < _HEADER.size:
            raise ProtocolError("not a git index: it is too short")
        signature, version, count = _HEADER.unpack_from(raw)
        if signature != _SIGNATURE or version not in (2, 3, 4):
            raise ProtocolError(f"not a git index that we know: {raw[:12]!r}")
        _check_trailer(raw, end, fmt)
        self.format = fmt
        self.version: int = version
        self.data: bytes | mmap = raw
        self.extended: list[int] = []
        """Where entries with extended flags are, in order."""
        self._flags_at = 40 + fmt.digest_size
        self._path_at = self._flags_at + 2
        if count > (end - _HEADER.size) // (self._path_at + 2):
            raise ProtocolError(f"not a git index: {count} entries do not fit in it")
        if version == 4:
            position = self._unfold(count, end)
        else:
            position = self._scan(count, end)
        self.cache_tree: bytes | None = None
        """The cache tree as it lies in the index, for `parse_cache_tree` or to be copied."""
        self._read_extensions(raw, position, end)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def path(self, position: int) -> bytes:
        """The path of an entry."""
        data = self.data
        offset = self.offsets[position]
        start = offset + self._path_at
        high = data[offset + self._flags_at]
        length = (high & 0x0F) << 8 | data[start - 1]
        if high & 0x40:
            start += 2
        if length == _LENGTH:
            return data[start : data.find(b"\0", start + length)]
        return data[start : start + length]

    def stage(self, position: int) -> int:
        """The stage of an entry: 0, or 1 to 3 for the sides of a conflict."""
        return self.data[self.offsets[position] + self._flags_at] >> 4 & 3

    def entry(self, position: int) -> IndexEntry:
        """All that is known of an entry."""
        path, mode, oid, stat, flags = self.row(position)
        return IndexEntry(
            path,
            mode,
            oid,
            StatFacts._make(stat),
            flags >> _STAGE_SHIFT & 3,
            bool(flags & _ASSUME_VALID),
            bool(flags >> 16 & _SKIP_WORKTREE),
            bool(flags >> 16 & _INTENT_TO_ADD),
        )

    def row(self, position: int) -> Row:
        """A faster `entry`."""
        data = self.data
        offset = self.offsets[position]
        cs, cn, ms, mn, dev, ino, mode, uid, gid, size, oid, flags = _FIXED[
            self.format.digest_size
        ].unpack_from(data, offset)
        start = offset + self._path_at
        length = flags & _LENGTH
        if flags & _EXTENDED:
            flags |= int.from_bytes(data[start : start + 2], "big") << 16
            start += 2
        end = start + length if length < _LENGTH else data.find(b"\0", start + length)
        return data[start:end], mode, oid, (cs, cn, ms, mn, dev, ino, uid, gid, size), flags

    def raw(self, position: int) -> bytes:
        """An entry as `encode_entry` makes it."""
        return self.data[self.offsets[position] : self.offsets[position + 1]]

    def iter_entries(self) -> Iterator[IndexEntry]:
        """Yield every entry, in order."""
        return map(self.entry, range(len(self)))

    def iter_rows(self) -> Iterator[Row]:
        """Yield every entry, in order, as a row."""
        return map(self.row, range(len(self)))

    def iter_paths(self) -> Iterator[bytes]:
        """Yield the path of every entry, in order; a conflict gives its path more than once."""
        return map(self.path, range(len(self)))

    def bisect(self, path: bytes, start: int = 0) -> int:
        """The first position, not before ``start``, whose path is not less than this one.

        Costs the logarithm of the distance from ``start``: a sorted walk is linear at worst.
        """
        count = len(self)
        step = 1
        low = high = start
        while high < count and self.path(high) < path:
            low = high + 1
            high += step
            step *= 2
        if low >= high:
            return low
        return bisect_left(range(count), path, low, min(high, count), key=self.path)

    def find(self, path: bytes) -> int | None:
        """The position of a path that is not in conflict; None when there is none."""
        position = self.bisect(path)
        if position < len(self) and self.path(position) == path and not self.stage(position):
            return position
        return None

    def racy(self, index_mtime: tuple[int, int]) -> list[int]:
        """The positions whose files may have changed without a trace, in order; see `is_racy`.

        They have to be smudged when the index is written anew, as its new time would make them
        look clean.
        """
        data = self.data
        limit = (index_mtime[0] & _U32).to_bytes(4, "big")
        late = [
            position
            for position, offset in enumerate(self.offsets[: len(self)])
            if data[offset + 8 : offset + 12] >= limit
        ]
        return [i for i in late if is_racy(_MTIME.unpack_from(data, self.offsets[i]), index_mtime)]

    def _scan(self, count: int, end: int) -> int:
        """Note where each entry begins, and the end of the last; gives that end."""
        data = self.data
        flags_at = self._flags_at
        path_at = self._path_at
        padded = path_at + 8
        limit = end - path_at
        offsets = [0] * (count + 1)
        offset = _HEADER.size
        for position in range(count):
            offsets[position] = offset
            if offset > limit:
                raise _cut_short(position)
            high = data[offset + flags_at]
            if not high:  # no flag is set and the length is in the low byte, as nearly always
                offset += (data[offset + flags_at + 1] + padded) & -8
            else:
                offset = self._entry_end(position, offset, high)
            if offset > end or data[offset - 1]:
                raise _cut_short(position)
        offsets[count] = offset
        self.offsets = array("Q", offsets)
        return offset

    def _entry_end(self, position: int, offset: int, high: int) -> int:
        """The end of an entry that is not of the plain kind."""
        start = offset + self._path_at
        length = (high & 0x0F) << 8 | self.data[start - 1]
        if high & 0x40:
            self.extended.append(position)
            start += 2
        if length == _LENGTH:
            length = self.data.find(b"\0", start) - start
            if length < _LENGTH:
                raise _cut_short(position)
        return offset + ((start + length - offset + 8) & -8)

    def _unfold(self, count: int, end: int) -> int:
        """Bring the entries of version 4 into the form of version 2; gives where they end."""
        data = self.data
        path_at = self._path_at
        offsets = array("Q", bytes(8))
        pieces = [data[: _HEADER.size]]
        size = offsets[0] = _HEADER.size
        source = size
        path = b""
        for position in range(count):
            start = source + path_at
            if start >= end:
                raise _cut_short(position)
            if data[start - 2] & 0x40:
                self.extended.append(position)
                start += 2
            head = data[source:start]
            strip, start = _read_varint(data, start, end)
            source = data.find(b"\0", start, end) + 1
            if not source or strip > len(path):
                raise _cut_short(position)
            path = path[: len(path) - strip] + data[start : source - 1]
            length = len(path) if len(path) < _LENGTH else _LENGTH
            padding = _PADDING[(len(head) + len(path)) & 7]
            fixed = head[: path_at - 2]
            high = head[path_at - 2] & 0xF0 | length >> 8
            pieces += (fixed, bytes((high, length & 0xFF)), head[path_at:], path, padding)
            size += len(head) + len(path) + len(padding)
            offsets.append(size)
        self.offsets = offsets
        self.data = b"".join(pieces)
        return source

    def _read_extensions(self, data: bytes | mmap, position: int, end: int) -> None:
        while position < end:
            if position + _EXTENSION.size > end:
                raise ProtocolError("not a git index: its extensions are cut short")
            name, size = _EXTENSION.unpack_from(data, position)
            position += _EXTENSION.size
            if size > end - position:
                raise ProtocolError("not a git index: its extensions are cut short")
            if name == _CACHE_TREE:
                self.cache_tree = data[position : position + size]
            elif not 0x41 <= name[0] <= 0x5A:
                # git may leave aside an extension in capitals; any other changes what entries mean.
                raise GitOnlyError(name.decode("ascii", "backslashreplace"))
            position += size


def write_index(
    out: BinaryIO,
    fmt: ObjectFormat,
    view: IndexView | None,
    changes: Iterable[tuple[bytes, bytes | None]],
    cache_tree: bytes | None = None,
    smudge: Sequence[int] = (),
) -> int:
    """Write an index into an empty file (``w+b``): that of ``view``, if any, after changes.

    A change is a path, and its new entry (see `encode_entry`) or None to delete it; either takes
    the place of all stages of the path. Changes come sorted by path; a path given several times in
    a row gets all these entries, its stages. What nests below a path, or above it, is the caller's
    to delete. Entries between changes are copied in one piece, changes pass in constant memory.
    ``cache_tree`` is written as given. Gives the number of entries.

    ``smudge`` has positions of ``view``, in order (see `IndexView.racy`): where they stay, their
    size becomes 0, by which git knows to look at the content.

    Raises:
        LocalProtocolError: The changes are not sorted.
    """
    out.write(_HEADER.pack(_SIGNATURE, 2, 0))
    merge = _Merge(out, view, fmt, smudge)
    merge.run(changes)
    if cache_tree is not None:
        out.write(_EXTENSION.pack(_CACHE_TREE, len(cache_tree)) + cache_tree)
    # Version and count stand before everything that is hashed, and are known only now.
    out.seek(0)
    out.write(_HEADER.pack(_SIGNATURE, 3 if merge.extended else 2, merge.count))
    out.seek(0)
    hasher = fmt.hasher(b"")
    while chunk := out.read(_SLICE):
        hasher.update(chunk)
    out.write(hasher.digest())
    return merge.count


class _Merge:
    """Entries of an old index and changes, brought together in order."""

    def __init__(
        self, out: BinaryIO, view: IndexView | None, fmt: ObjectFormat, smudge: Sequence[int]
    ) -> None:
        self.count = 0
        self.extended = 0
        self._out = out
        self._view = view
        self._flags_at = 40 + fmt.digest_size
        self._smudge = iter(smudge)
        self._next_smudge = next(self._smudge, _NEVER)
        self._pieces: list[bytes] = []
        self._held = 0

    def run(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        view = self._view
        size = len(view) if view else 0
        flags_at = self._flags_at
        pieces = self._pieces
        position = 0  # entries of the old index before it are dealt with
        before = b""
        for path, entry in changes:
            if path <= before:
                if path < before:
                    raise LocalProtocolError(f"index changes are not sorted: {path[:100]!r}")
            elif view is not None and position < size:
                at = view.bisect(path, position)
                if at > position:
                    self._copy(view, position, at)
                position = at
                while position < size and view.path(position) == path:
                    position += 1
            before = path
            if entry is not None:
                pieces.append(entry)
                self.count += 1
                if entry[flags_at] & 0x40:
                    self.extended += 1
                if len(pieces) >= _PIECES_MAX:
                    self._flush()
        if view is not None:
            self._copy(view, position, size)
        self._flush()

    def _copy(self, view: IndexView, start: int, end: int) -> None:
        self.count += end - start
        if view.extended:
            self.extended += bisect_left(view.extended, end) - bisect_left(view.extended, start)
        while (position := self._next_smudge) < end:
            if position >= start:
                self._copy_run(view, start, position)
                raw = view.raw(position)
                self._put(raw[:_SIZE_AT] + bytes(4) + raw[_SIZE_AT + 4 :])
                start = position + 1
            self._next_smudge = next(self._smudge, _NEVER)
        self._copy_run(view, start, end)

    def _copy_run(self, view: IndexView, start: int, end: int) -> None:
        first, last = view.offsets[start], view.offsets[end]
        if last - first < _SLICE:
            self._put(view.data[first:last])
            return
        self._flush()
        with memoryview(view.data) as whole, whole[first:last] as run:
            self._out.write(run)

    def _put(self, raw: bytes) -> None:
        self._pieces.append(raw)
        self._held += len(raw)
        if self._held >= _SLICE or len(self._pieces) >= _PIECES_MAX:
            self._flush()

    def _flush(self) -> None:
        self._out.write(b"".join(self._pieces))
        self._pieces.clear()
        self._held = 0


# The cache tree: which directories of the index are trees that git has already.


class CacheTree:
    """One directory: how many entries of the index are in it, at any depth, and its tree.

    ``entry_count`` is -1, and ``oid`` None, when that is not known; then it is not known of the
    directories above it either.
    """

    __slots__ = ("children", "entry_count", "oid")

    def __init__(
        self,
        entry_count: int = -1,
        oid: Oid | None = None,
        children: dict[bytes, CacheTree] | None = None,
    ) -> None:
        self.entry_count = entry_count
        self.oid = oid
        self.children = {} if children is None else children

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CacheTree) and (
            (self.entry_count, self.oid, self.children)
            == (other.entry_count, other.oid, other.children)
        )


def encode_cache_tree(root: CacheTree) -> bytes:
    """The extension's content; children are put in git's order, whatever theirs is."""
    pieces = []
    waiting = [(b"", root)]
    while waiting:
        name, node = waiting.pop()
        if (node.oid is None) != (node.entry_count < 0) or b"\0" in name:
            raise LocalProtocolError(f"not a cache tree: {name[:100]!r} {node.entry_count}")
        count = max(node.entry_count, -1)
        pieces.append(b"%b\0%d %d\n%b" % (name, count, len(node.children), node.oid or b""))
        waiting += sorted(node.children.items(), key=_subtree_order, reverse=True)
    return b"".join(pieces)


def parse_cache_tree(data: bytes, fmt: ObjectFormat) -> CacheTree:
    """Read the extension's content.

    Raises:
        ProtocolError: It is not a cache tree.
    """
    above = CacheTree()
    unfinished = [(above, 1)]
    position = 0
    while unfinished:
        parent, missing = unfinished.pop()
        if missing > 1:
            unfinished.append((parent, missing - 1))
        name, node, subtrees, position = _parse_node(data, position, fmt.digest_size)
        if name in parent.children or bool(name) != (parent is not above):
            raise ProtocolError(f"not a cache tree: {name[:100]!r} is in it twice, or has no name")
        parent.children[name] = node
        if subtrees:
            unfinished.append((node, subtrees))
    if position != len(data):
        raise ProtocolError("not a cache tree: something follows it")
    return above.children[b""]


def invalidate(root: CacheTree, path: bytes) -> None:
    """Note that a path changes, came or went: the trees above it are not known any more.

    If it was a directory, that is forgotten altogether.
    """
    node = root
    *folders, name = path.split(b"/")
    for folder in folders:
        node.entry_count, node.oid = -1, None
        child = node.children.get(folder)
        if child is None:
            return
        node = child
    node.entry_count, node.oid = -1, None
    node.children.pop(name, None)


def _subtree_order(item: tuple[bytes, CacheTree]) -> tuple[int, bytes]:
    """git puts subtrees in order of length first."""
    return len(item[0]), item[0]


def _parse_node(data: bytes, position: int, size: int) -> tuple[bytes, CacheTree, int, int]:
    """One node with its name, how many subtrees follow it, and where they begin."""
    name_end = data.find(b"\0", position)
    line_end = data.find(b"\n", name_end)
    if name_end < 0 or line_end < 0:
        raise ProtocolError("not a cache tree: it is cut short")
    found = _COUNTS.fullmatch(data, name_end + 1, line_end)
    if found is None:
        raise ProtocolError(f"not a cache tree: {data[name_end + 1 : line_end][:100]!r}")
    count, subtrees = int(found[1]), int(found[2])
    end = line_end + 1 + (size if count >= 0 else 0)
    if end > len(data):
        raise ProtocolError("not a cache tree: it is cut short")
    oid = Oid(data[line_end + 1 : end]) if count >= 0 else None
    return data[position:name_end], CacheTree(count, oid), subtrees, end


def _check_trailer(data: bytes | mmap, end: int, fmt: ObjectFormat) -> None:
    trailer = data[end:]
    if not any(trailer):  # written with index.skipHash
        return
    with memoryview(data) as whole, whole[:end] as hashed:
        hasher = fmt.hasher(b"")
        hasher.update(hashed)
    if hasher.digest() != trailer:
        raise ProtocolError("the git index is damaged: its checksum is another")


def _read_varint(data: bytes | mmap, position: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, each but the first adding one, and where it ends."""
    value = -1
    while position < end and position >= 0:
        byte = data[position]
        position += 1
        value = (value + 1) << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, position
        if value > _U32:
            break
    raise ProtocolError("not a git index: a path is cut short")


def _cut_short(position: int) -> ProtocolError:
    return ProtocolError(f"not a git index: entry {position} is cut short or not padded")
