"""The file that a plan is kept in.

It is written once and never changed, so that a run which was stopped goes on to the same pieces: a
line of JSON about the snapshot; blocks of records, each after its length; what they are in sum;
where in the file that is. Files of a run are one record in it, of as many as it has files.
"""

from __future__ import annotations

import json
import marshal
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

from ..core import faults
from ..wire.archive_manifest import PrevRef
from ..wire.archive_rows import MissingRow, RowKind
from ..wire.cid import Cid
from .entries import RUN_MAX
from .plan_records import (
    BundlePlan,
    FileRecord,
    FolderRecord,
    MissingRecord,
    OpenedRecord,
    PieceRecord,
    PlanHead,
    Record,
    RunRecord,
)

FORMAT = 2
_FORMATS = (1, FORMAT)
"""In the first one there are no runs."""


class Summary(NamedTuple):
    """What is in a plan as a whole: numbers of files and bytes, and where each piece begins."""

    files: int = 0
    """Files that are written, a split one once."""
    size: int = 0
    """Bytes of content that are written."""
    linked: int = 0
    blobs: int = 0
    """Files that are written and come from git, or are links."""
    missing: int = 0
    sizes: tuple[int, ...] = ()
    """Of the pieces."""
    starts: tuple[int, ...] = ()
    """Where in the file the records of each piece begin."""


def write_plan(path: bytes, head: PlanHead, records: Iterable[Record | RunRecord]) -> None:
    """Write a plan; it has its name once it is whole and on the disk."""
    temporary = path + b".part"
    with open(temporary, "wb", buffering=1 << 16) as file:
        file.write(json.dumps(["plan", FORMAT, _head_value(head)]).encode() + b"\n")
        writer = _Writer(file)
        for record in records:
            writer.add(record)
        writer.finish()
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


