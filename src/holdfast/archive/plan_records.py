"""The records of a plan, and the file they are kept in: a line of JSON for each, in order.

A plan says where every block of a snapshot will be before a byte of content is read. It is written
once and never changed, so that a run which was stopped goes on to the same pieces.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..core import faults
from ..wire.archive_manifest import BundleRef, PrevRef
from ..wire.archive_rows import UNKNOWN_CID, MissingRow, Row, RowKind
from ..wire.cid import Cid
from ..wire.unixfs import PROFILE

PIECE_SIZE = 32 << 30
"""Of a piece with its padding, unless told otherwise."""
PIECE_SIZE_MIN = 4 << 20
FORMAT = 1

Ref: TypeAlias = "int | Cid | None"
"""Where content stands that is not written: at an earlier number, or it has this CID already."""


@dataclass(frozen=True)
class BundlePlan:
    """A git bundle that this snapshot brings: the commits it needs and those it has."""

    path: str
    needs: tuple[str, ...]
    version: str
    annex: str


@dataclass(frozen=True)
class PlanHead:
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
    bundles: tuple[BundlePlan, ...] = field(default=())

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


Record: TypeAlias = FileRecord | OpenedRecord | FolderRecord | MissingRecord | PieceRecord


def write_plan(path: bytes, head: PlanHead, records: Iterable[Record]) -> None:
    """Write a plan; it has its name once it is whole and on the disk."""
    temporary = path + b".part"
    with open(temporary, "w", encoding="ascii", buffering=1 << 16) as file:
        file.write(_line(["plan", FORMAT, _head_value(head)]))
        for record in records:
            file.write(_line(_ENCODERS[type(record)](record)))
        file.write(_line(["end"]))
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


class Plan:
    """A plan in a file, read as often as one likes, in constant memory."""

    def __init__(self, path: bytes) -> None:
        """Open it.

        Raises:
            ProtocolError: It is none, or of a later version.
        """
        self.path = path
        with open(path, "rb") as file:
            words = json.loads(file.readline() or b"[]")
            self.start = file.tell()
            """Where in the file the records begin."""
        if words[:2] != ["plan", FORMAT]:
            raise faults.ARCHIVE_STATE(path=os.fsdecode(path), detail="it is no plan we can read")
        self.head = _read_head(words[2])

    def __iter__(self) -> Iterator[Record]:
        """All records."""
        return self.records(self.start)

    def records(self, start: int) -> Iterator[Record]:
        """The records from an offset of the file on."""
        for _, record in self.placed(start):
            yield record

    def placed(self, start: int | None = None) -> Iterator[tuple[int, Record]]:
        """The records, each with the offset of the one after it."""
        at = self.start if start is None else start
        loads, decoders = json.loads, _DECODERS
        with open(self.path, "rb", buffering=1 << 16) as file:
            file.seek(at)
            for line in file:
                words = loads(line)
                if words[0] == "end":
                    return
                at += len(line)
                yield at, decoders[words[0]](words)
        raise faults.ARCHIVE_STATE(path=os.fsdecode(self.path), detail="it has no end")


def _line(words: list[Any]) -> str:
    return json.dumps(words, separators=(",", ":")) + "\n"


def _head_value(head: PlanHead) -> dict[str, Any]:
    value = asdict(head)
    value["prev"] = [[ref.manifest.hex(), ref.cid.hex(), ref.size] for ref in head.prev]
    return value


def _read_head(value: dict[str, Any]) -> PlanHead:
    prev = tuple(
        PrevRef(Cid(bytes.fromhex(manifest)), bytes.fromhex(cid), size)
        for manifest, cid, size in value.pop("prev")
    )
    bundles = tuple(
        BundlePlan(item["path"], tuple(item["needs"]), item["version"], item["annex"])
        for item in value.pop("bundles")
    )
    return PlanHead(prev=prev, bundles=bundles, **value)


def _ref_value(ref: Ref) -> int | str | None:
    return ref.hex() if isinstance(ref, bytes) else ref


def _read_ref(value: int | str | None) -> Ref:
    return Cid(bytes.fromhex(value)) if isinstance(value, str) else value


def _encode_file(record: FileRecord) -> list[Any]:
    number, path, kind, mode, size, key, source, ref, *places = record
    name = None if key is None else os.fsdecode(key)
    return [
        "file", number, os.fsdecode(path), int(kind), mode, size, name, source, _ref_value(ref),
        *places,
    ]  # fmt: skip


def _decode_file(words: list[Any]) -> FileRecord:
    _, number, path, kind, mode, size, key, source, ref, *places = words
    return FileRecord(
        number,
        os.fsencode(path),
        _KINDS[kind],
        mode,
        size,
        None if key is None else os.fsencode(key),
        source,
        None if ref is None else _read_ref(ref),
        *places,
    )


def _encode_folder(record: FolderRecord) -> list[Any]:
    number, path, identity, blocks, ref, offset, length = record
    words = ["folder", number, os.fsdecode(path), identity.hex(), blocks, _ref_value(ref)]
    return [*words, offset, length]


def _decode_folder(words: list[Any]) -> FolderRecord:
    _, number, path, identity, blocks, ref, offset, length = words
    path, identity = os.fsencode(path), bytes.fromhex(identity)
    return FolderRecord(number, path, identity, blocks, _read_ref(ref), offset, length)


def _encode_missing(record: MissingRecord) -> list[Any]:
    path, key, size, urls, reason = record.row
    return ["missing", os.fsdecode(path), os.fsdecode(key), size, list(urls), reason]


def _decode_missing(words: list[Any]) -> MissingRecord:
    _, path, key, size, urls, reason = words
    return MissingRecord(MissingRow(os.fsencode(path), os.fsencode(key), size, tuple(urls), reason))


def _encode_piece(record: PieceRecord) -> list[Any]:
    *numbers, first, last = record
    return ["piece", *numbers, os.fsdecode(first), os.fsdecode(last)]


def _decode_piece(words: list[Any]) -> PieceRecord:
    return PieceRecord(*words[1:-2], *map(os.fsencode, words[-2:]))


_KINDS = tuple(RowKind)
_ENCODERS: dict[type, Callable[[Any], list[Any]]] = {
    FileRecord: _encode_file,
    OpenedRecord: lambda record: ["opened", os.fsdecode(record.path)],
    FolderRecord: _encode_folder,
    MissingRecord: _encode_missing,
    PieceRecord: _encode_piece,
}
_DECODERS: dict[str, Callable[[list[Any]], Record]] = {
    "file": _decode_file,
    "opened": lambda words: OpenedRecord(os.fsencode(words[1])),
    "folder": _decode_folder,
    "missing": _decode_missing,
    "piece": _decode_piece,
}


def bundle_ref(bundle: BundlePlan, row: Row) -> BundleRef:
    """What a manifest says of a bundle that is at the range of that row."""
    cid = row.cid or UNKNOWN_CID
    return BundleRef(
        bundle.needs, bundle.version, bundle.annex, cid, row.size, row.offset, row.length
    )
