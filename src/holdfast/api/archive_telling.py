"""What planning and packing tell of, as outcomes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..archive.left_out import count_left_out
from ..archive.plan_file import Plan
from ..archive.plan_records import MissingRecord, PieceRecord
from ..archive.snapshot_state import DonePiece
from ..archive.snapshots import Repacked
from ..core import faults
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..wire.cid import cid_text

if TYPE_CHECKING:
    from ..archive.passed_over import PassedOver
    from .archive import Archive


def iter_passed_over(action: str, passed: PassedOver) -> Iterator[Outcome]:
    """What is not packed, as it has no content of its own."""
    for path in passed.paths:
        yield Outcome(action, Status.NOT_NEEDED, os.fsdecode(path), note=passed.why)


def iter_plan(plan: Plan, missing: int, passed: PassedOver) -> Iterator[Outcome]:
    """What is missing, the pieces, and all of it in sum."""
    for record in plan:
        if isinstance(record, MissingRecord):
            path, key, size, urls, reason = record.row
            name, facts = os.fsdecode(path), {"urls": list(urls)}
            yield Outcome(
                "plan", Status.NOT_NEEDED, name, Key(key), size, f"missing: {reason}", facts=facts
            )
        elif isinstance(record, PieceRecord):
            first, last = os.fsdecode(record.first), os.fsdecode(record.last)
            yield Outcome(
                "plan", Status.OK, f"piece {record.number}", size=record.size,
                note=f"{first} … {last}",
                facts={"piece": record.number, "first": first, "last": last},
            )  # fmt: skip
    head, sums = plan.head, plan.summary
    count = len(sums.sizes)
    facts_of_all = {
        "snapshot": head.snapshot, "version": head.version, "piece_size": head.piece_size,
        "pieces": count, "piece_bytes": sum(sums.sizes), "files": sums.files,
        "content_bytes": sums.size, "linked": sums.linked, "missing": missing,
        "passed_over": passed.count,
    }  # fmt: skip
    note = f"{sums.files:,} files to pack into {count:,} piece{'s' if count != 1 else ''}"
    note += f"; {sums.linked:,} linked, {missing:,} missing"
    note += f"; {passed.told}" if passed.told else ""
    note += " (-v lists them)" if missing or passed.told else ""
    yield Outcome("plan", Status.OK, f"snapshot {head.snapshot}", note=note, facts=facts_of_all)


def told_piece(number: int, piece: DonePiece) -> Outcome:
    """A piece that is finished."""
    facts: dict[str, object] = {
        "piece": number, "manifest": cid_text(piece.manifest),
        "first": os.fsdecode(piece.first), "last": os.fsdecode(piece.last),
    }  # fmt: skip
    if piece.path:
        facts["file"] = os.fsdecode(piece.path)
    return Outcome("pack", Status.OK, cid_text(piece.cid), size=piece.size, facts=facts)


def told_again(one: Repacked) -> Outcome:
    """A file that was another one than was planned, and what became of it."""
    record, instead = one.record, one.instead
    name = os.fsdecode(record.path)
    key = None if record.key is None else Key(record.key)
    if instead is None:
        done = "it is not in this snapshot"
    elif record.key is not None:
        done = "it is recorded as missing"
    else:
        done = "it is packed as it is now"
    if record.key is None and instead is not None:
        return Outcome("pack", Status.NOT_NEEDED, name, note=f"{one.why}; {done}")
    error = faults.ARCHIVE_PACKED_AGAIN(path=name, detail=one.why, done=done)
    return Outcome("pack", Status.ERROR, name, key, note=one.why, error=error)


def told_snapshot(archive: Archive, passed: PassedOver) -> Outcome:
    """The snapshot that was finished last."""
    snapshot = archive.folder.snapshots[-1]
    root = cid_text(bytes.fromhex(snapshot.root))
    missing = count_left_out(archive.folder, snapshot.number)
    facts = {
        "snapshot": snapshot.number, "version": snapshot.version, "root": root,
        "pieces": snapshot.pieces, "missing": missing,
        "passed_over": passed.count,
    }  # fmt: skip
    note = f"version {snapshot.version[:10]}; " if snapshot.version else ""
    note += f"root {root}"
    if missing:
        left = f"{missing:,} file{'s' if missing != 1 else ''}"
        note += f"; without the content of {left}: "
        again = f"pack again to have {'them' if missing != 1 else 'it'}"
        note += "hold archive check says why" if archive.version else again
    if passed.told:
        note += f"; {passed.told} (-v lists them)"
    return Outcome("pack", Status.OK, f"snapshot {snapshot.number}", note=note, facts=facts)


def nothing_new(archive: Archive, action: str) -> Outcome:
    """There is nothing to plan or to pack."""
    last = archive.folder.snapshots[-1]
    note = "all is in its pieces already"
    return Outcome(action, Status.NOT_NEEDED, f"snapshot {last.number}", note=note)


def iter_not_written(archive: Archive, write: bytes) -> Iterator[Outcome]:
    """Word that pieces of the last snapshot are not in the folder where they are wanted."""
    last = archive.folder.snapshots[-1].number
    pieces = archive.folder.pieces_of(last) if write else []
    where, count = os.fsdecode(write), len(pieces)
    paths = [os.path.join(where, f"{cid_text(piece.cid)}.car") for piece in pieces]
    lacking = sum(not _is_whole(*one) for one in zip(paths, (p.size for p in pieces), strict=True))
    if lacking:
        which = "its piece is" if count == 1 else f"{lacking:,} of its {count:,} pieces are"
        note = f"{which} not in {where}, as packed before: pack --to {where}/ makes what lacks"
        facts = {"snapshot": last, "lacking": lacking}
        yield Outcome("pack", Status.OK, f"snapshot {last}", note=note, facts=facts)


def _is_whole(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except OSError:
        return False
