"""Snapshots of a data set or a plain folder: planned whole, then packed; resumed when stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from ..core import faults
from ..core.progress import Progress
from ..wire.piece import Kernel
from .archive_folder import ArchiveFolder
from .contents import SourceFault, Sources
from .entries import Entry, FileRun
from .own_files import new_bundle
from .packing import Packer
from .passed_over import PassedOver
from .plan_file import Plan, write_plan
from .plan_records import FileRecord, PlanHead
from .planning import plan_pieces
from .repeats import iter_steps
from .replanning import replan
from .snapshot_state import DonePiece, SnapshotState

if TYPE_CHECKING:
    from .images import SnapshotImage
    from .piece_sending import Sent

TRIES = 3
"""So often a file is read that is another one after each time."""


class Source(Protocol):
    """What a snapshot is made of."""

    @property
    def is_sealed(self) -> bool:
        """Whether it is encrypted."""

    @property
    def passed_over(self) -> PassedOver:
        """What is not packed of it, as it has no content of its own."""

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; makes its bundle."""

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """Pass when a snapshot that is begun is what is wished.

        Raises:
            ConflictError: It is not.
        """

    def is_outdated(self, plan: Plan) -> bool:
        """Whether a plan of which nothing is packed may be of something else by now."""

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """Its files and those that the archive adds to them, in tree order."""

    def sources(self, state_folder: bytes) -> Sources:
        """Where their bytes come from."""

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """What to pack where a file was not what was planned; None to leave it out."""

    def amended(self, state_folder: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
        """The entries of a plan, after `instead_of` one of them."""

    def shown(self, record: FileRecord) -> FileRecord:
        """A file as people know it."""

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder for pieces whose files would be packed themselves, now or the next time.

        Raises:
            UsageError: It is one.
        """


class Repacked(NamedTuple):
    """A file was another than was planned; ``instead`` is what was packed, None for nothing."""

    record: FileRecord
    why: str
    instead: Entry | None


Deliver: TypeAlias = "Callable[[SnapshotImage], Generator[Sent, None, bool]]"
"""Brings the pieces of a packed snapshot elsewhere; says whether all are there."""


def make_plan(archive: ArchiveFolder, source: Source, piece_size: int) -> Plan:
    """The plan of the next snapshot: the one that is begun, or a new one.

    Raises:
        ConflictError: The one that is begun has another piece size.
    """
    begun = archive.begun
    if begun is not None:
        if begun.head.piece_size != piece_size:
            raise faults.ARCHIVE_OTHER_SIZE(
                snapshot=begun.head.snapshot,
                size=begun.head.piece_size,
                path=os.fsdecode(archive.next_folder),
            )
        source.check_begun(archive, begun)
        return begun
    # Without a plan, what is there was left by one who was killed while it was removed.
    archive.forget_begun()
    folder = archive.next_folder
    os.makedirs(folder, exist_ok=True)
    head = source.head(archive, piece_size)
    steps = iter_steps(source.framed(archive, head), archive.index, archive.folder)
    write_plan(folder + b"/plan", head, plan_pieces(head, steps))
    return Plan(folder + b"/plan")


def pack(
    archive: ArchiveFolder,
    source: Source,
    plan: Plan,
    kernel: Kernel,
    progress: Progress,
    folder: bytes = b"",
    deliver: Deliver | None = None,
) -> Iterator[DonePiece | Repacked | Sent]:
    """Pack the next snapshot as planned; gives its pieces, and files that were others than planned.

    With ``folder``, the pieces are written there. With ``deliver``, the snapshot is finished when
    all of its pieces were brought where they should be; until then the next run goes on with it.

    Raises:
        ConflictError: A file keeps changing.
        OSError: Something could not be written.
    """
    state = SnapshotState(archive.next_folder)
    tries: dict[bytes, int] = {}
    told = 0
    try:
        while True:
            packer = Packer(
                plan, state, source.sources(state.folder), kernel, progress, folder=folder
            )
            try:
                for number, piece in enumerate(packer.run()):
                    if number >= told:
                        told = number + 1
                        yield piece
                if deliver is not None and not (
                    yield from _delivered(deliver, packer, source, state)
                ):
                    return
                archive.finish(plan, packer.root, state, new_bundle(archive, plan.head))
                return
            except SourceFault as fault:
                told = min(told, len(state.pieces))
                record = fault.record
                tries[record.path] = tries.get(record.path, 0) + 1
                if tries[record.path] > TRIES:
                    path = source.shown(record).path.decode("utf-8", "replace")
                    raise faults.ARCHIVE_CHANGED(path=path, tries=TRIES) from None
                instead = source.instead_of(state.folder, fault)
                amended = partial(source.amended, state.folder)
                plan = replan(plan, record.number, instead, archive.index, archive.folder, amended)
                yield Repacked(source.shown(record), fault.why, instead)
    finally:
        state.close()


def _delivered(
    deliver: Deliver, packer: Packer, source: Source, state: SnapshotState
) -> Generator[Sent, None, bool]:
    """Bring the pieces away; what is found to have changed then counts as not packed."""
    from .images import SnapshotImage  # late: only what is sent away is made again

    image = SnapshotImage(state.folder, packer.root, state.pieces, source.sources(state.folder))
    try:
        return (yield from deliver(image))
    except SourceFault as fault:
        packer.forget(fault.record)
        raise
