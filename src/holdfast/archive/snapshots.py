"""Snapshots of a data set or a plain folder: planned whole, then packed; resumed when stopped."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from ..core import faults
from ..core.place import new_uuid
from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..dataset.branch import branch_tip
from ..dataset.git import hex_oid
from ..dataset.ledger import Ledger
from ..dataset.objects import Objects
from ..dataset.repository import Repository
from ..wire.archive_rows import RowKind
from ..wire.piece import Kernel
from .archive_folder import ArchiveFolder
from .bundles import Bundle, chain_of, make_bundle, needs_of_next, read_refs, refs_of
from .contents import SourceFault, Sources
from .dataset_entries import DatasetSources, iter_version
from .entries import OF_STATE, Entry, FileRun, identity_of
from .folder_entries import FolderSources, iter_folder
from .packing import Packer
from .passed_over import PassedOver, data_sets_inside, without_content
from .plan_file import Plan, write_plan
from .plan_records import BundlePlan, FileRecord, PlanHead
from .planning import plan_pieces
from .readme import readme
from .repeats import iter_steps
from .replanning import replan
from .snapshot_state import DonePiece, SnapshotState

if TYPE_CHECKING:
    from .images import SnapshotImage
    from .piece_sending import Sent

_OTHER_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening a file says where it is gone, or something else is there."""

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
                archive.finish(plan, packer.root, state, _new_bundle(archive, plan.head))
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


def chain(archive: ArchiveFolder, head: PlanHead) -> list[Bundle]:
    """The bundles that lead to the version, the one of this snapshot last."""
    new = _new_bundle(archive, head)
    return chain_of([*archive.bundles, *([new] if new else [])])


def _new_bundle(archive: ArchiveFolder, head: PlanHead) -> Bundle | None:
    if not head.bundles:
        return None
    [bundle] = head.bundles
    name = bundle.path.rpartition("/")[2]
    found = Bundle(name, bundle.needs, bundle.version, bundle.annex, 0)
    return found._replace(size=os.stat(archive.path_of(found)).st_size)


def own_readme(archive: ArchiveFolder, head: PlanHead, bundles: Sequence[str]) -> Entry:
    """The README.txt of a snapshot; it is written now."""
    text = readme(head, bundles)
    _write(archive.next_folder + b"/README.txt", text)
    source = OF_STATE + "README.txt"
    return Entry(b"README.txt", RowKind.PLAIN, 0o100644, len(text), None, source)


def _with_own(
    entries: Iterable[Entry | FileRun], archive: ArchiveFolder, head: PlanHead
) -> Iterator[Entry | FileRun]:
    """The files of a version, between what the archive adds to them."""
    bundles = chain(archive, head)
    yield own_readme(archive, head, [bundle.name for bundle in bundles])
    yield from entries
    for bundle in bundles:
        path, source = b"git/" + bundle.name.encode(), OF_STATE + bundle.name
        identity = identity_of(path, RowKind.PLAIN, None, source)
        yield Entry(path, RowKind.PLAIN, 0o100644, bundle.size, None, source, identity)


