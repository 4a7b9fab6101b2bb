"""The records of a plan: where every block of a snapshot will be, before a byte of it is read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, repeat
from typing import NamedTuple, TypeAlias

from ..wire.archive_manifest import BundleRef, PrevRef
from ..wire.archive_rows import UNKNOWN_CID, MissingRow, Row, RowKind
from ..wire.cid import Cid
from ..wire.file_layout import section_sizes
from ..wire.unixfs import PROFILE

PIECE_SIZE = 32 << 30
"""Of a piece with its padding, unless told otherwise."""
PIECE_SIZE_MIN = 4 << 20

Ref: TypeAlias = "int | Cid | None"
"""Where content stands that is not written: at an earlier number, or it has this CID already."""


class BundlePlan(NamedTuple):
    """A git bundle that this snapshot brings: the commits it needs and those it has."""

    path: str
    needs: tuple[str, ...]
    version: str
    annex: str


class PlanHead(NamedTuple):
    """What a plan is of: as in the manifests of its pieces."""

    dataset: str
    snapshot: int
    made: str
    version: str = ""
    branch: str = ""
    annex: str = ""
    profile: str = PROFILE.name
    piece_size: int = PIECE_SIZE
    prev: tuple[PrevRef, ...] = ()
    bundles: tuple[BundlePlan, ...] = ()
    is_sealed: bool = False
    """An encrypted one: its manifests tell nothing of version, branch and bundles."""

    @property
    def payload_max(self) -> int:
        """How many bytes a piece can hold."""
        return self.piece_size // 128 * 127


class FileRecord(NamedTuple):
    """A file, or the part of one that is in this piece: bytes from ``start`` up to ``stop``.

    Parts of one file have the same ``number``. What has a ``ref`` is linked, and not written.
    """

    number: int
    path: bytes
    kind: RowKind
    mode: int
    size: int
    key: bytes | None
    source: str
    ref: Ref
    offset: int
    length: int
    start: int
    stop: int

    @property
    def is_end(self) -> bool:
        """Whether the file ends with this part."""
        return self.stop == self.size

    def row(self, cid: Cid = UNKNOWN_CID) -> Row:
        """What the piece says of it."""
        return Row(
            self.path,
            self.kind,
            self.mode,
            self.size,
            cid if self.is_end else None,
            self.key,
            self.offset,
            self.length,
            self.start,
        )


class _Columns(NamedTuple):
    number: int
    folder: bytes
    names: Sequence[bytes]
    kinds: Sequence[int]
    modes: Sequence[int]
    sizes: Sequence[int]
    keys: Sequence[bytes | None]
    sources: Sequence[str]
    offset: int


class RunRecord(_Columns):
    """Files of a run (`entries.FileRun`), each of one leaf that is written, one after the other.

    ``number`` and ``offset`` are those of the first.
    """

    @cached_property
    def paths(self) -> list[bytes]:
        """The path of each."""
        folder = self.folder
        return [folder + name for name in self.names]

    @cached_property
    def lengths(self) -> list[int]:
        """How long the section of each is."""
        return section_sizes(self.sizes)

    def record(self, at: int) -> FileRecord:
        """One of them."""
        lengths, size = self.lengths, self.sizes[at]
        return FileRecord(
            self.number + at, self.paths[at], _KINDS[self.kinds[at]], self.modes[at], size,
            self.keys[at], self.sources[at], None, self.offset + sum(lengths[:at]), lengths[at],
            0, size,
        )  # fmt: skip

    def records(self) -> list[FileRecord]:
        """The files one by one."""
        lengths = self.lengths
        return list(
            map(
                FileRecord, range(self.number, self.number + len(lengths)), self.paths,
                map(_KINDS.__getitem__, self.kinds), self.modes, self.sizes, self.keys,
                self.sources, repeat(None), accumulate(lengths, initial=self.offset), lengths,
                repeat(0), self.sizes,
            )
        )  # fmt: skip


class OpenedRecord(NamedTuple):
    """A folder that may be empty."""

    path: bytes


class FolderRecord(NamedTuple):
    """A folder whose last entry was before: so many blocks, written unless it has a ``ref``."""

    number: int
    path: bytes
    identity: bytes
    blocks: int
    ref: Ref
    offset: int
    length: int


class MissingRecord(NamedTuple):
    """Content that is missing, of the file just before."""

    row: MissingRow


class PieceRecord(NamedTuple):
    """The end of a piece, and where its parts, manifest and all of it end."""

    number: int
    size: int
    index_offset: int
    index_length: int
    manifest_offset: int
    manifest_length: int
    first: bytes
    last: bytes


_KINDS = tuple(RowKind)

Record: TypeAlias = FileRecord | OpenedRecord | FolderRecord | MissingRecord | PieceRecord


def bundle_ref(bundle: BundlePlan, row: Row) -> BundleRef:
    """What a manifest says of a bundle that is at the range of that row."""
    cid = row.cid or UNKNOWN_CID
    return BundleRef(
        bundle.needs, bundle.version, bundle.annex, cid, row.size, row.offset, row.length
    )
