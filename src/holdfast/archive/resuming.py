"""Where a packer goes on that was stopped: with the first file of which not all is known."""

from __future__ import annotations

from typing import NamedTuple

from ..wire.file_layout import plan_file
from ..wire.unixfs import Profile
from .plan_file import Plan
from .plan_records import FileRecord, FolderRecord, PieceRecord
from .snapshot_state import SnapshotState


class Start(NamedTuple):
    """So many pieces are done, bytes of the next one known, and files before ``number``."""

    number: int
    pieces: int
    known: int


def find_start(plan: Plan, state: SnapshotState, part: bytes, profile: Profile) -> Start:
    """Where to go on; all from there on is forgotten.

    ``part`` is the unfinished file of the piece that is being made, if it has one.
    """
    pieces = len(state.pieces)
    return _find(plan, state, profile, pieces, state.resume_at(part))


def _find(plan: Plan, state: SnapshotState, profile: Profile, pieces: int, known: int) -> Start:
    noted, at_least = state.count, (pieces, known)
    if not noted and not pieces:
        state.cut(0, 0)
        return Start(0, 0, known)
    count = leaves = piece = 0
    for record in plan:
        if isinstance(record, PieceRecord):
            piece += 1
        elif isinstance(record, FolderRecord) or (
            isinstance(record, FileRecord) and record.is_end
        ):  # a file is known with its last part
            end = piece, record.offset + record.length
            if record.number >= noted or end > at_least:
                if piece < pieces:  # what is noted is not enough to go on from
                    state.rewind(piece, 0)
                    return _find(plan, state, profile, piece, 0)
                noted = min(noted, record.number)  # nor is anything after it known
            elif isinstance(record, FolderRecord):
                count = record.number + 1
            else:
                count = record.number + 1
                if record.ref is None and record.size > profile.chunk_size:
                    leaves += plan_file(record.size, profile).leaves
    state.cut(count, leaves)
    return Start(count, pieces, known)


def place_of(plan: Plan, number: int) -> tuple[int, int]:
    """The piece and the offset at which a file begins."""
    piece = 0
    for record in plan:
        if isinstance(record, PieceRecord):
            piece += 1
        elif isinstance(record, FileRecord) and record.number == number:
            return piece, record.offset
    raise AssertionError("a file is not in its plan")
