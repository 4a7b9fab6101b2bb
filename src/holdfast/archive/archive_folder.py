"""What is noted of an archive beside its data set: its snapshots, and where content stands.

``snapshots`` has a line of JSON for each finished snapshot, ``index`` the rows of `known_index`;
``snapshot-N`` is `snapshot_state` of each. All of it can be made anew from the pieces.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import faults
from ..dataset import locks
from ..dataset.sorted_spill import SortedSpill
from ..wire.archive_manifest import PREV_MAX, PrevRef
from ..wire.cid import Cid
from .bundles import Bundle
from .entries import identities_of, identity_of
from .known_index import KnownIndex, KnownRow, encode_row, encode_rows
from .plan_file import Plan
from .plan_records import FileRecord, FolderRecord, PieceRecord, RunRecord
from .snapshot_state import DonePiece, SnapshotState

if TYPE_CHECKING:
    from ..dataset.repository import Repository


class Snapshot(NamedTuple):
    """A finished snapshot. CIDs are in hex; ``manifest`` and ``piece`` are of its last piece."""

    number: int
    version: str
    annex: str
    root: str
    manifest: str
    piece: str
    size: int
    pieces: int
    bundle: Bundle | None = None


def folder_of(repository: Repository) -> bytes:
    """Where it is noted what was packed of a data set."""
    return os.path.join(repository.annex_dir, b"hold-archive")


class ArchiveFolder:
    """The folder of an archive, locked by whoever plans or packs."""

    def __init__(self, folder: bytes) -> None:
        self.folder = folder
        self.index = KnownIndex(folder + b"/index")
        self.snapshots = self._read()

    @property
    def next_number(self) -> int:
        """The number of the snapshot that is being made, or will be."""
        return len(self.snapshots)

    @property
    def next_folder(self) -> bytes:
        """The folder of that snapshot."""
        return self.folder + b"/snapshot-%d" % self.next_number

    @property
    def begun(self) -> Plan | None:
        """The plan of the snapshot that is being made, if it is planned."""
        path = self.next_folder + b"/plan"
        return Plan(path) if os.path.exists(path) else None

    @property
    def has_packed(self) -> bool:
        """Whether something of the snapshot that is being made is packed, not planned alone."""
        try:
            return os.stat(self.next_folder + b"/cids").st_size > 0
        except FileNotFoundError:
            return False

    @property
    def bundles(self) -> list[Bundle]:
        """The bundles of all snapshots that have one."""
        return [snapshot.bundle for snapshot in self.snapshots if snapshot.bundle is not None]

    def path_of(self, bundle: Bundle) -> bytes:
        """Where the file of a bundle is, of this snapshot or of one before."""
        name = bundle.name.encode()
        return self.folder + b"/snapshot-%d/" % int(name.partition(b".")[0]) + name

    @property
    def prev(self) -> tuple[PrevRef, ...]:
        """What the next manifests say of earlier snapshots."""
        return tuple(
            PrevRef(
                Cid(bytes.fromhex(snapshot.manifest)), bytes.fromhex(snapshot.piece), snapshot.size
            )
            for snapshot in self.snapshots[: -PREV_MAX - 1 : -1]
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the archive alone.

        Raises:
            PlaceUnavailableError: Another process has it.
        """
        os.makedirs(self.folder, exist_ok=True)
        with locks.exclusive(self.folder + b"/lock", wait_s=0):
            self.snapshots = self._read()
            yield

    def forget_begun(self) -> None:
        """Remove what is noted of the snapshot being made."""
        self.forget(self.next_number)

    def forget(self, number: int) -> None:
        """Remove what is noted of a snapshot that was begun, as another one has its number."""
        import shutil  # late: it loads much, and most snapshots are forgotten by nobody

        shutil.rmtree(self.folder + b"/snapshot-%d" % number, ignore_errors=True)

    def note(self, name: str, new: list[Snapshot]) -> None:
        """Note snapshots that were packed elsewhere, and what the archive is called."""
        self.keep_name(name)
        self._write([*self.snapshots, *new])

    @property
    def name(self) -> str:
        """What manifests call the archive, if that is noted; else empty."""
        try:
            with open(self.folder + b"/name", encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def keep_name(self, name: str) -> None:
        """Note what manifests call it."""
        path = self.folder + b"/name"
        with open(path + b".part", "w", encoding="utf-8") as file:
            file.write(name)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + b".part", path)

    def has_plan(self, number: int) -> bool:
        """Whether a snapshot was packed here: the plan of it is here."""
        return os.path.exists(self.folder + b"/snapshot-%d/plan" % number)

    def finish(self, plan: Plan, root: Cid, state: SnapshotState, bundle: Bundle | None) -> None:
        """Note a snapshot that is packed: where its content stands, then that it is there."""
        with SortedSpill(self.folder) as rows:
            for some in _iter_rows(plan, state):
                rows.update(some)
            self.index.add(rows)
        last = state.pieces[-1]
        head = plan.head
        snapshot = Snapshot(
            head.snapshot, head.version, head.annex, root.hex(), last.manifest.hex(),
            last.cid.hex(), last.size, len(state.pieces), bundle,
        )  # fmt: skip
        self._write([*self.snapshots, snapshot])

    def pieces_of(self, number: int) -> list[DonePiece]:
        """The pieces of a snapshot."""
        state = SnapshotState(self.folder + b"/snapshot-%d" % number)
        try:
            return state.pieces
        finally:
            state.close()

    def _read(self) -> list[Snapshot]:
        path = self.folder + b"/snapshots"
        try:
            with open(path, encoding="ascii") as file:
                return [_read_snapshot(json.loads(line)) for line in file]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError) as error:
            raise faults.ARCHIVE_STATE(path=os.fsdecode(path), detail=str(error)) from None

    def _write(self, snapshots: list[Snapshot]) -> None:
        path = self.folder + b"/snapshots"
        with open(path + b".part", "w", encoding="ascii") as file:
            for snapshot in snapshots:
                file.write(json.dumps(_value_of(snapshot)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + b".part", path)
        self.snapshots = snapshots


def _value_of(snapshot: Snapshot) -> dict[str, Any]:
    bundle = snapshot.bundle
    return snapshot._asdict() | {"bundle": None if bundle is None else bundle._asdict()}


def _read_snapshot(value: dict[str, Any]) -> Snapshot:
    bundle = value.pop("bundle")
    if bundle is not None:
        bundle = Bundle(**bundle | {"needs": tuple(bundle["needs"])})
    return Snapshot(bundle=bundle, **value)


def _iter_rows(plan: Plan, state: SnapshotState) -> Iterator[Iterable[bytes]]:
    """The rows of the index, some at a time, of what is written and has a name for its bytes."""
    piece, snapshot = 0, plan.head.snapshot
    for record in plan.in_runs():
        if isinstance(record, PieceRecord):
            piece += 1
        elif isinstance(record, RunRecord):
            identities = identities_of(record.kinds, record.keys, record.sources)
            if any(identities):
                lengths = record.lengths
                cids = state.cids(record.number, len(lengths))
                offsets = accumulate(lengths[:-1], initial=record.offset)
                yield encode_rows(identities, cids, record.sizes, snapshot, piece, offsets, lengths)
        elif isinstance(record, FileRecord | FolderRecord) and record.ref is None:
            yield _row_of(record, state, snapshot, piece)


def _row_of(
    record: FileRecord | FolderRecord, state: SnapshotState, snapshot: int, piece: int
) -> Iterator[bytes]:
    if isinstance(record, FolderRecord):
        identity, size, start = record.identity, 0, 0
    elif record.is_end:
        identity = identity_of(record.path, record.kind, record.key, record.source)
        size, start = record.size, record.start
    else:
        return
    if identity:
        cid = state.cid(record.number)
        offset, length = record.offset, record.length
        yield encode_row(KnownRow(identity, cid, size, snapshot, piece, offset, length, start))
