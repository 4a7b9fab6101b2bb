"""What a piece ends with: rows of its files in parts, its manifest, its footer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, takewhile

from ..wire.archive_manifest import (
    BundleRef,
    Footer,
    PartRef,
    PieceRef,
    encode_footer,
    encode_manifest,
)
from ..wire.archive_rows import (
    PartKind,
    encode_missing,
    encode_missing_row,
    encode_row,
    encode_rows,
    encode_whole_rows,
)
from ..wire.cid import Cid, dag_cbor_cid, raw_cid
from ..wire.file_layout import Block, head_size
from .plan_file import Plan
from .plan_records import FileRecord, MissingRecord, PieceRecord, RunRecord, bundle_ref
from .planning import Tail, manifest_of
from .snapshot_state import SnapshotState


class PieceTail:
    """Gives the last blocks of the piece of that number."""

    def __init__(self, plan: Plan, state: SnapshotState, number: int) -> None:
        self._plan = plan
        self._state = state
        self._number = number
        self._planned_bundles = {bundle.path.encode(): bundle for bundle in plan.head.bundles}
        self._bundles: list[BundleRef] = []
        self._parts: list[PartRef] = []
        self._at = 0

    def blocks(self, end: PieceRecord, pieces: list[PieceRef], root: Cid | None) -> Iterator[Block]:
        """All of them, in order; holds one part at a time."""
        self._at = end.index_offset
        yield from self._rows()
        yield from self._missing()
        head = self._plan.head
        manifest = manifest_of(head, pieces, root, self._bundles, self._parts)
        block = encode_manifest(manifest)
        self.manifest = dag_cbor_cid(block)
        yield Block(self.manifest, block)
        footer = encode_footer(
            Footer(
                end.manifest_offset,
                end.manifest_length,
                end.index_offset,
                end.index_length,
                self.manifest,
            )
        )
        yield Block(raw_cid(footer), footer)

    def _records(self) -> Iterator[FileRecord | RunRecord | MissingRecord]:
        records = self._plan.in_runs(self._number)
        for record in takewhile(lambda record: not isinstance(record, PieceRecord), records):
            if isinstance(record, FileRecord | RunRecord | MissingRecord):
                yield record

    def _rows(self) -> Iterator[Block]:
        tail, rows, first = Tail(), list[bytes](), b""
        for record in self._records():
            if isinstance(record, RunRecord):
                paths, new = record.paths, self._rows_of(record)
            elif isinstance(record, FileRecord) and record.ref is None:
                paths, new = [record.path], [self._row(record)]
            else:
                continue
            done = 0
            for begins in tail.add_many(PartKind.ROWS, paths, list(map(len, new))):
                rows += new[done:begins]
                if rows:
                    yield self._part(PartKind.ROWS, first, encode_rows(rows, len(rows)))
                rows, first, done = [], paths[begins], begins
            rows += new[done:]
        if rows:
            yield self._part(PartKind.ROWS, first, encode_rows(rows, len(rows)))

    def _row(self, record: FileRecord) -> bytes:
        row = record.row(self._state.cid(record.number)) if record.is_end else record.row()
        if record.is_end and record.path in self._planned_bundles:
            self._bundles.append(bundle_ref(self._planned_bundles[record.path], row))
        return encode_row(row)

    def _rows_of(self, run: RunRecord) -> list[bytes]:
        lengths = run.lengths
        offsets = list(accumulate(lengths[:-1], initial=run.offset))
        cids = self._state.cids(run.number, len(lengths))
        return encode_whole_rows(
            run.paths, run.kinds, run.modes, run.sizes, cids, run.keys, offsets, lengths
        )

    def _missing(self) -> Iterator[Block]:
        tail, rows, first = Tail(), list[bytes](), b""
        for record in self._records() if self._plan.summary.missing else ():
            if not isinstance(record, MissingRecord):
                continue
            raw = encode_missing_row(record.row)
            if tail.add(PartKind.MISSING, record.row.path, len(raw)):
                if rows:
                    yield self._part(PartKind.MISSING, first, encode_missing(rows, len(rows)))
                rows, first = [], record.row.path
            rows.append(raw)
        if rows:
            yield self._part(PartKind.MISSING, first, encode_missing(rows, len(rows)))

    def _part(self, kind: PartKind, first: bytes, block: bytes) -> Block:
        cid = dag_cbor_cid(block)
        start = self._at + head_size(len(block))
        self._parts.append(PartRef(kind, first, start, len(block), cid))
        self._at = start + len(block)
        return Block(cid, block)
