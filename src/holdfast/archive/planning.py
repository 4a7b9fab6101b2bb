"""Where everything of a snapshot will be, in which piece: decided before a byte of content is read.

Pure but for the spilling of `repeats`. Entries go into pieces in tree order. One that does not fit
any more goes to the next piece; but a file that is larger than a piece has room, or would leave
more than half a per cent of it empty, is split between two leaves. A folder's blocks are in the
piece in which it ends. Every piece ends with its parts, its manifest and its footer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from ..core import faults
from ..core.errors import HoldError
from ..wire.archive_manifest import (
    FOOTER_SECTION_SIZE,
    MANIFEST_MAX,
    SEALED,
    BundleRef,
    Manifest,
    PartRef,
    PieceRef,
    encode_manifest,
)
from ..wire.archive_rows import (
    PART_MAX,
    UNKNOWN_CID,
    PartKind,
    Row,
    RowKind,
    encode_missing_row,
    part_size,
    row_size,
    whole_row_sizes,
)
from ..wire.car import HEADER_SIZE
from ..wire.cid import Cid
from ..wire.file_layout import head_size, leaf_at, leaf_offset, plan_file, section_size
from ..wire.tree_layout import plan_links
from ..wire.unixfs import PROFILE, Profile, symlink_block_size
from .commitment import piece_cid_size
from .entries import Entry, FileRun
from .plan_records import (
    FileRecord,
    FolderRecord,
    MissingRecord,
    OpenedRecord,
    PieceRecord,
    PlanHead,
    Record,
    RunRecord,
    bundle_ref,
)
from .repeats import Closed, Step

_RUN_SPLIT = 16
"""Of a run that does not fit as it is, so few files are placed one by one."""

SPARE_PER_MILLE = 5
"""A file is split when more of a piece would stay empty."""

_PART_REF_MAX = 128
"""What a manifest says of a part has no more bytes, its path aside."""
_BUNDLE_REF_MAX = 256
_NUMBERS_MAX = 64
_MANIFEST_SPARE = 1 << 16
"""What a file, or all of a run, adds to a manifest is less."""
_PART_HEAD_MAX = 96
"""What stands before the rows of a part, its section's head included, takes no more."""
_ROWS_MAX = PART_MAX - 64
"""So the block of a part is never larger than it may be."""
_ROW_MAX = 128
"""A row has no more bytes, its path and key aside."""


def plan_pieces(
    head: PlanHead, steps: Iterable[Step], profile: Profile = PROFILE
) -> Iterator[Record | RunRecord]:
    """The records of a plan, in order, for the steps of `repeats.iter_steps`.

    Holds the names in the folders that are open, and nothing that grows with the number of files.

    Raises:
        UsageError: Something that cannot be split does not fit into a piece of that size.
        LocalProtocolError: Entries are out of order, or a name cannot be in a folder.
    """
    return _Planner(head, profile).plan(steps)


class _Folder:
    """The names in a folder that is open, and how large what they lead to is."""

    __slots__ = ("names", "path", "tsizes")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.names: list[bytes] = []
        self.tsizes: list[int] = []


