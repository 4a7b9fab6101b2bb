"""A data set or plain folder as an encrypted snapshot: to all that packs it a folder of age files.

Below ``files/``: ``data/SCOPE/FOLDER/NAME.age`` for each content, ``git/NNNN.bundle.age`` for
history, ``names/SCOPE.age`` for what is where. Lists and bundles are encrypted when it is planned,
and are beside the plan; contents when they are read (`sealed_contents`).
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterator

from ..core import faults
from ..wire.tree_layout import tree_order
from .archive_folder import ArchiveFolder
from .contents import FILES, SourceFault, is_sealed
from .entries import OF_STATE, Entry
from .own_files import chain, own_readme
from .passed_over import PassedOver
from .plan_file import Plan
from .plan_records import FileRecord, PlanHead
from .scopes import DATASET
from .sealable import Sealable
from .sealed_contents import SealedSources, sealed_from
from .sealed_listing import Listing
from .sealed_lost import LOST, LOST_NAME, own_entry, read_lost, seal_lost
from .sealed_names import (
    History,
    NamedBundle,
    ScopeHead,
)
from .sealing import Sealing
from .seals import SALT_SIZE, Seal, seal_file


class SealedSource:
    """A version of a data set, or a folder, encrypted."""

    is_sealed = True

    def __init__(self, plain: Sealable, sealing: Sealing) -> None:
        """``plain`` has a history in archives of one scope alone, see decision 34."""
        self._plain = plain
        self._sealing = sealing

    @property
    def plain(self) -> Sealable:
        """What it encrypts."""
        return self._plain

    @property
    def sealing(self) -> Sealing:
        """What it is encrypted with."""
        return self._sealing

    @property
    def passed_over(self) -> PassedOver:
        """What is not packed of it."""
        return self._plain.passed_over

    def refuse_within(self, path: bytes) -> None:
        """Refuse a folder for pieces whose files would be packed themselves.

        Raises:
            UsageError: It is one.
        """
        self._plain.refuse_within(path)

    def check_begun(self, archive: ArchiveFolder, plan: Plan) -> None:
        """There is nothing to choose."""

    def is_outdated(self, plan: Plan) -> bool:
        """As what it encrypts; or it was planned in the clear."""
        return not plan.head.is_sealed or self._plain.is_outdated(plan)

    def head(self, archive: ArchiveFolder, piece_size: int) -> PlanHead:
        """What the next snapshot is of; makes its bundle, encrypted.

        Raises:
            AccessError: The key of all that has none of its own is not at hand.
        """
        self._sealing.have_key(DATASET)
        head = self._plain.head(archive, piece_size)._replace(is_sealed=True)
        self._seal = Seal.begin(os.urandom(SALT_SIZE), self._sealing.keys, self._sealing.use)
        number = self._seal.number(DATASET)
        bundles = []
        for bundle in head.bundles:
            name = bundle.path.rpartition("/")[2]
            path = os.path.join(archive.next_folder, name.encode())
            seal_file(self._seal.fresh_head(number), path, path + b".age")
            os.unlink(path)
            bundles.append(bundle._replace(path=f"files/git/{name}.age"))
        return head._replace(bundles=tuple(bundles))

    def framed(self, archive: ArchiveFolder, head: PlanHead) -> Iterator[Entry]:
        """All files of the snapshot, in tree order.

        Raises:
            AccessError: The key of a scope is not at hand.
            UsageError: A name cannot be in an archive.
        """
        yield own_readme(archive, head, [])
        yield Entry(FILES[:-1], None, 0, 0)
        with Listing(archive, self._seal, self._sealing, self._plain) as listing:
            for what in self._plain.entries(archive, head):
                listing.take(what)
            listing.seal_names(self._dataset_head(archive, head))
            yield from listing.objects()
            for bundle in chain(archive, head):
                path, source = b"files/git/" + bundle.name.encode(), OF_STATE + bundle.name
                yield own_entry(path, source, bundle.size)
            yield from listing.names

    def _dataset_head(self, archive: ArchiveFolder, head: PlanHead) -> ScopeHead:
        if not self._plain.has_history:
            return ScopeHead(DATASET)
        bundles = tuple(
            NamedBundle(bundle.name, tuple(bundle.needs), bundle.version, bundle.annex)
            for bundle in chain(archive, head)
        )
        return ScopeHead(DATASET, History(head.version, head.branch, head.annex, bundles))

    def sources(self, state_folder: bytes) -> SealedSources:
        """Where the bytes of a snapshot come from."""
        seal = Seal.read(state_folder, self._sealing.keys, self._sealing.use)
        return SealedSources(self._plain.sources(state_folder), seal, self._plain.is_as_planned)

    def instead_of(self, state_folder: bytes, fault: SourceFault) -> Entry | None:
        """Nothing: the list of what is lost says so (`amended`)."""
        record = fault.record
        if not is_sealed(record) or not sealed_from(record.source).key:
            raise faults.ARCHIVE_STATE(
                path=os.fsdecode(state_folder), detail=f"{self.shown(record).path!r}: {fault.why}"
            )
        about, plain = sealed_from(record.source), self.sources(state_folder).plain_record(record)
        row = self._plain.lost_row(state_folder, plain, fault.why)
        row = row._replace(path=os.fsencode(about.path))
        assert record.key is not None
        lost = [*read_lost(state_folder), [about.scope, record.key.decode(), list(row)]]
        temporary = state_folder + LOST + b".part"
        with open(temporary, "wb") as file:
            marshal.dump(lost, file, 4)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, state_folder + LOST)
        return None

    def amended(self, state_folder: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Entries without the contents that were lost, and with lists of them after the names.

        No content is encrypted twice under one key: what was another one is in this snapshot under
        no path.
        """
        lost = read_lost(state_folder)
        seal = self.sources(state_folder).seal
        names = {name for _, name, _ in lost}
        lists = list(seal_lost(state_folder, seal, lost))
        for entry in entries:
            if entry.source.startswith(OF_STATE + LOST_NAME):
                continue
            while lists and tree_order(lists[0].path) < tree_order(entry.path):
                yield lists.pop(0)
            if entry.key is None or entry.key.decode() not in names:
                yield entry
        yield from lists

    def shown(self, record: FileRecord) -> FileRecord:
        """The file that a record is of, as people know it."""
        if not is_sealed(record):
            return record
        about = sealed_from(record.source)
        return record._replace(path=os.fsencode(about.path), key=os.fsencode(about.key) or None)