class _Writer:
    """Writes records in blocks; a piece begins with a block of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._block: list[tuple[Any, ...]] = []
        self._in_block = 0
        self._counts: Counter[str] = Counter()
        self._sizes: list[int] = []
        self._starts = [file.tell()]

    def add(self, record: Record | RunRecord) -> None:
        """Take one more."""
        count = len(record.names) if isinstance(record, RunRecord) else 1
        if self._in_block + count > _BLOCK:
            self._flush()
        self._block.append((_TAGS[type(record)], *_plain(record)))
        self._in_block += count
        if isinstance(record, FileRecord):
            self._count(record)
        elif isinstance(record, RunRecord):
            self._count_run(record)
        elif isinstance(record, MissingRecord):
            self._counts["missing"] += 1
        elif isinstance(record, PieceRecord):
            self._flush()
            self._sizes.append(record.size)
            self._starts.append(self._file.tell())

    def _count(self, record: FileRecord) -> None:
        counts = self._counts
        if record.ref is not None:
            counts["linked"] += 1
            return
        counts["files"] += record.is_end
        counts["size"] += record.stop - record.start
        counts["blobs"] += record.is_end and record.kind in (RowKind.GIT, RowKind.SYMLINK)

    def _count_run(self, run: RunRecord) -> None:
        self._counts["files"] += len(run.names)
        self._counts["size"] += sum(run.sizes)
        self._counts["blobs"] += run.kinds.count(RowKind.GIT)

    def finish(self) -> None:
        """Write what is left, then the summary, then where that is."""
        self._flush()
        at = self._file.tell()
        value = {**self._counts, "sizes": self._sizes, "starts": self._starts[:-1]}
        self._write(value)
        self._file.write(at.to_bytes(_AT, "big"))

    def _flush(self) -> None:
        if self._block:
            self._write(self._block)
            self._block, self._in_block = [], 0

    def _write(self, value: Any) -> None:
        # Of the version of its format that every Python 3 reads.
        raw = marshal.dumps(value, 4)
        self._file.write(len(raw).to_bytes(_LENGTH, "big") + raw)


class Plan:
    """A plan in a file, read as often as one likes, in constant memory."""

    def __init__(self, path: bytes) -> None:
        """Open it.

        Raises:
            ConflictError: It is none, or of a later version.
        """
        self.path = path
        try:
            with open(path, "rb") as file:
                tag, version, head = json.loads(file.readline())
                if tag != "plan" or version not in _FORMATS:
                    raise ValueError("it is no plan we can read")
                self._start = file.tell()
                file.seek(-_AT, os.SEEK_END)
                self._end = int.from_bytes(file.read(_AT), "big")
                file.seek(self._end)
                value = _read_block(file)
            self.head = _read_head(head)
            sizes, starts = tuple(value.pop("sizes")), tuple(value.pop("starts"))
            self.summary = Summary(sizes=sizes, starts=starts, **value)
        except (ValueError, TypeError, KeyError, EOFError) as error:
            raise faults.ARCHIVE_STATE(path=os.fsdecode(path), detail=str(error)) from None

    def __iter__(self) -> Iterator[Record]:
        """All records, one for each file."""
        for record in self.in_runs():
            if isinstance(record, RunRecord):
                yield from record.records()
            else:
                yield record

    def in_runs(self, piece: int | None = None) -> Iterator[Record | RunRecord]:
        """All records, or those of a piece and after it; files of runs together."""
        at = self._start if piece is None else self.summary.starts[piece]
        readers = _READERS
        with open(self.path, "rb", buffering=1 << 16) as file:
            file.seek(at)
            while file.tell() < self._end:
                for tag, *values in _read_block(file):
                    yield readers[tag](values)

    def iter_placed(self) -> Iterator[tuple[int, Record]]:
        """All records, each with its place, by which `at_place` finds it again."""
        at = self._start
        while at < self._end:
            block, after = self._block_at(at)
            for number, record in enumerate(block):
                yield at * _BLOCK + number, record
            at = after

    def block_of(self, place: int) -> tuple[Record, ...]:
        """The records around one, and `at_place` which of them it is."""
        return self._block_at(place // _BLOCK)[0]

    @staticmethod
    def at_place(place: int) -> int:
        """Which record of its block is meant."""
        return place % _BLOCK

    def _block_at(self, at: int) -> tuple[tuple[Record, ...], int]:
        found: list[Record] = []
        with open(self.path, "rb", buffering=1 << 16) as file:
            file.seek(at)
            for tag, *values in _read_block(file):
                record = _READERS[tag](values)
                found += record.records() if isinstance(record, RunRecord) else (record,)
            return tuple(found), file.tell()


def _read_block(file: IO[bytes]) -> Any:
    length = int.from_bytes(file.read(_LENGTH), "big")
    return marshal.loads(file.read(length))


def _head_value(head: PlanHead) -> dict[str, Any]:
    value = head._asdict()
    value["bundles"] = [bundle._asdict() for bundle in head.bundles]
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


def _plain(record: Record | RunRecord) -> tuple[Any, ...]:
    """Its fields, as plain as marshal needs them."""
    if isinstance(record, FileRecord):
        number, path, kind, mode, size, key, *rest = record
        return number, path, int(kind), mode, size, None if key is None else bytes(key), *rest
    if isinstance(record, MissingRecord):
        path, key, size_said, urls, reason = record.row
        return path, bytes(key), size_said, tuple(urls), reason
    return tuple(record)


def _file(values: list[Any]) -> FileRecord:
    values[2] = _KINDS[values[2]]
    return FileRecord._make(values)


_KINDS = tuple(RowKind)
_BLOCK = RUN_MAX
"""So many records are read at once; files in runs count each."""
_LENGTH = 4
_AT = 8
_TAGS: dict[type, int] = {
    FileRecord: 0, OpenedRecord: 1, FolderRecord: 2, MissingRecord: 3, PieceRecord: 4,
    RunRecord: 5,
}  # fmt: skip
_READERS: tuple[Callable[[list[Any]], Record | RunRecord], ...] = (
    _file,
    OpenedRecord._make,
    FolderRecord._make,
    lambda values: MissingRecord(MissingRow._make(values)),
    PieceRecord._make,
    RunRecord._make,
)