class _Planner:
    """Puts one thing after another into pieces."""

    def __init__(self, head: PlanHead, profile: Profile) -> None:
        self._head = head
        self._profile = profile
        self._folders = [_Folder(b"")]
        self._pieces: list[PieceRef] = []
        self._bundles = {bundle.path.encode(): bundle for bundle in head.bundles}
        self._at = 0
        self._first = self._last = b""
        self._tail = Tail()
        self._bundle_refs: list[BundleRef] = []
        self._manifest_base = self._empty_room = 0
        self._open()

    def plan(self, steps: Iterable[Step]) -> Iterator[Record | RunRecord]:
        for number, what, ref in steps:
            if isinstance(what, FileRun):
                yield from self._add_run(number, what)
            elif isinstance(what, Closed):
                yield from self._close_folder(number, what, ref)
            elif what.kind is None:
                self._enter(what.path)
                yield OpenedRecord(what.path)
            else:
                yield from self._add(number, what, ref)
        yield self._close()

    # the tree

    def _enter(self, folder: bytes) -> None:
        """Open folders down to one; those to be left were closed by their own steps."""
        while (path := self._folders[-1].path) != folder:
            at = len(path) + 1 if path else 0
            end = folder.find(b"/", at)
            self._folders.append(_Folder(folder if end < 0 else folder[:end]))

    def _note(self, path: bytes, tsize: int) -> None:
        folder = self._folders[-1]
        folder.names.append(path[path.rfind(b"/") + 1 :])
        folder.tsizes.append(tsize)

    def _close_folder(self, number: int, closed: Closed, ref: int | Cid | None) -> Iterator[Record]:
        self._enter(closed.path)
        folder = self._folders.pop()
        sizes, length, tsize = plan_links(folder.names, folder.tsizes, self._profile)
        if folder.path:
            self._note(folder.path, tsize)
        if ref is not None:
            length = 0
        elif self._room() < length:
            yield self._close(closed)
        if self._room() < length:
            raise _too_small(closed.path)
        yield FolderRecord(number, closed.path, closed.identity, len(sizes), ref, self._at, length)
        self._at += length

    # files

    def _add(self, number: int, entry: Entry, ref: int | Cid | None) -> Iterator[Record]:
        assert entry.kind is not None
        path = entry.path
        if self._folders[-1].path != path[: max(0, path.rfind(b"/"))]:
            self._enter(path[: path.rfind(b"/")])
        size, leaves = entry.size, 1
        if entry.kind is RowKind.SYMLINK:
            tsize = symlink_block_size(size)
            length = section_size(tsize)
        elif size <= self._profile.chunk_size:
            tsize, length = size, section_size(size)
        else:
            _, leaves, _, length, tsize = plan_file(size, self._profile)
        self._note(path, tsize)
        record = FileRecord(
            number, path, entry.kind, entry.mode, size, entry.key, entry.source, ref,
            self._at, 0, 0, size,
        )  # fmt: skip
        if (
            ref is None
            and entry.missing is None
            and length <= self._room() - _row_max(path, entry.key)
        ):
            yield self._put(record, length, 0, leaves)
            return
        about = b"" if entry.missing is None else encode_missing_row(entry.missing)
        extra = _row_max(path, entry.key) + (len(about) + _part_max(path) if about else 0)
        if ref is None:
            yield from self._place(record, length, leaves, extra)
        else:
            if about and self._room() < extra:
                yield self._close(record)
            yield record
        if entry.missing is not None:
            self._tail.add(PartKind.MISSING, path, len(about))
            yield MissingRecord(entry.missing)

    def _add_run(self, number: int, run: FileRun) -> Iterator[Record | RunRecord]:
        """Files of which none is split, and none begins a piece; else fewer at a time."""
        folder, names, kinds, modes, sizes, keys, *_ = run
        self._enter(folder[:-1])
        count, record = len(names), RunRecord(number, *run[:-1], self._at)
        paths, lengths = record.paths, record.lengths
        length = sum(lengths)
        extra = sum(map(len, filter(None, keys))) + count * _row_max(b"", None)
        extra += 2 * sum(map(len, paths))  # `_row_max` of each
        if max(sizes) > self._profile.chunk_size or length + extra > self._room():
            if count <= _RUN_SPLIT:
                for at, entry in enumerate(run.entries()):
                    yield from self._add(number + at, entry, None)
                return
            yield from self._add_run(number, run.part(0, count // 2))
            yield from self._add_run(number + count // 2, run.part(count // 2, count))
            return
        offsets = list(accumulate(lengths[:-1], initial=self._at))
        rows = whole_row_sizes(paths, kinds, modes, sizes, keys, offsets, lengths)
        self._tail.add_many(PartKind.ROWS, paths, rows)
        self._folders[-1].names += names
        self._folders[-1].tsizes += sizes
        self._at += length
        self._first = self._first or paths[0]
        self._last = paths[-1]
        yield record

    def _place(self, record: FileRecord, length: int, leaves: int, extra: int) -> Iterator[Record]:
        """Put a file where it fits, in as many parts as it takes, with room for its rows."""
        done = leaf = 0
        while (rest := length - done) > (room := self._room() - extra):
            end = leaf
            if leaves > 1 and self._is_to_split(rest, room, extra):
                end = leaf_at(record.size, done + max(0, room), self._profile)
            if end > leaf:
                part = leaf_offset(record.size, end, self._profile) - done
                yield self._put(record, part, leaf, end)
                done, leaf = done + part, end
            yield self._close(record)
        yield self._put(record, rest, leaf, leaves)

    def _is_to_split(self, rest: int, room: int, extra: int) -> bool:
        spare = self._head.payload_max * SPARE_PER_MILLE // 1000
        return room > spare or rest > self._empty_room - extra

    def _put(self, record: FileRecord, length: int, first: int, end: int) -> FileRecord:
        chunk = self._profile.chunk_size
        number, path, kind, mode, size, key, source, ref = record[:8]
        at, start, stop = self._at, first * chunk, min(end * chunk, size)
        if kind is RowKind.SYMLINK:
            stop = size
        placed = FileRecord(
            number, path, kind, mode, size, key, source, ref, at, length, start, stop
        )  # fmt: skip
        self._at = at + length
        cid = UNKNOWN_CID if stop == size else None
        row = Row(path, kind, mode, size, cid, key, at, length, start)
        self._tail.add(PartKind.ROWS, path, row_size(row))
        if self._bundles and stop == size and path in self._bundles:
            self._bundle_refs.append(bundle_ref(self._bundles[path], row))
        self._first = self._first or path
        self._last = path
        return placed

    # pieces

    def _open(self) -> None:
        self._at = HEADER_SIZE
        self._first = self._last = b""
        self._tail = Tail()
        self._bundle_refs = []
        size = len(encode_manifest(manifest_of(self._head, self._pieces, UNKNOWN_CID, [], [])))
        size += len(self._head.bundles) * _BUNDLE_REF_MAX + _NUMBERS_MAX
        size += sum(
            len(bundle.needs) * 66 + len(bundle.version) + len(bundle.annex)
            for bundle in self._head.bundles
        )
        self._manifest_base = size
        self._empty_room = self._room()

    def _room(self) -> int:
        """How many bytes are left for blocks and for rows in parts that are open."""
        manifest = self._manifest_base + self._tail.refs_size
        if manifest > MANIFEST_MAX - _MANIFEST_SPARE:
            return -1  # not even for an empty file
        manifest = section_size(manifest)
        taken = self._at + self._tail.size_max + manifest + FOOTER_SECTION_SIZE
        return self._head.payload_max - taken

    def _close(self, what: FileRecord | Closed | None = None) -> PieceRecord:
        """End the piece, since something does not fit into it; with None, the snapshot."""
        if what is not None and self._room() == self._empty_room:
            raise _too_small(what.path)
        number = len(self._pieces)
        index = self._at
        parts = []
        for kind, first, size in self._tail.finish():
            start = self._at + head_size(size)
            parts.append(PartRef(kind, first, start, size, UNKNOWN_CID))
            self._at = start + size
        end = self._at
        root = UNKNOWN_CID if what is None else None
        manifest = manifest_of(self._head, self._pieces, root, self._bundle_refs, parts)
        length = len(encode_manifest(manifest))
        offset = end + head_size(length)
        size = offset + length + FOOTER_SECTION_SIZE
        assert size <= self._head.payload_max, "a piece is larger than was planned"
        record = PieceRecord(
            number, size, index, end - index, offset, length, self._first, self._last
        )
        self._pieces.append(unknown_piece(record))
        self._open()
        return record


def _too_small(path: bytes) -> HoldError:
    return faults.ARCHIVE_SMALL_PIECE(path=path.decode("utf-8", "replace"))


def _row_max(path: bytes, key: bytes | None) -> int:
    """What the row of a file takes at most, if it begins a part."""
    return len(path) + len(key or b"") + _ROW_MAX + _part_max(path)


def _part_max(path: bytes) -> int:
    """What another part takes at most, its rows aside."""
    return 2 * _PART_REF_MAX + len(path)


def unknown_piece(record: PieceRecord) -> PieceRef:
    """What later manifests will say of a piece, its CID unknown."""
    return PieceRef(bytes(piece_cid_size(record.size)), record.size, record.first, record.last)


def manifest_of(
    head: PlanHead,
    pieces: list[PieceRef],
    root: Cid | None,
    bundles: list[BundleRef],
    parts: list[PartRef],
) -> Manifest:
    """The manifest of the piece after those."""
    if head.is_sealed:
        head, bundles = head._replace(version="", branch=SEALED, annex=""), []
    return Manifest(
        head.dataset, head.snapshot, head.made, head.version, head.branch, head.annex,
        head.profile, root, len(pieces), tuple(pieces), head.prev, tuple(bundles), tuple(parts),
    )  # fmt: skip


class Tail:
    """The parts that a piece will end with: which rows are in which, told by their sizes.

    The packer cuts by the same rule, so a part is where the plan said.
    """

    def __init__(self) -> None:
        self._parts: dict[PartKind, list[tuple[bytes, int]]] = {kind: [] for kind in PartKind}
        self._open: dict[PartKind, tuple[bytes, int, int]] = {}
        self.refs_size = 0
        """What the manifest says of all parts, at most."""
        self.size_max = 0
        """What all sections take, at most."""

    def add(self, kind: PartKind, path: bytes, size: int) -> bool:
        """Take in a row; whether it begins a part."""
        first, rows, count = self._open.get(kind, (path, 0, 0))
        begins = not count or rows + size > _ROWS_MAX
        if begins:
            if count:
                self._end(kind)
            first, rows, count = path, 0, 0
            self.refs_size += _PART_REF_MAX + len(path)
            self.size_max += _PART_HEAD_MAX
        self._open[kind] = first, rows + size, count + 1
        self.size_max += size
        return begins

    def add_many(self, kind: PartKind, paths: Sequence[bytes], sizes: Sequence[int]) -> list[int]:
        """Take in rows; which of them begin parts."""
        size = sum(sizes)
        first, rows, count = self._open.get(kind, (b"", 0, 0))
        if count and rows + size <= _ROWS_MAX:
            self._open[kind] = first, rows + size, count + len(sizes)
            self.size_max += size
            return []
        pairs = zip(paths, sizes, strict=True)
        return [at for at, (path, size) in enumerate(pairs) if self.add(kind, path, size)]

    def finish(self) -> list[tuple[PartKind, bytes, int]]:
        """All parts: kind, first path, size of the block; those of files first."""
        for kind in list(self._open):
            self._end(kind)
        return [(kind, *part) for kind in PartKind for part in self._parts[kind]]

    def _end(self, kind: PartKind) -> None:
        first, rows, count = self._open.pop(kind)
        self._parts[kind].append((first, part_size(kind, rows, count)))
