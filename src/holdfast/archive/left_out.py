"""What the last snapshot of an archive had to do without, and why, as noted when it was made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_rows import MissingRow
from .archive_folder import ArchiveFolder
from .plan_file import Plan
from .plan_records import MissingRecord

_END = b"\0"


def iter_left_out(archive: ArchiveFolder, number: int) -> Iterator[MissingRow]:
    """What a snapshot was packed without; nothing of one that was packed elsewhere."""
    if not archive.has_plan(number):
        return
    folder = archive.folder + b"/snapshot-%d" % number
    plan = Plan(folder + b"/plan")
    if plan.head.is_sealed:
        from .sealed_lost import lost_rows, missing_rows  # late: most archives are in the clear

        yield from missing_rows(folder)
        yield from lost_rows(folder)
    elif plan.summary.missing:
        yield from (record.row for record in plan if isinstance(record, MissingRecord))


def count_left_out(archive: ArchiveFolder, number: int) -> int:
    """How many files a snapshot was planned or packed without."""
    if not archive.has_plan(number):
        return 0
    plan = Plan(archive.folder + b"/snapshot-%d/plan" % number)
    if plan.head.is_sealed:
        return sum(1 for _ in iter_left_out(archive, number))
    return plan.summary.missing


class LeftOut:
    """Says of one key after the other, in their order, why it was left out."""

    def __init__(self, rows: SortedSpill) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def why(self, key: bytes) -> str:
        """Why content is not in the last snapshot; empty when nothing of it is noted."""
        found = ""
        while self._next is not None:
            one, _, why = self._next.partition(_END)
            if one > key:
                break
            if one == key:
                found = os.fsdecode(why)
            self._next = next(self._rows, None)
        return found


@contextmanager
def opened_left_out(folder: bytes, scratch: bytes) -> Iterator[LeftOut]:
    """What the last snapshot of the archive in ``folder`` was packed without, if there is any.

    What is too much for memory is spilled to the folder ``scratch``.

    Raises:
        ConflictError: What is noted of the archive cannot be read.
    """
    archive = ArchiveFolder(folder)
    with SortedSpill(scratch) as rows:
        for snapshot in archive.snapshots[-1:]:
            for row in iter_left_out(archive, snapshot.number):
                why = f"left out of snapshot {snapshot.number}: {row.reason}"
                rows.add(row.key + _END + os.fsencode(why))
        yield LeftOut(rows)
