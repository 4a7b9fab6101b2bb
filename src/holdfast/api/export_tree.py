"""Exporting a version's tree of files to a place that holds one, by what differs from the last.

What is begun is written down first, and what is there once it is there, in the words of git-annex:
either goes on where the other was stopped. A file is replaced in one step. What is to go is removed
last, and never what may be the last copy.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from ..core import faults
from ..core.abilities import Content, TreeStore, VersionedTree
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.names import way_out
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import Place, PlaceId, Trust
from ..core.progress import Progress, Silence
from ..dataset import content_facts, locks
from ..dataset.annexed import TrackedFile
from ..dataset.export_tree import (
    ExportedFile,
    Keep,
    make_tree,
    track,
    write_begun,
    write_finished,
    write_locations,
)
from ..dataset.key_notes import KeyNotes
from ..dataset.ledger_write import now
from ..dataset.versions import commit_of
from ..dataset.wanting import Wanting
from ..stores.s3_public import VERSION_FIELD
from ..stores.special import open_tree
from ..transfer.outgoing import LocalContent, MemoryContent
from ..transfer.plan_export import Rename, in_the_way
from ..wire.branch_paths import place_metadata_log
from ..wire.exports import Exported
from ..wire.metadata import Change, set_metadata
from .datasets import Dataset
from .export_survey import Survey
from .special import config_of, special_remote

_BLOCK = 4096
_ACTION = "export"


def iter_export_tree(
    dataset: Dataset, place: str, *, version: str = "HEAD", progress: Progress | None = None
) -> Iterator[Outcome]:
    """Make a place hold the files of a version; telling of each file that changes there.

    Content is checked as it is read. Content that is not here is told of, all else is exported,
    and the same call later brings the rest. What was begun by a run that was killed is gone on
    with, by this version or another.

    Raises:
        NotFoundError: There is no such place or version.
        PolicyError: The place holds no tree, or was not approved.
        PlaceUnavailableError: It cannot be reached; what is there is as the next run expects it.
    """
    dataset.repository.check_writable()
    commit = commit_of(dataset.repository, version)
    with _opened(dataset, place) as (store, notes), _alone(dataset, store.place):
        dataset.forget()
        tree = make_tree(dataset.repository, commit, _keep(dataset, store.place))
        run = _Export(dataset, store, notes, tree, progress or Silence())
        yield from run.iter_outcomes()
    branch = _branch_of(dataset, version)
    if run.is_whole and branch is not None:
        track(dataset.repository, store.place.name, branch, commit)


class _Export:
    """One export of a tree to a place."""

    def __init__(
        self,
        dataset: Dataset,
        store: TreeStore,
        notes: KeyNotes,
        tree: bytes,
        progress: Progress,
    ) -> None:
        self._dataset = dataset
        self._notes = notes
        self._repository = dataset.repository
        self._store = store
        self._place = store.place
        self._tree = tree
        self._progress = progress
        self._survey = Survey(dataset, store, tree)
        self._failed: set[Key] = set()
        """Keys that could not be sent: what there is of them there stays."""
        self.is_whole = True
        self._may_finish = True

    def iter_outcomes(self) -> Iterator[Outcome]:
        """Do it all."""
        if len(self._survey.before.done) > 1:
            note = "several clones exported different trees; this one takes their place"
            yield Outcome(_ACTION, Status.OK, note=note)
        survey = self._survey
        lacking = survey.find_lacking()
        for file in lacking:
            _check_name(file)
        renames = survey.plan_renames(lacking)
        moved = {rename.new.path for rename in renames}
        sources = {rename.old for rename in renames}
        survey.kept |= {rename.new.key for rename in renames}
        missing = [f for f in lacking if f.path not in moved and survey.is_missing(f)]
        absent = {f.path for f in missing}
        puts = [f for f in lacking if f.path not in moved and f.path not in absent]
        gone = [path for path in survey.claims.gone if path not in sources]
        gone += [f.path for f in missing if survey.claims.there.get(f.path)]
        # What may be the last copy of something stays, under its name.
        refused = survey.unsafe([*gone, *(f.path for f in puts)])
        gone = [path for path in gone if path not in refused]
        puts = [f for f in puts if f.path not in refused]
        yield from self._carry_out(renames, puts, missing, gone, refused)

    # the work

    def _carry_out(
        self, renames: Sequence[Rename], puts: Sequence[ExportedFile],
        missing: Sequence[ExportedFile], gone: Sequence[bytes], refused: set[bytes],
    ) -> Iterator[Outcome]:  # fmt: skip
        is_new = self._survey.before != Exported((self._tree,))
        if is_new or renames or puts or gone:
            write_begun(self._repository, self._place.id, self._tree, self._leaving(refused))
        self._progress.start(len(renames) + len(puts) + len(gone), sum(self._size(f) for f in puts))
        try:
            blocking = in_the_way(self._survey.claims)
            yield from self._remove([path for path in gone if path in blocking])
            yield from self._rename(renames)
            yield from self._put(puts)
            yield from self._remove([path for path in gone if path not in blocking])
            yield from map(self._told_missing, missing)
            yield from map(self._told_refused, sorted(refused))
        except BaseException:
            self._may_finish = False
            raise
        finally:
            self._progress.stop()
            self._record(is_new=is_new or bool(renames or puts or gone))
        if not (renames or puts or missing or gone or refused):
            note = f"{self._place.label} holds this tree"
            yield Outcome(_ACTION, Status.NOT_NEEDED, note=note)

    def _leaving(self, refused: set[bytes]) -> list[Key]:
        held = {f.key for path in refused for f in self._survey.claims.there.get(path, ())}
        leaving = self._survey.has - self._survey.staying - held
        return sorted(leaving - self._survey.versioned(leaving))

    def _rename(self, renames: Sequence[Rename]) -> Iterator[Outcome]:
        lost: list[ExportedFile] = []
        for rename in renames:
            try:
                self._store.rename(rename.old, rename.new.path)
            except NotFoundError:
                # Somebody took it away; it is sent as if it had never been there.
                lost.append(rename.new)
                continue
            self._arrived(rename.new)
            self._progress.advance(1, 0)
            yield self._told(rename.new, f"renamed from {os.fsdecode(rename.old)}")
        yield from map(self._told_missing, filter(self._survey.is_missing, lost))
        yield from self._put([f for f in lost if not self._survey.is_missing(f)])

    def _put(self, files: Sequence[ExportedFile]) -> Iterator[Outcome]:
        if not files:
            return
        by_path = {f.path: f for f in files}
        vanished: list[ExportedFile] = []
        for path, error in self._store.iter_put(self._contents(files, vanished), self._moved):
            file = by_path[path]
            if error is None:
                self._arrived(file)
            else:
                self._failed.add(file.key)
                self.is_whole = self._may_finish = False
            self._progress.advance(1, 0)
            yield self._told(file, error=error)
        for file in vanished:
            self._failed.add(file.key)
            self._may_finish = False
            yield self._told_missing(file)

    def _contents(
        self, files: Sequence[ExportedFile], vanished: list[ExportedFile]
    ) -> Iterator[tuple[bytes, Content]]:
        for file in files:
            if file.in_git:
                yield file.path, self._blob(file)
                continue
            found = self._dataset.objects.content_path(file.key)
            if found is None:  # dropped meanwhile
                vanished.append(file)
            else:
                yield file.path, LocalContent(file.key, found)

    def _blob(self, file: ExportedFile) -> Content:
        answer = self._repository.git.objects.read(file.oid)
        if answer is None:
            message = f"{file.oid.decode()} is missing"
            raise faults.GIT_FAILED(command="cat-file", message=message)
        return MemoryContent(answer[1])

    def _remove(self, paths: Sequence[bytes]) -> Iterator[Outcome]:
        there = self._survey.claims.there
        rest = (p for p in paths if self._failed.isdisjoint(f.key for f in there[p]))
        while block := list(islice(rest, _BLOCK)):
            self._store.remove_files(block)
            for path in block:
                self._progress.advance(1, 0)
                name = os.fsdecode(path)
                note = f"removed from {self._place.label}"
                if self._survey.claims.wanted.get(path) is None:
                    yield Outcome(_ACTION, Status.OK, name, note=note)

    def _record(self, *, is_new: bool) -> None:
        # Which version it is has to be known before that it is there.
        self._notes.finish()
        if is_new and self._may_finish:
            write_finished(
                self._repository, self._place.id, self._tree, self._survey.before, self._survey.came
            )
        elif self._survey.came:
            write_locations(self._repository, self._place.id, self._survey.came, present=True)
        self._dataset.forget()

    # parts

    def _arrived(self, file: ExportedFile) -> None:
        if isinstance(self._store, VersionedTree):
            version = self._store.take_version(file.path)
            if version is not None:
                self._note_version(file.key, version)
        if not file.in_git:
            self._survey.came.append(file.key)

    def _note_version(self, key: Key, version: bytes) -> None:
        change = Change(f"{self._place.id}:{VERSION_FIELD}", version, added=True)
        moment = now()
        self._notes.edit(place_metadata_log, key, lambda old: set_metadata(old, [change], moment))

    def _moved(self, size: int) -> None:
        self._progress.advance(0, size)

    def _size(self, file: ExportedFile) -> int:
        return self._survey.sizes.get(file.key) or file.key.size or 0

    def _told(self, file: ExportedFile, note: str = "", error: HoldError | None = None) -> Outcome:
        status = Status.OK if error is None else Status.ERROR
        key = None if file.in_git else file.key
        note = note if error is None else error.why
        return Outcome(_ACTION, status, os.fsdecode(file.path), key, file.key.size, note, error)

    def _told_missing(self, file: ExportedFile) -> Outcome:
        self.is_whole = False
        if file.key in self._survey.has:
            # The ledger would say of this tree that the content is there, under this name, too.
            self._may_finish = False
        path, label = os.fsdecode(file.path), self._place.label
        error = faults.MISSING_FOR_EXPORT(path=path, place=label, quoted=shlex.quote(path))
        return self._told(file, error=error)

    def _told_refused(self, path: bytes) -> Outcome:
        self.is_whole = self._may_finish = False
        name, key = os.fsdecode(path), self._survey.claims.there[path][0].key
        error = faults.LAST_COPY_THERE(path=name, place=self._place.label, key=key.text)
        return Outcome(_ACTION, Status.IMPOSSIBLE, name, key, note=error.why, error=error)


def _check_name(file: ExportedFile) -> None:
    """Refuse names that lead out of where they are put.

    Raises:
        UsageError: This is one.
    """
    why = way_out(file.path)
    if why:
        raise faults.UNSAFE_NAME(path=os.fsdecode(file.path), detail=why)


@contextmanager
def _opened(dataset: Dataset, name: str) -> Iterator[tuple[TreeStore, KeyNotes]]:
    """The place that is called so, by remote name or UUID, ready to be changed; what it notes."""
    remotes = dataset.repository.config.sections("remote")
    called = {s["annex-uuid"]: n for n, s in remotes.items() if s.get("annex-uuid")}
    found = name if name in called.values() else called.get(name)
    if found is None:
        known = ", ".join(sorted(called.values())) or "none"
        raise faults.NO_SUCH_PLACE(place=name, known=known)
    local = remotes[found]
    uuid = PlaceId(local["annex-uuid"])
    place = Place(uuid, found, dataset.ledger.trust.get(uuid, Trust.SEMITRUSTED))
    state = local.get("annex-verified", "verified")
    if state != "verified":
        raise faults.PLACE_UNVERIFIED(place=found, state=state)
    notes = KeyNotes(dataset.repository, dataset.ledger)
    config = config_of(dataset, local, place)
    store = open_tree(special_remote(dataset, place, config, local, notes))
    try:
        yield store, notes
    finally:
        store.close()


@contextmanager
def _alone(dataset: Dataset, place: Place) -> Iterator[None]:
    """No other run of ours exports from this clone to the place meanwhile."""
    path = dataset.repository.annex_dir + b"/hold-export-" + place.id.encode() + b".lck"
    with locks.exclusive(path):
        yield


def _keep(dataset: Dataset, place: Place) -> Keep:
    """Which files a place wants; all, when nothing is said of it."""
    wanting = Wanting(dataset.repository, dataset.ledger)
    if place.id not in wanting.preferred:
        return lambda _file: True

    def keep(file: TrackedFile) -> bool:
        if file.key is None:  # what is in git is exported whatever is wanted, as git-annex does
            return True
        places = dataset.ledger.locations([file.key]).get(file.key, [])
        return wanting.wants(place.id, content_facts.Content(file.key, file.path, places))

    return keep


def _branch_of(dataset: Dataset, version: str) -> str | None:
    """The branch a version was named by; None when it was named otherwise."""
    if version == "HEAD":
        head = dataset.repository.head_ref
        return head.removeprefix("refs/heads/") if head else None
    ref = f"refs/heads/{version.removeprefix('refs/heads/')}"
    git = dataset.repository.git
    known = git.line("rev-parse", "--verify", "--quiet", ref) is not None
    return ref.removeprefix("refs/heads/") if known else None


def export_tree(dataset: Dataset, place: str, **options: object) -> Report:
    """Export a version's tree; see `iter_export_tree`.

    Raises:
        IncompleteError: Not all of it is there.
    """
    return complete(iter_export_tree(dataset, place, **options))  # type: ignore[arg-type]
