"""A version of a data set, as what a snapshot is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ..core import faults
from ..core.paths import is_within
from ..dataset.branch import branch_tip
from ..dataset.git import hex_oid
from ..dataset.ledger import Ledger
from ..dataset.objects import Objects
from ..dataset.repository import Repository
from ..wire.archive_rows import RowKind
from .archive_folder import ArchiveFolder
from .bundles import make_bundle, needs_of_next, read_refs, refs_of
from .contents import SourceFault
from .dataset_entries import DatasetSources, iter_version
from .entries import Entry, FileRun
from .in_the_clear import InTheClear, now
from .own_files import with_own
from .passed_over import PassedOver, data_sets_inside
from .plan_file import Plan
from .plan_records import BundlePlan, PlanHead


class DatasetSource(InTheClear):
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
        top = os.path.realpath(repository.top)
        if repository.bare or not is_within(path, top) or is_within(path, repository.git_dir):
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
            archive.name or self.identity, archive.next_number, now(), version, _as_text(branch),
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
        return with_own(self.entries(archive, head), archive, head)

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


def _as_text(name: str) -> str:
    """A name, if it can be in a manifest; else nothing: the bundle has it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ""
    return name
