"""Parity for pieces, and lost pieces computed from it: any m of k + m may be lost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..archive.finding import read_end
from ..archive.parity_finding import (
    CheckedGroup,
    FoundParity,
    check_groups,
    commit_to,
    find_parity,
    member_of,
)
from ..archive.parity_making import Made, alone_in, compute
from ..archive.pieces import OpenedPiece, looks_like_piece, named_piece
from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..core.system_errors import as_fault
from ..kernel.choose import best
from ..wire.cid import cid_text
from ..wire.parity import PIECES_MAX, Group, Member
from ..wire.piece import Kernel
from .archive_found import Pieces, failed, iter_wrong, opened_pieces

PARITY = "parity"
REBUILD = "rebuild"


@dataclass(frozen=True)
class ParityPlan:
    """How many pieces make a group, and how many of parity it gets; what restricts reading URLs."""

    members: int
    parities: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse numbers that make no group.

        Raises:
            UsageError: These make none.
        """
        if self.members < 1 or self.parities < 1 or self.members + self.parities > PIECES_MAX:
            what = f"{self.members}+{self.parities}: both have to be 1 or more, and {PIECES_MAX}"
            raise faults.BAD_USAGE(what=f"{what} at most together", command="archive")


def iter_archive_parity(
    pieces: Pieces,
    folder: bytes,
    plan: ParityPlan,
    *,
    kernel: Kernel | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Have every piece in a group with parity; an outcome for each parity piece that is made.

    Pieces stay as they are. Those that are in a group already stay in it; its parity pieces that
    are not at hand are made again. The others make new groups, in the order of the archive; the
    last may have fewer. All is checked as it is read: nothing is made of a damaged piece. Parity
    pieces are written to ``folder``, named by their PieceCID once they are whole.

    Raises:
        NotFoundError: There is no piece.
        UsageError: PyECLib is not installed; or ``plan`` makes no groups.
        PlaceFullError: There is no room.
    """
    plan.check()
    _make_folder(folder)
    listener, kernel = progress or Silence(), kernel or best()
    with (
        alone_in(folder) as scratch,
        opened_pieces(pieces, plan.settings, scratch) as opened,
    ):
        found = find_parity(opened)
        yield from iter_wrong(PARITY, [*found.faults, *(error for _, error in found.broken)])
        members = _Members(found, scratch, kernel)
        if not members.at:
            raise faults.PARITY_NO_MEMBERS(paths=_named(pieces))
        work = _old_groups(found) + [
            (group, list(range(group.parities))) for group in _new_groups(members, found, plan)
        ]
        if not work:
            note = "all of these pieces are in groups with parity already"
            yield Outcome(PARITY, Status.NOT_NEEDED, "pieces", note=note)
            return
        total = sum(group.length * len(group.members) for group, _ in work)
        listener.start(sum(len(wanted) for _, wanted in work), total)
        try:
            for group, wanted in work:
                yield from _make(group, wanted, members, folder, kernel, listener)
        finally:
            listener.stop()


def iter_archive_rebuild(
    pieces: Pieces,
    folder: bytes,
    *,
    settings: Mapping[str, str] | None = None,
    kernel: Kernel | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Compute what is lost of groups with parity; an outcome for each piece that is back.

    All that is at hand is read; what is not what it should be is lost. What is computed is checked,
    and written to ``folder``, named by its PieceCID; a damaged file of that name gives way to it.
    A group of which too few pieces are left is told, and nothing of it is touched.

    Raises:
        NotFoundError: There is no parity.
        UsageError: PyECLib is not installed.
        PlaceFullError: There is no room.
    """
    _make_folder(folder)
    listener, kernel = progress or Silence(), kernel or best()
    with (
        alone_in(folder) as scratch,
        opened_pieces(pieces, settings or {}, scratch) as opened,
    ):
        found = find_parity(opened)
        yield from iter_wrong(REBUILD, found.faults)
        if not found.groups:
            yield from iter_wrong(REBUILD, [error for _, error in found.broken])
            raise faults.NO_PARITY_HERE(paths=_named(pieces))
        listener.start(None, None)
        try:
            groups = check_groups(found, kernel, listener)
            whole = [piece for checked in groups for piece in checked.whole.values()]
            made = set[str]()
            for checked in groups:
                for outcome in _rebuild(checked, whole, folder, kernel, listener):
                    made.add(os.path.basename(str(outcome.facts.get("file", ""))))
                    yield outcome
            yield from _told_broken(found, made)
        finally:
            listener.stop()


def archive_parity(pieces: Pieces, folder: bytes, plan: ParityPlan) -> Report:
    """Have every piece in a group with parity; see `iter_archive_parity`."""
    return complete(iter_archive_parity(pieces, folder, plan))


def archive_rebuild(
    pieces: Pieces, folder: bytes, *, settings: Mapping[str, str] | None = None
) -> Report:
    """Compute what is lost of groups with parity; see `iter_archive_rebuild`.

    Raises:
        IncompleteError: Too few pieces of a group are left.
    """
    return complete(iter_archive_rebuild(pieces, folder, settings=settings))


class _Members:
    """Pieces that are to be in groups, by PieceCID, in the order of the archive."""

    def __init__(self, found: FoundParity, scratch: bytes, kernel: Kernel) -> None:
        order = []
        for number, (piece, is_named) in enumerate(found.pieces):
            if not is_named and not looks_like_piece(piece):
                continue
            order.append((_place_of(piece, scratch + b"/%d" % number), number, piece))
        self.at: dict[Member, OpenedPiece] = {}
        for _, _, piece in sorted(order, key=lambda item: item[:2]):
            expected = named_piece(piece.name)
            if expected is None or expected.size != piece.size:
                expected = commit_to(piece, kernel)
            if piece.size:
                self.at.setdefault(member_of(expected), piece)


def _place_of(piece: OpenedPiece, scratch: bytes) -> tuple[str, int, int]:
    """The place of a piece in its archive; what says none comes last."""
    try:
        manifest = read_end(piece, scratch).manifest
    except HoldError:
        return "~", 0, 0
    return manifest.dataset, manifest.snapshot, manifest.number


def _old_groups(found: FoundParity) -> list[tuple[Group, list[int]]]:
    """Groups that lack some of their parity pieces here."""
    work = []
    for one in found.groups.values():
        if lacking := [n for n in range(one.group.parities) if n not in one.parities]:
            work.append((one.group, lacking))
    return work


def _new_groups(members: _Members, found: FoundParity, plan: ParityPlan) -> list[Group]:
    covered = {member for one in found.groups.values() for member in one.group.members}
    rest = [member for member in members.at if member not in covered]
    starts = range(0, len(rest), plan.members)
    return [Group(tuple(rest[at : at + plan.members]), plan.parities) for at in starts]


def _make(
    group: Group, wanted: list[int], members: _Members, folder: bytes, kernel: Kernel,
    progress: Progress,
) -> Iterator[Outcome]:  # fmt: skip
    count = len(group.members)
    there = {n: members.at[m] for n, m in enumerate(group.members) if m in members.at}
    if len(there) < count:
        for member in group.members:
            if member not in members.at:
                detail = "parity is made of all pieces of a group (hold archive rebuild makes both)"
                error = faults.PIECE_MISSING(piece=member.text, detail=detail)
                yield failed(PARITY, member.text, error)
        return
    try:
        made = compute(group, there, [count + n for n in wanted], folder, kernel, progress)
    except HoldError as error:
        if error.exit_code == 2:
            raise
        yield failed(PARITY, f"group {cid_text(group.cid)}", error)
        return
    for one in made:
        progress.advance(1, 0)
        yield _told(PARITY, group, one)


def _rebuild(
    checked: CheckedGroup, whole: list[OpenedPiece], folder: bytes, kernel: Kernel,
    progress: Progress,
) -> Iterator[Outcome]:  # fmt: skip
    group, lost = checked.group, checked.lost
    for number, piece in sorted(checked.damaged.items()):
        note = f"{piece.name} is damaged; it counts as lost"
        yield Outcome(REBUILD, Status.NOT_NEEDED, checked.name_of(number), note=note)
    if not lost:
        note = f"all {len(checked.whole)} pieces of the group are whole"
        yield Outcome(REBUILD, Status.NOT_NEEDED, f"group {cid_text(group.cid)}", note=note)
        return
    count = len(group.members)
    if len(checked.whole) < count:
        yield from _told_too_few(checked, REBUILD)
        return
    there = {number: checked.whole[number] for number in sorted(checked.whole)[:count]}
    try:
        made = compute(group, there, lost, folder, kernel, progress, whole)
    except HoldError as error:
        if error.exit_code == 2:
            raise
        yield failed(REBUILD, f"group {cid_text(group.cid)}", error)
        return
    for one in made:
        progress.advance(1, 0)
        yield _told(REBUILD, group, one)


def _told_broken(found: FoundParity, made: set[str]) -> Iterator[Outcome]:
    """Word of parity pieces that do not say any more which they are, by what was made by name."""
    for piece, error in found.broken:
        name = os.path.basename(piece.name)
        if name in made:
            note = f"{piece.name} is damaged; it counts as lost"
            yield Outcome(REBUILD, Status.NOT_NEEDED, name.removesuffix(".car"), note=note)
        else:
            yield from iter_wrong(REBUILD, [error])


def _told(action: str, group: Group, made: Made) -> Outcome:
    count = len(group.members)
    is_parity = made.number >= count
    facts: dict[str, object] = {
        "group": cid_text(group.cid), "kind": "parity" if is_parity else "piece",
        "number": made.number - count if is_parity else made.number,
        "file": os.fsdecode(made.path),
    }  # fmt: skip
    if action == PARITY:
        facts["members"] = [member.text for member in group.members]
    what = f"parity {made.number - count + 1} of {group.parities}" if is_parity else "a piece"
    note = f"{what} of a group of {count}"
    return Outcome(action, Status.OK, made.piece.text, size=made.piece.size, note=note, facts=facts)


def _told_too_few(checked: CheckedGroup, action: str) -> Iterator[Outcome]:
    group, lost = checked.group, checked.lost
    needed, whole = len(group.members), len(checked.whole)
    names = [checked.name_of(number) for number in lost]
    there = [piece.name for _, piece in sorted(checked.whole.items())]
    error = faults.TOO_FEW_PIECES(
        count=len(lost), lost=", ".join(names), needed=needed, total=needed + group.parities,
        whole=whole, there=", ".join(there) or "none", lacking=needed - whole,
    )  # fmt: skip
    facts = {"group": cid_text(group.cid), "lost": names, "whole": there, "needed": needed}
    yield Outcome(
        action, Status.IMPOSSIBLE, f"group {cid_text(group.cid)}", error=error, note=error.why,
        facts=facts,
    )  # fmt: skip


def _named(pieces: Pieces) -> str:
    names = [name if isinstance(name, str) else "the place" for name in pieces]
    return ", ".join(names[:3])


def _make_folder(folder: bytes) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise as_fault(error, os.fsdecode(folder)) from error
