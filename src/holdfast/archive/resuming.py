"""Where a packer goes on that was stopped: with the first file of which not all is known."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from ..wire.file_layout import plan_file
from ..wire.piece import Kernel, PieceHasher
from ..wire.piece_cid import from_text
from ..wire.unixfs import Profile
from .piece_stream import name_piece
from .plan_file import Plan
from .plan_records import FileRecord, FolderRecord, PieceRecord
from .snapshot_state import Begun, DonePiece, SnapshotState

_CHUNK = 1 << 20


class Start(NamedTuple):
    """So many pieces are done, bytes of the next one known, and files before ``number``.

    What was ``begun`` of that one has to be what it is now.
    """

    number: int
    pieces: int
    known: int
    begun: Begun = Begun()


def find_start(
    plan: Plan, state: SnapshotState, part: bytes, profile: Profile, kernel: Kernel
) -> Start:
    """Where to go on; all from there on is forgotten.

    ``part`` is the unfinished file of the piece that is being made, if it has one.
    """
    state.take_away()
    _finish_naming(part, plan, state, kernel)
    pieces = len(state.pieces)
    _remove_later(part, plan, pieces)
    return _find(plan, state, profile, pieces, state.resume_at(part))


def _finish_naming(part: bytes, plan: Plan, state: SnapshotState, kernel: Kernel) -> None:
    """Do what a run that was stopped may have left: a piece that is noted gets its name.

    That is where it was written; or, with a copy of all of that, where pieces are written now. What
    is there may be of another run, too, which had not come as far: so it is read, and removed then.
    """
    if not state.pieces or not (path := state.pieces[-1].path):
        return
    piece = state.pieces[-1]
    folder, name = os.path.split(path)
    for one in dict.fromkeys((folder, os.path.dirname(part) or folder)):
        left = part_in(one, plan, len(state.pieces) - 1)
        with suppress(FileNotFoundError):
            is_noted = one == folder and piece.is_ours
            if os.stat(left).st_size == piece.size and (is_noted or _is_it(left, piece, kernel)):
                name_piece(left, os.path.join(one, name))
            elif not is_noted:
                os.unlink(left)


def _is_it(path: bytes, piece: DonePiece, kernel: Kernel) -> bool:
    """Whether all bytes of a file are those of a piece."""
    hasher = PieceHasher(kernel)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return from_text(hasher.digest().v2) == piece.cid


def _remove_later(part: bytes, plan: Plan, number: int) -> None:
    """Remove the begun files of later pieces than that, which a run before had come to."""
    folder = os.path.dirname(part)
    if not folder:
        return
    start, end = os.path.basename(part_in(b"", plan, number)).rsplit(b"%d" % number, 1)
    for name in os.listdir(folder):
        middle = name[len(start) : -len(end)]
        is_one = name.startswith(start) and name.endswith(end) and middle.isdigit()
        if is_one and int(middle) > number:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def part_in(folder: bytes, plan: Plan, number: int) -> bytes:
    """The file in a folder of a piece that is not finished, or has not its name yet."""
    head = plan.head
    return os.path.join(folder, f".{head.dataset}-{head.snapshot}-{number}.part".encode())


def _find(plan: Plan, state: SnapshotState, profile: Profile, pieces: int, known: int) -> Start:
    noted, at_least = state.count, (pieces, known)
    if not noted and not pieces and not known:
        state.cut(0, 0)
        return Start(0, 0, known)
    count = leaves = piece = of_begun = 0
    begins, is_cut, has_begun = (0, 0), False, False
    for record in plan:
        if isinstance(record, PieceRecord):
            piece += 1
            continue
        if not isinstance(record, FileRecord | FolderRecord):
            continue
        if isinstance(record, FolderRecord) or not record.start:
            begins = piece, record.offset
        if isinstance(record, FolderRecord) or record.is_end:  # a file is known with its last part
            of_it = _leaves_of(record, profile)
            end = piece, record.offset + record.length
            if record.number >= noted or end > at_least:
                if piece < pieces:  # what is noted is not enough to go on from
                    state.rewind(piece, 0)
                    return _find(plan, state, profile, piece, 0)
                noted = min(noted, record.number)  # nor is anything after it known
                if not is_cut:
                    is_cut, of_begun = True, of_it
                    has_begun = record.ref is None and begins < at_least
            else:
                count = record.number + 1
                leaves += of_it
    begun = state.cut(count, leaves, of_begun if has_begun else None)
    return Start(count, pieces, known, begun)


def _leaves_of(record: FileRecord | FolderRecord, profile: Profile) -> int:
    """How many leaves are noted of it, if it is a file of more than one that is written."""
    if isinstance(record, FolderRecord) or record.ref is not None:
        return 0
    return plan_file(record.size, profile).leaves if record.size > profile.chunk_size else 0


def place_of(plan: Plan, number: int) -> tuple[int, int]:
    """The piece and the offset at which a file begins."""
    piece = 0
    for record in plan:
        if isinstance(record, PieceRecord):
            piece += 1
        elif isinstance(record, FileRecord) and record.number == number:
            return piece, record.offset
    raise AssertionError("a file is not in its plan")
