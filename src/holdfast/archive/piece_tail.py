"""What a piece ends with: rows of its files in parts, its manifest, its footer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

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
)
from ..wire.cid import Cid, dag_cbor_cid, raw_cid
from ..wire.file_layout import Block, head_size
from .plan_records import FileRecord, MissingRecord, PieceRecord, Plan, bundle_ref
from .planning import Tail, manifest_of
from .snapshot_state import SnapshotState


class PieceTail:
    """Gives the last blocks of the piece of that number."""

    def __init__(self, plan: Plan, state: SnapshotState, number: int) -> None:
        self._plan = plan
        self._state = state
        self._number = number
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

    def _records(self) -> Iterator[FileRecord | MissingRecord]:
        records = self._plan.of_piece(self._number)
        for record in takewhile(lambda record: not isinstance(record, PieceRecord), records):
            if isinstance(record, FileRecord | MissingRecord):
                yield record

    def _rows(self) -> Iterator[Block]:
        bundles = {bundle.path.encode(): bundle for bundle in self._plan.head.bundles}
        tail, rows, first = Tail(), list[bytes](), b""
        for record in self._records():
            if not isinstance(record, FileRecord) or record.ref is not None:
                continue
            row = record.row(self._state.cid(record.number)) if record.is_end else record.row()
            if record.is_end and record.path in bundles:
                self._bundles.append(bundle_ref(bundles[record.path], row))
            raw = encode_row(row)
            if tail.add(PartKind.ROWS, record.path, len(raw)):
                if rows:
                    yield self._part(PartKind.ROWS, first, encode_rows(rows, len(rows)))
                rows, first = [], record.path
            rows.append(raw)
        if rows:
            yield self._part(PartKind.ROWS, first, encode_rows(rows, len(rows)))

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
