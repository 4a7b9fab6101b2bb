"""Exporting a version's tree of files to a place that holds one, by what differs from the last.

What is begun is written down first, and what is there once it is there, in the words of git-annex:
either goes on where the other was stopped. A file is replaced in one step; what is to go is removed
when all else is there, and never the last copy that is known of.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from ..core import faults
from ..core.abilities import Content, TreeStore
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
    empty_tree,
    iter_changed,
    iter_exported,
    make_tree,
    sizes_of,
    track,
    write_begun,
    write_finished,
    write_locations,
)
from ..dataset.key_notes import KeyNotes
from ..dataset.versions import commit_of
from ..dataset.wanting import Wanting
from ..stores.special import open_tree
from ..transfer.outgoing import LocalContent
from ..transfer.plan_export import Claims, Rename, in_the_way, plan_renames
from ..wire.branch_paths import EXPORT_LOG
from ..wire.exports import Exported, parse_exported
from .datasets import Dataset
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
    with _opened(dataset, place) as store, _alone(dataset, store.place):
        dataset.forget()
        tree = make_tree(dataset.repository, commit, _keep(dataset, store.place))
        run = _Export(dataset, store, tree, progress or Silence())
        yield from run.iter_outcomes()
    branch = _branch_of(dataset, version)
    if run.is_whole and branch is not None:
        track(dataset.repository, store.place.name, branch, commit)


class _Export:
    """One export of a tree to a place."""

    def __init__(self, dataset: Dataset, store: TreeStore, tree: bytes, progress: Progress) -> None:
        self._dataset = dataset
        self._repository = dataset.repository
        self._store = store
        self._place = store.place
        self._tree = tree
        self._progress = progress
        log = dataset.ledger.read(EXPORT_LOG)
        self._before: Exported = parse_exported(log, self._place.id)
        self._claims = Claims()
        self._sizes: dict[Key, int] = {}
        self._has: set[Key] = set()
        """Keys, of those that matter, that the place is said to have."""
        self._staying: set[Key] = set()
        """Keys that may lose a path, and are wanted under another."""
        self._kept: set[Key] = set()
        """Those of them that surely stay there."""
        self._came: list[Key] = []
        self.is_whole = True
        self._may_finish = True

    def iter_outcomes(self) -> Iterator[Outcome]:
        """Do it all."""
        if len(self._before.done) > 1:
            note = "several clones exported different trees; this one takes their place"
            yield Outcome(_ACTION, Status.OK, note=note)
        self._read_claims()
        lacking = self._find_lacking()
        for file in lacking:
            self._check_name(file)
        renames = self._plan_renames(lacking)
        moved = {rename.new.path for rename in renames}
        sources = {rename.old for rename in renames}
        self._kept |= {rename.new.key for rename in renames}
        missing = [f for f in lacking if f.path not in moved and self._is_missing(f)]
        absent = {f.path for f in missing}
        puts = [f for f in lacking if f.path not in moved and f.path not in absent]
        gone = [path for path in self._claims.gone if path not in sources]
        gone += [f.path for f in missing if self._claims.there.get(f.path)]
        # What may be the last copy of something stays, under its name.
        refused = self._unsafe([*gone, *(f.path for f in puts)])
        gone = [path for path in gone if path not in refused]
        puts = [f for f in puts if f.path not in refused]
        yield from self._carry_out(renames, puts, missing, gone, refused)

    # what is there, what is lacking

    def _read_claims(self) -> None:
        trees = [*self._before.done, *self._before.begun] or [empty_tree(self._repository)]
        for tree in dict.fromkeys(trees):
            if tree != self._tree:
                for before, after in iter_changed(self._repository, tree, self._tree):
                    self._claims.add(before, after)
        claimed = (f for files in self._claims.there.values() for f in files)
        self._sizes = sizes_of(self._repository, claimed)

    def _find_lacking(self) -> list[ExportedFile]:
        """The files of the tree that are not known, nor now seen, to be there under their names."""
        losing = self._claims.keys()
        self._has = {
            key
            for key, places in self._dataset.ledger.locations(losing).items()
            if self._place.id in places
        }
        lacking: list[ExportedFile] = []
        files = iter_exported(self._repository, self._tree)
        while block := list(islice(files, _BLOCK)):
            self._staying.update(f.key for f in block if f.key in losing)
            unchanged = [f for f in block if f.path not in self._claims.wanted]
            self._kept.update(f.key for f in unchanged if f.key in losing and f.key in self._has)
            doubtful = [f for f in unchanged if f.in_git] + list(self._not_recorded(unchanged))
            changed = [f for f in block if f.path in self._claims.wanted]
            if self._before.is_sure:
                lacking += changed
            else:
                doubtful += changed
            lacking += self._not_seen(doubtful)
        return lacking

    def _not_recorded(self, files: Sequence[ExportedFile]) -> Iterator[ExportedFile]:
        keys = [f.key for f in files if not f.in_git]
        found = self._dataset.ledger.locations(keys)
        for file in files:
            if not file.in_git and self._place.id not in found.get(file.key, ()):
                yield file

    def _not_seen(self, files: Sequence[ExportedFile]) -> Iterator[ExportedFile]:
        """Those that a look does not find; what was found and not recorded will be."""
        self._sizes.update(sizes_of(self._repository, files))
        there = self._store.sizes([f.path for f in files]) if files else []
        for file, size in zip(files, there, strict=True):
            if not self._claims.is_seen(file, size, self._sizes):
                yield file
            else:
                self._kept.add(file.key)
                if not file.in_git:
                    self._came.append(file.key)

    def _plan_renames(self, lacking: Sequence[ExportedFile]) -> list[Rename]:
        if not self._store.can_rename:
            return []
        found = list(plan_renames(self._claims, lacking, self._has))
        if self._before.is_sure or not found:
            return found
        there = self._store.sizes([rename.old for rename in found])
        return [
            rename for rename, size in zip(found, there, strict=True)
            if size is not None and size == self._sizes.get(rename.new.key)
        ]  # fmt: skip

    def _is_missing(self, file: ExportedFile) -> bool:
        return not file.in_git and self._dataset.objects.content_path(file.key) is None

    def _check_name(self, file: ExportedFile) -> None:
        why = way_out(file.path)
        if why:
            raise faults.UNSAFE_NAME(path=os.fsdecode(file.path), detail=why)

    def _unsafe(self, paths: Iterable[bytes]) -> set[bytes]:
        """Paths whose content there may be the last copy that anybody has."""
        claimed = {path: self._claims.there.get(path, []) for path in paths}
        keys = {
            f.key for files in claimed.values() for f in files
            if not f.in_git and f.key in self._has and f.key not in self._kept
        }  # fmt: skip
        elsewhere = self._dataset.ledger.locations(keys)
        lost = {key for key in keys if not self._is_elsewhere(key, elsewhere.get(key, ()))}
        return {path for path, files in claimed.items() if any(f.key in lost for f in files)}

    def _is_elsewhere(self, key: Key, places: Iterable[PlaceId]) -> bool:
        if self._dataset.objects.content_path(key) is not None:
            return True
        trust = self._dataset.ledger.trust
        weak = (Trust.DEAD, Trust.UNTRUSTED)
        here = self._dataset.here
        return any(p not in (self._place.id, here) and trust.get(p) not in weak for p in places)

    # the work

    def _carry_out(
        self, renames: Sequence[Rename], puts: Sequence[ExportedFile],
        missing: Sequence[ExportedFile], gone: Sequence[bytes], refused: set[bytes],
    ) -> Iterator[Outcome]:  # fmt: skip
        is_new = self._before != Exported((self._tree,))
        if is_new or renames or puts or gone:
            write_begun(self._repository, self._place.id, self._tree, self._leaving(refused))
        self._progress.start(len(renames) + len(puts) + len(gone), sum(self._size(f) for f in puts))
        try:
            blocking = in_the_way(self._claims)
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
        held = {f.key for path in refused for f in self._claims.there.get(path, ())}
        return sorted(self._has - self._staying - held)

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
        yield from map(self._told_missing, filter(self._is_missing, lost))
        yield from self._put([f for f in lost if not self._is_missing(f)])

    def _put(self, files: Sequence[ExportedFile]) -> Iterator[Outcome]:
        if not files:
            return
        by_path = {f.path: f for f in files}
        for path, error in self._store.iter_put(self._contents(files), self._moved):
            file = by_path[path]
            if error is None:
                self._arrived(file)
            else:
                self.is_whole = self._may_finish = False
            self._progress.advance(1, 0)
            yield self._told(file, error=error)

    def _contents(self, files: Sequence[ExportedFile]) -> Iterator[tuple[bytes, Content]]:
        for file in files:
            if file.in_git:
                yield file.path, self._blob(file)
                continue
            found = self._dataset.objects.content_path(file.key)
            if found is None:  # dropped meanwhile
                raise faults.NOT_PRESENT(path=os.fsdecode(file.path))
            yield file.path, LocalContent(file.key, found)

    def _blob(self, file: ExportedFile) -> Content:
        answer = self._repository.git.objects.read(file.oid)
        if answer is None:
            message = f"{file.oid.decode()} is missing"
            raise faults.GIT_FAILED(command="cat-file", message=message)
        return _Blob(answer[1])

    def _remove(self, paths: Sequence[bytes]) -> Iterator[Outcome]:
        rest = iter(paths)
        while block := list(islice(rest, _BLOCK)):
            self._store.remove_files(block)
            for path in block:
                self._progress.advance(1, 0)
                name = os.fsdecode(path)
                note = f"removed from {self._place.label}"
                if self._claims.wanted.get(path) is None:
                    yield Outcome(_ACTION, Status.OK, name, note=note)

    def _record(self, *, is_new: bool) -> None:
        if is_new and self._may_finish:
            write_finished(self._repository, self._place.id, self._tree, self._before, self._came)
        elif self._came:
            write_locations(self._repository, self._place.id, self._came, present=True)
        self._dataset.forget()

    # parts

    def _arrived(self, file: ExportedFile) -> None:
        if not file.in_git:
            self._came.append(file.key)

    def _moved(self, size: int) -> None:
        self._progress.advance(0, size)

    def _size(self, file: ExportedFile) -> int:
        return self._sizes.get(file.key) or file.key.size or 0

    def _told(self, file: ExportedFile, note: str = "", error: HoldError | None = None) -> Outcome:
        status = Status.OK if error is None else Status.ERROR
        key = None if file.in_git else file.key
        note = note if error is None else error.why
        return Outcome(_ACTION, status, os.fsdecode(file.path), key, file.key.size, note, error)

    def _told_missing(self, file: ExportedFile) -> Outcome:
        self.is_whole = False
        if file.key in self._has:
            # The ledger would say of this tree that the content is there, under this name, too.
            self._may_finish = False
        path, label = os.fsdecode(file.path), self._place.label
        error = faults.MISSING_FOR_EXPORT(path=path, place=label, quoted=shlex.quote(path))
        return self._told(file, error=error)

    def _told_refused(self, path: bytes) -> Outcome:
        self.is_whole = self._may_finish = False
        name, key = os.fsdecode(path), self._claims.there[path][0].key
        error = faults.LAST_COPY_THERE(path=name, place=self._place.label, key=key.text)
        return Outcome(_ACTION, Status.IMPOSSIBLE, name, key, note=error.why, error=error)


class _Blob:
    """Content that is in git."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """All of it, from an offset."""
        yield self._data[offset:]

    def path(self) -> bytes:
        """Not asked for by what holds trees."""
        raise NotImplementedError


@contextmanager
def _opened(dataset: Dataset, name: str) -> Iterator[TreeStore]:
    """The place that is called so, by remote name or UUID, ready to be changed."""
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
        yield store
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