class _InTheClear:
    """What is the same of sources that are not encrypted."""

    is_sealed = False

    def amended(self, state_folder: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
        """As they are."""
        return entries

    def shown(self, record: FileRecord) -> FileRecord:
        """As it is."""
        return record


def _write(path: bytes, text: bytes) -> None:
    with open(path, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _as_text(name: str) -> str:
    """A name, if it can be in a manifest; else nothing: the bundle has it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ""
    return name


def _is_within(path: bytes, folder: bytes) -> bool:
    return (path + b"/").startswith(folder.rstrip(b"/") + b"/")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class DatasetSource(_InTheClear):
    """A version of a data set."""

    def __init__(
        self,
        repository: Repository,
        objects: Objects,
        ledger: Callable[[], Ledger],
        version: str,
        *,
        branches: bool = False,
        has_history: bool = True,
    ) -> None:
        """``version`` is a commit; with ``branches``, history is that of all branches."""
        self._has_history = has_history
        self._repository = repository
        self._objects = objects
        self._ledger = ledger
        self._version = version
        self._branches = branches

    @property
    def repository(self) -> Repository:
        """The repository of the data set."""
        return self._repository

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder of the work tree, where git does not ignore what is in it.

        Raises:
            UsageError: It is one.
        """
        repository, path = self._repository, os.path.realpath(path)
        top, own = os.path.realpath(repository.top), os.path.realpath(repository.git_dir)
        if repository.bare or not _is_within(path, top) or _is_within(path, own):
            return
        # It takes no literal paths; behind a dot nothing in them means anything.
        piece = b"./" + os.path.join(path[len(top) + 1 :], b"bafkzcib.car")
        code, _, _ = repository.git.ask(
            "check-ignore", "--quiet", "--stdin", "-z", data=piece + b"\0",
            environment={"GIT_LITERAL_PATHSPECS": "0"},
        )  # fmt: skip
        if code:
            raise faults.ARCHIVE_IN_WORK_TREE(path=os.fsdecode(path))

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """Refuse to go on with a snapshot that has no other branches, where they are wished."""
        if not self._branches:
            return
        [bundle] = plan.head.bundles or (None,)
        path = b"" if bundle is None else archive.next_folder + os.fsencode(f"/{bundle.path[4:]}")
        head = plan.head
        refs = refs_of(self._repository, head.version, head.branch, head.annex, branches=True)
        if {ref.name for ref in refs} - {ref.name for ref in read_refs(path)}:
            detail = f"snapshot {head.snapshot} is begun without --branches"
            raise faults.ARCHIVE_STATE(path=os.fsdecode(archive.next_folder), detail=detail)

    def is_outdated(self, plan: Plan) -> bool:
        """Whether it is of another version, or of what was known of content before."""
        return (plan.head.version, plan.head.annex) != (self._version, self._annex())

    def _annex(self) -> str:
        tip = branch_tip(self._repository)
        return hex_oid(tip).decode() if tip else ""

    def _branch(self) -> str:
        """The branch that is checked out, as refs have it; empty for none."""
        # Not as git shortens it: with a tag of the same name it puts heads/ before.
        ref = self._repository.git.line("symbolic-ref", "--quiet", "HEAD") or b""
        return os.fsdecode(ref.removeprefix(b"refs/heads/"))

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; makes its bundle, if a commit or a tag is new."""
        version, annex, branch = self._version, self._annex(), self._branch()
        refs = refs_of(self._repository, version, branch, annex, branches=self._branches)
        bundles: tuple[BundlePlan, ...] = ()
        earlier = archive.bundles
        before = read_refs(archive.path_of(earlier[-1])) if earlier else []
        is_new = refs != before
        if earlier and not before:  # an encrypted bundle does not say
            is_new = (earlier[-1].version, earlier[-1].annex) != (version, annex)
        if self._has_history and is_new:
            needs = needs_of_next(self._repository, earlier, before)
            name = f"{archive.next_number:04}.bundle"
            make_bundle(self._repository, archive.next_folder + b"/" + name.encode(), refs, needs)
            bundles = (BundlePlan(f"git/{name}", needs, version, annex),)
        return PlanHead(
            archive.name or self.identity, archive.next_number, _now(), version, _as_text(branch),
            annex,
            piece_size=piece_size, prev=archive.prev, bundles=bundles,
        )  # fmt: skip

    @property
    def passed_over(self) -> PassedOver:
        """The data sets inside it, which are not packed."""
        return data_sets_inside(self._repository, self._version)

    @property
    def identity(self) -> str:
        """What manifests call an archive of this data set, if it begins here."""
        place = f"{self._version}:.datalad/config"
        code, found, _ = self._repository.git.ask("config", "--blob", place, "datalad.dataset.id")
        text = found.decode("utf-8", "replace").strip()
        return text if not code and text else str(self._repository.here)

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """The files of the version, README.txt and history."""
        return _with_own(self.entries(archive, head), archive, head)

    def entries(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """The files of the version."""
        return iter_version(
            self._repository, self._objects, self._ledger(), archive.index, head.version,
            archive.folder,
        )  # fmt: skip

    def sources(self, state_folder: bytes) -> DatasetSources:
        """Where their bytes come from."""
        return DatasetSources(self._repository, self._objects, self._ledger(), state_folder)

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """What git has in the place of content that is damaged or gone."""
        record = fault.record
        if record.kind is not RowKind.ANNEXED:
            name = record.path.decode("utf-8", "replace")
            raise faults.ARCHIVE_STATE(
                path=os.fsdecode(state_folder), detail=f"{name}: {fault.why}"
            )
        return self.sources(state_folder).instead_of(record, fault.why)


class FolderSource(_InTheClear):
    """A plain folder."""

    def __init__(self, folder: bytes, leave_out: bytes) -> None:
        """``leave_out`` is a folder in it that is not packed."""
        self._passed_over = without_content()
        self._folder = folder
        self._leave_out = leave_out

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder to write to that is packed itself.

        Raises:
            UsageError: It is in the folder.
        """
        if _is_within(os.path.realpath(path), self._folder):
            raise faults.ARCHIVE_WITHIN(path=os.fsdecode(path))

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """There is nothing to choose."""

    def is_outdated(self, plan: Plan) -> bool:
        """Nobody tells when a file of a folder changes."""
        return True

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; an archive keeps the name it got first."""
        name = archive.name
        if not name:
            name = new_uuid()
            archive.keep_name(name)
        return PlanHead(name, archive.next_number, _now(), piece_size=piece_size, prev=archive.prev)

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry | FileRun]:
        """All of its files, and README.txt."""
        return _with_own(self._found(), archive, head)

    def _found(self) -> Iterator[Entry | FileRun]:
        self._passed_over = without_content()
        return iter_folder(self._folder, self._leave_out, self._passed_over.add)

    @property
    def passed_over(self) -> PassedOver:
        """What was left out when it was gone through last."""
        return self._passed_over

    def sources(self, state_folder: bytes) -> FolderSources:
        """Where their bytes come from."""
        return FolderSources(self._folder, state_folder)

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """The file as it is now; nothing for one that is gone.

        Raises:
            HoldError: It is there, and cannot be read.
        """
        record = fault.record
        path = self.sources(state_folder).path_of(record)
        try:
            seen = os.lstat(path)
            size = seen.st_size
            if record.kind is RowKind.SYMLINK:
                size = len(os.readlink(path))
            elif not stat.S_ISREG(seen.st_mode):
                return None
        except OSError:
            return None
        cause = fault.__cause__
        if isinstance(cause, OSError) and cause.errno not in _OTHER_FILE:
            raise as_fault(cause, os.fsdecode(path), reading=True)
        return Entry(record.path, record.kind, seen.st_mode, size, None, record.source)
