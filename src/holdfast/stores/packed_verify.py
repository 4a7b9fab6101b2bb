"""Reading all of a packed store again, and telling what it consists of."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..wire.packed import CONTENT
from .packed_compaction import damaged, gap_fault
from .packed_files import Found, Gap, OpenPack, check_content, iter_records
from .packed_ground import Ground
from .packed_index import DAMAGED, LIVE, REMOVED, PackIndex, Row, digest_of, signed


def iter_verify(ground: Ground) -> Iterator[Outcome]:
    """Check each content against its checksum and its key, and the index against the packs.

    One outcome for each pack, after one for each thing that is wrong in it. What is damaged counts
    as no copy from then on; the index is mended. May run while others read and write.
    """
    with ground.mending():
        ground.refresh()
        for pack in ground.folder.numbers():
            yield from _Verification(ground, pack).run()


class _Verification:
    def __init__(self, ground: Ground, pack: int) -> None:
        self._ground = ground
        self._pack = pack
        self._wrong: list[Row] = []
        self._right: list[Row] = []
        self._missing: list[Row] = []
        self._count = self._removed = 0

    def run(self) -> Iterator[Outcome]:
        """Tell of one pack."""
        name = f"packs/{self._pack:010d}.pack"
        try:
            opened = OpenPack(self._ground.folder.pack(self._pack), self._pack)
        except FileNotFoundError:
            return
        end, closed = self._ground.ask_index(lambda i: i.ends()).get(self._pack, (0, False))
        # What is behind the end is being written now; of a closed pack it belongs to nobody.
        failures = 0
        for outcome in self._iter_wrong(opened, opened.size if closed else end):
            failures += 1
            yield outcome
        self._mend()
        facts = {"records": self._count, "removed": self._removed, "wrong": failures}
        if not failures:
            yield Outcome("verify", Status.OK, name, size=end, facts=facts)

    def _iter_wrong(self, pack: OpenPack, end: int) -> Iterator[Outcome]:
        rows = self._ground.index.iter_rows_of(self._pack)
        row = next(rows, None)
        for item in iter_records(pack.file, 0, end, check_from=end):
            start = item.start if isinstance(item, Gap) else item.at
            while row is not None and row.at < start:
                self._wrong.append(row)
                row = next(rows, None)
            if isinstance(item, Gap):
                error = gap_fault(self._ground, self._pack, item)
                yield Outcome("verify", Status.ERROR, self._name, error=error)
                continue
            known = row if row is not None and row.at == start else None
            if known is not None:
                row = next(rows, None)
            if item.record.kind == CONTENT and not item.record.flags:
                yield from self._iter_wrong_content(pack, item, known)
        while row is not None and row.at < end:
            self._wrong.append(row)
            row = next(rows, None)

    @property
    def _name(self) -> str:
        return f"packs/{self._pack:010d}.pack"

    def _iter_wrong_content(
        self, pack: OpenPack, found: Found, known: Row | None
    ) -> Iterator[Outcome]:
        record = found.record
        if known is not None and known.state == REMOVED:
            self._removed += 1
            return
        self._count += 1
        row = Row(digest_of(record.key), signed(record.id), self._pack, found.at, record.length)
        why = check_content(pack.file, found.at, record, by_key=True)
        if not why:
            if known is None or known[:5] != row[:5]:
                self._missing.append(row)
            elif known.state == DAMAGED:
                self._right.append(row)
            return
        self._wrong.append(row)
        error = damaged(self._ground, self._pack, found, why)
        yield Outcome("verify", Status.ERROR, self._name, Key(record.key), error=error)

    def _mend(self) -> None:
        def mend(index: PackIndex) -> None:
            index.mark(self._wrong, DAMAGED)
            index.restore(self._pack, self._missing)
            index.mark(self._right, LIVE)

        may_write = self._ground.locks is not None or self._ground.index.path is None
        if may_write and (self._missing or self._wrong or self._right):
            self._ground.change_index(mend)


def describe(ground: Ground) -> dict[str, object]:
    """What a store consists of, in numbers."""
    totals = ground.ask_index(lambda index: index.totals())
    sizes = [os.stat(ground.folder.pack(pack)).st_size for pack in ground.folder.numbers()]
    live = sum(known.live_bytes for known in totals)
    return {
        "uuid": ground.uuid,
        "packs": len(sizes),
        "entries": sum(1 + len(names) for _, _, names in os.walk(ground.folder.path)),
        "records": sum(known.live for known in totals),
        "damaged": sum(known.damaged for known in totals),
        "bytes": sum(sizes),
        "live_bytes": live,
        "garbage_bytes": max(0, sum(sizes) - live - 16 * len(sizes)),
    }
