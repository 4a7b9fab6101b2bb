"""Compaction of a packed store: what still counts of a pack goes to a new one, then it is removed.

Nothing is left out because the index says so: a removed record's removal is looked at in its pack,
each content that moves is checked against its checksum and its key as it passes. A pack in which
something is wrong stays as it is. Readers go on: who has a pack open reads it to the end, who finds
it gone asks the index again. Killed anywhere, old records, new ones or both are there; both count
as one, since they have the same id.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError, IntegrityError, PlaceFullError
from ..core.outcome import Outcome, Status
from ..core.sizes import format_size
from ..core.system_errors import as_fault
from ..wire.packed import (
    CONTENT,
    END_SIZE,
    FIXED_SIZE,
    PACK_START,
    REMOVAL,
    SYNC,
    Record,
    read_header,
)
from .packed_files import (
    Found,
    Gap,
    OpenPack,
    check_content,
    checker_of,
    iter_content,
    iter_records,
)
from .packed_ground import Ground
from .packed_index import DAMAGED, REMOVED, RemovalRow, Row, Totals, digest_of, signed
from .packed_locks import COMPACTING, pack_byte
from .packed_marker import sync_folder
from .packed_writer import PackWriter, Writers

GARBAGE_MIN = 0.25
"""The part of a pack that is of no use from which on it is rewritten."""

_SMALL_PART = 8
"""Packs of less than this part of the usual size are put together."""


class _Moved(NamedTuple):
    records: int
    size: int


def choose(packs: Iterable[tuple[Totals, int]], pack_size: int, garbage_min: float) -> list[int]:
    """Which packs to rewrite, those with most garbage first; told is the file size of each."""
    chosen: list[tuple[int, int]] = []
    small: list[tuple[int, int]] = []
    for known, size in packs:
        garbage = max(0, size - len(PACK_START) - known.live_bytes)
        # The records of syncs are of no use, but there is only one in a batch.
        if garbage > garbage_min * size and garbage > FIXED_SIZE + END_SIZE:
            chosen.append((garbage, known.pack))
        elif size * _SMALL_PART < pack_size:
            small.append((garbage, known.pack))
    if len(small) > 1:
        chosen += small
    return [pack for _, pack in sorted(chosen, key=lambda item: (-item[0], item[1]))]


def iter_compact(
    ground: Ground,
    pack_size: int,
    garbage_min: float = GARBAGE_MIN,
    *,
    drop_damaged: bool = False,
) -> Iterator[Outcome]:
    """Rewrite packs with much garbage and put small ones together, telling of each.

    Packs that a writer uses now are passed over, those in which something is damaged too, unless
    somebody decides that what is damaged, and lies nowhere else in the store, may go.

    Raises:
        PlaceUnavailableError: Another process compacts the store.
        AccessError: We may not write there.
    """
    locks = ground.writing_locks
    holding = locks.holding(COMPACTING, alone=True, what="the compaction", wait_s=0)
    with ground.mending(), holding:
        ground.refresh()
        compaction = _Compaction(ground, pack_size, drop_damaged=drop_damaged)
        try:
            for pack in choose(_with_sizes(ground), pack_size, garbage_min):
                yield compaction.compact(pack)
        finally:
            compaction.close()
            sync_folder(ground.folder.packs)


def _with_sizes(ground: Ground) -> Iterator[tuple[Totals, int]]:
    for known in ground.ask_index(lambda index: index.totals()):
        try:
            yield known, os.stat(ground.folder.pack(known.pack)).st_size
        except FileNotFoundError:
            continue


class _Compaction:
    def __init__(self, ground: Ground, pack_size: int, *, drop_damaged: bool) -> None:
        self._ground = ground
        self._drop_damaged = drop_damaged
        self._pack_size = pack_size
        self._writers = Writers(ground, pack_size)
        self._target: PackWriter | None = None

    def compact(self, pack: int) -> Outcome:
        """Rewrite one pack, or say why not."""
        name = f"packs/{pack:010d}.pack"
        locks = self._ground.writing_locks
        if not locks.try_alone(pack_byte(pack)):
            return Outcome("compact", Status.NOT_NEEDED, name, note="a writer uses it now")
        try:
            size = self._ground.settle(pack)
            moved = self._move(pack)
            self._remove(pack)
        except HoldError as error:
            self.close()
            return Outcome("compact", Status.ERROR, name, error=error)
        except OSError as error:
            self.close()
            return Outcome("compact", Status.ERROR, name, error=as_fault(error, name))
        finally:
            locks.release(pack_byte(pack))
        freed = size - moved.size
        facts = {"moved": moved.records, "freed": freed}
        note = f"{format_size(max(0, freed))} freed"
        return Outcome("compact", Status.OK, name, size=size, note=note, facts=facts)

    def _remove(self, pack: int) -> None:
        # As long as it is open, its room is not free.
        self._ground.packs.close()
        path = self._ground.folder.pack(pack)
        try:
            self._ground.change_index(lambda index: index.forget(pack))
            os.unlink(path)
        except PlaceFullError:
            # The room of the pack is what the index needs to forget it.
            os.unlink(path)
            self._ground.change_index(lambda index: index.forget(pack))

    def close(self) -> None:
        """Let go of the pack that was written to; what was not committed is thrown away."""
        target, self._target = self._target, None
        if target is not None:
            target.close()

    def _move(self, pack: int) -> _Moved:
        """Copy what counts, durably."""
        opened = OpenPack(self._ground.folder.pack(pack), pack)
        rows = self._ground.index.iter_rows_of(pack)
        row = next(rows, None)
        moved = size = 0
        for item in iter_records(opened.file, 0, opened.size, check_from=opened.size):
            if isinstance(item, Gap):
                if self._drop_damaged:
                    continue
                raise gap_fault(self._ground, pack, item)
            while row is not None and row.at < item.at:
                row = next(rows, None)
            known = row if row is not None and row.at == item.at else None
            if self._counts(opened, item, known) and self._copy(opened, item):
                moved += 1
                size += item.record.length
        if self._target is not None:
            self._target.commit()
        return _Moved(moved, size)

    def _counts(self, pack: OpenPack, found: Found, known: Row | None) -> bool:
        """Whether a record has to be kept."""
        record = found.record
        if record.kind == SYNC:
            return False
        digest = digest_of(record.key)
        row = known or Row(digest, signed(record.id), pack.number, found.at, record.length)
        if record.kind == REMOVAL:
            removal = RemovalRow(digest, signed(record.id), pack.number, found.at)
            return bool(self._ground.index.same_elsewhere(removal))
        if record.kind != CONTENT or record.flags:
            path = os.fsdecode(self._ground.folder.pack(pack.number))
            raise faults.PACKED_NEWER(path=path, version="a later one")
        if (row.state == REMOVED or known is None) and self._is_removed(row, record):
            return False
        others = self._ground.index.same_elsewhere(row)
        if row.state == DAMAGED or known is None:
            others += self._ground.index.find([digest]).get(digest, [])
        return not any(self._is_good(other, record) for other in others if other[:3] != row[:3])

    def _is_removed(self, row: Row, record: Record) -> bool:
        """Whether the record that removes another one is really there."""
        removals = self._ground.index.removals_of(row.digest, row.id)
        return any(
            found is not None and found[:2] == (REMOVAL, record.id)
            for found in (self._header(removal, record) for removal in removals)
        )

    def _is_good(self, row: Row, record: Record) -> bool:
        """Whether the same content lies elsewhere, whole."""
        found = self._header(row, record)
        if found is None or found.kind != CONTENT:
            return False
        return not check_content(self._ground.packs.get(row.pack).file, row.at, found, by_key=True)

    def _header(self, row: Row | RemovalRow, record: Record) -> Record | None:
        """What stands where a record of the same key should be; None when it is not of that key."""
        try:
            file = self._ground.packs.get(row.pack).file
        except FileNotFoundError:
            return None
        found = read_header(os.pread(file, record.header_size, row.at))
        return found if found is not None and found.key == record.key else None

    def _copy(self, pack: OpenPack, found: Found) -> bool:
        """Append a record to the new pack; False when it is damaged, and may go."""
        record = found.record
        target = self._room_for(pack)
        if record.kind == REMOVAL:
            target.remove(record.key, record.id)
            return True
        end = os.pread(pack.file, END_SIZE, found.at + record.length - END_SIZE)
        try:
            target.append(record, _checked(pack, found), checksum=int.from_bytes(end, "big"))
        except IntegrityError as error:
            if self._drop_damaged:
                return False
            raise damaged(self._ground, pack.number, found, error.why) from error
        return True

    def _room_for(self, pack: OpenPack) -> PackWriter:
        """The pack to write to: all of one old pack goes to one new one, and is undone as one."""
        target = self._target
        begun = target is not None and target.size > 0
        if target is not None and not begun and target.end + pack.size > self._pack_size:
            self.close()
        if self._target is None:
            self._target = self._writers.open_new()
        return self._target


def _checked(pack: OpenPack, found: Found) -> Iterator[bytes]:
    check = checker_of(found.record.key)
    for chunk in iter_content(pack.file, found.at, found.record):
        if check is not None:
            check.feed(chunk)
        yield chunk
    if check is not None:
        check.finish()


def damaged(ground: Ground, pack: int, found: Found, why: str) -> HoldError:
    """The fault of a record whose content is not right."""
    key = found.record.key.decode("utf-8", "surrogateescape")
    detail = f"the record at byte {found.at} of pack {pack:010d}: {why}"
    return faults.PACKED_DAMAGED(place=os.fsdecode(ground.folder.path), key=key, detail=detail)


def gap_fault(ground: Ground, pack: int, gap: Gap) -> HoldError:
    """The fault of bytes that are no record."""
    return faults.PACKED_UNREADABLE(
        path=os.fsdecode(ground.folder.pack(pack)), size=gap.end - gap.start, start=gap.start,
        detail="the pack was damaged, or its writer was killed as the index was lost",
    )  # fmt: skip
