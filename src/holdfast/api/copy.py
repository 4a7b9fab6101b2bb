"""Copy and move content between here and a place on this machine's file systems; drop it there.

A copy there is as good as one here: bytes are hashed as they pass, the place's own ledger and its
unlocked files are kept true. Nothing is removed on either side without a proof; a move proves that
as many copies stay as there were.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from ..core import faults, secure_hashes
from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Place, PlaceId, Presence, Trust
from ..core.policy import CopyRules, Hold, Witness, prove_drop
from ..core.progress import Silence
from ..dataset.annexed import TrackedFile, iter_annexed
from ..dataset.ledger import Ledger
from ..dataset.ledger_write import set_locations
from ..dataset.objects import Objects, objects_of
from ..dataset.packs import sync_file_system
from ..dataset.populate import WorkFiles
from ..dataset.repository import Repository
from ..dataset.scratch import using_scratch
from ..dataset.shared_config import only_secure_hashes
from ..dataset.unrecorded import unrecorded
from ..dataset.wanting import Wanting
from ..transfer.local import Wanted, iter_bring
from .datasets import Dataset
from .drop import Dropper, rules_of_keys
from .get import iter_get
from .sources import Sources, local_folder, open_sources
from .unknown import iter_unknown
from .unlocked import unlocked_by_key

_BLOCK = 512
_MOVED = CopyRules(numcopies=1, mincopies=1)
"""What must stay when the only copy is passed on."""


@dataclass
class Other:
    """Another repository that we can open, as a place to copy to and drop from."""

    name: str
    repository: Repository
    objects: Objects

    @property
    def place(self) -> Place:
        """The place it is."""
        return self.objects.place


@contextmanager
def open_other(dataset: Dataset, name: str) -> Iterator[Other]:
    """Open the repository that a remote names, by its name or UUID.

    Raises:
        NotFoundError: No remote is called so.
        PlaceUnavailableError: It is not on this machine's file systems, or has rules of its own
            about content, which only git-annex follows.
        PolicyError: There is a remote that was set up by somebody else and not approved.
    """
    remotes = dataset.repository.config.sections("remote")
    names = [n for n, s in remotes.items() if name in (n, s.get("annex-uuid"))]
    if not names:
        raise faults.NO_SUCH_PLACE(place=name, known=", ".join(sorted(remotes)) or "none")
    settings = remotes[names[0]]
    folder = local_folder(dataset.top, settings["url"]) if "url" in settings else None
    for called, others in remotes.items():
        state = others.get("annex-verified", "verified")
        if state != "verified":
            # Content might be told to go where somebody else said: nothing is sent to anyone.
            raise faults.PLACE_UNVERIFIED(place=called, state=state)
    if folder is None or settings.get("annex-ignore") or settings.get("annex-readonly"):
        raise faults.NO_WAY(place=name, kind="remote that is no folder here")
    if not os.path.isdir(folder):
        raise faults.UNREACHABLE(place=name, detail=f"{os.fsdecode(folder)} is not there")
    repository = Repository(folder)
    if repository.uuid is None or repository.uuid in _with_rules(dataset):
        raise faults.NO_WAY(place=name, kind="repository with rules about its content, or no annex")
    repository.check_writable()
    repository.check_plain_content()
    trust = dataset.ledger.trust.get(repository.uuid, Trust.SEMITRUSTED)
    place = Place(repository.uuid, names[0], trust)
    try:
        yield Other(names[0], repository, objects_of(repository, place))
    finally:
        repository.close()


def _with_rules(dataset: Dataset) -> set[PlaceId]:
    """Places with required content."""
    return set(Wanting(dataset.repository, dataset.ledger).required)


def iter_copy_to(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    move: bool = False,
    jobs: int | None = None,
) -> Iterator[Outcome]:
    """Bring content from here to another place, and with ``move`` remove it here."""
    action = "move" if move else "copy"
    with open_other(dataset, name) as other:
        if move and dataset.here in _with_rules(dataset):
            raise faults.NO_WAY(place=name, kind="place for what is required here")
        yield from iter_unknown(dataset, paths, action)
        sender = _Sender(dataset, other, action, dataset.jobs(jobs))
        for block in _iter_blocks(iter_annexed(dataset.repository, paths), dataset.objects):
            yield from sender.send(block)
    dataset.forget()


def iter_copy_from(
    dataset: Dataset, paths: Sequence[bytes], name: str, *, jobs: int | None = None
) -> Iterator[Outcome]:
    """Bring content here from one other place."""
    for outcome in iter_get(dataset, paths, source=name, jobs=jobs, follow=False):
        yield _as("copy", outcome)


def iter_move_from(
    dataset: Dataset, paths: Sequence[bytes], name: str, *, jobs: int | None = None
) -> Iterator[Outcome]:
    """Bring content here from another place and remove it there."""
    with open_other(dataset, name) as other:
        yield from iter_unknown(dataset, paths, "move")
        known = [path for path in paths if path in _known(dataset, paths)] if paths else []
        if paths and not known:
            return
        for block in _iter_blocks(iter_annexed(dataset.repository, known), other.objects):
            yield from _move_here(dataset, other, block, jobs)
    dataset.forget()


def _known(dataset: Dataset, paths: Sequence[bytes]) -> set[bytes]:
    from ..dataset.changes import missing_paths

    return set(paths).difference(missing_paths(dataset.repository, paths))


def _move_here(
    dataset: Dataset, other: Other, block: Sequence[TrackedFile], jobs: int | None
) -> Iterator[Outcome]:
    new = {file.key for file in block if file.key and not dataset.objects.has(file.key)}
    failed: dict[Key | None, Outcome] = {}
    wanted = [file.path for file in block if file.key in new]
    if wanted:
        found = iter_get(dataset, wanted, source=other.name, jobs=jobs, follow=False)
        failed = {o.key: o for o in found if not o.good}
    with open_sources(dataset) as sources:
        remover = Remover(dataset, other, sources, None, "move")
        try:
            for file in block:
                if file.key in failed:
                    yield _as("move", failed[file.key])
                else:
                    yield remover.remove(file, moved=file.key in new)
        finally:
            remover.finish()


def iter_drop_from(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    forced: bool = False,
    numcopies: int | None = None,
) -> Iterator[Outcome]:
    """Remove content from another place, once enough copies were seen that stay."""
    with open_other(dataset, name) as other:
        if forced:
            raise faults.NO_WAY(place=name, kind="place to drop from without proof")
        yield from iter_unknown(dataset, paths, "drop")
        for block in _iter_blocks(iter_annexed(dataset.repository, paths), other.objects):
            with open_sources(dataset) as sources:
                remover = Remover(dataset, other, sources, numcopies, "drop")
                try:
                    for file in block:
                        yield remover.remove(file)
                finally:
                    remover.finish()
    dataset.forget()


def iter_drop_keys(
    dataset: Dataset,
    keys: Sequence[Key],
    *,
    force_reason: str | None = None,
    numcopies: int | None = None,
) -> Iterator[Outcome]:
    """Remove content here by its keys; an outcome for each, refused ones with the reason."""
    files = [TrackedFile(key.file_name, b"120000", b"", key) for key in keys]
    with (
        open_sources(dataset) as sources,
        unrecorded(dataset.repository, dataset.objects) as note,
    ):
        yield from Dropper(dataset, sources, force_reason, numcopies).iter_drop(
            files, note, Silence()
        )
    dataset.forget()


def _iter_blocks(files: Iterable[TrackedFile], where: Objects) -> Iterator[list[TrackedFile]]:
    """Files whose content is in one place, each key once, in blocks."""
    seen: set[Key] = set()

    def is_new(file: TrackedFile) -> bool:
        assert file.key is not None
        if file.key in seen or not where.has(file.key):
            return False
        seen.add(file.key)
        return True

    source = filter(is_new, files)
    while block := list(islice(source, _BLOCK)):
        yield block


class _Sender:
    """Brings blocks of files to another place."""

    def __init__(self, dataset: Dataset, other: Other, action: str, jobs: int) -> None:
        self._dataset = dataset
        self._other = other
        self._action = action
        self._jobs = jobs

    def send(self, block: Sequence[TrackedFile]) -> Iterator[Outcome]:
        """Bring what is missing there; for a move remove it here."""
        dataset, other = self._dataset, self._other
        missing = [
            Wanted(os.fsdecode(file.path), file.key)
            for file in block
            if file.key is not None and not other.objects.has(file.key)
        ]
        errors = self._refused(missing)
        wanted = [item for item in missing if item.key not in errors]
        sizes: dict[Key, int] = {}
        scratch = other.repository.annex_dir + b"/othertmp"
        with using_scratch(scratch):
            done = iter_bring(
                wanted, dataset.objects, other.objects, source_name="here",
                sync=sync_file_system, scratch=scratch, jobs=self._jobs,
            )  # fmt: skip
            for brought in done:
                if brought.error is not None:
                    errors[brought.wanted.key] = brought.error
                else:
                    sizes[brought.wanted.key] = brought.size
        there = [f.key for f in block if f.key is not None and f.key not in errors]
        _record(dataset, other, there, present=True)
        _fill(other, there)
        if self._action == "copy":
            for file in block:
                assert file.key is not None
                yield _told("copy", file, errors.get(file.key), sizes.get(file.key))
            return
        yield from self._leave(block, errors, set(sizes))

    def _refused(self, wanted: Sequence[Wanted]) -> dict[Key, HoldError]:
        found = ((key, secure_hashes.refusal(path, key.backend)) for path, key in wanted)
        refusals = {key: refusal for key, refusal in found if refusal is not None}
        return refusals if refusals and self._secure_only else {}

    @cached_property
    def _secure_only(self) -> bool:
        """Whether we, or the other place, keep only what nobody can forge; git-annex asks both."""
        dataset, other = self._dataset, self._other.repository
        if only_secure_hashes(dataset.repository, dataset.ledger):
            return True
        return only_secure_hashes(other, Ledger(other))

    def _leave(
        self, block: Sequence[TrackedFile], errors: dict[Key, HoldError], fresh: set[Key]
    ) -> Iterator[Outcome]:
        dataset = self._dataset
        unlocked = unlocked_by_key(dataset.repository, {f.key for f in block if f.key})
        work = WorkFiles(dataset.repository, dataset.objects)
        kept: list[TrackedFile] = []
        with unrecorded(dataset.repository, dataset.objects) as note:
            for file in block:
                assert file.key is not None
                error = errors.get(file.key)
                if error is not None:
                    yield _told("move", file, error)
                    continue
                if file.key in fresh:
                    note.add([file.key])
                    error = self._remove_here(file.key, unlocked.get(file.key, ()), work)
                if (error is None and file.key not in fresh) or isinstance(error, PolicyError):
                    kept.append(file)
                else:
                    yield _told("move", file, error)
            work.finish()
            dataset.objects.forget_empty()
        if kept:
            # It was there before, or that place does not count: enough others have to be seen.
            with (
                open_sources(dataset) as sources,
                unrecorded(dataset.repository, dataset.objects) as note,
            ):
                for outcome in Dropper(dataset, sources).iter_drop(kept, note, Silence()):
                    yield _as("move", outcome)

    def _remove_here(
        self, key: Key, unlocked: Iterable[TrackedFile], work: WorkFiles
    ) -> HoldError | None:
        """Remove content here that was just brought there and is locked there."""
        objects, other = self._dataset.objects, self._other
        try:
            with objects.hold_for_removal(key) as held, other.objects.lock_content(key) as answer:
                seen = Witness(key, other.place, answer.presence, Hold.LOCKED)
                prove_drop(key, self._dataset.here, [seen], _MOVED)
                for file in unlocked:
                    work.depopulate(file)
                if held is not None:
                    objects.remove(held)
        except HoldError as error:
            return error
        return None


class Remover:
    """Removes content from another place, each key with a proof."""

    def __init__(
        self, dataset: Dataset, other: Other, sources: Sources, numcopies: int | None, action: str
    ) -> None:
        self._dataset = dataset
        self._other = other
        self._sources = sources
        self._numcopies = numcopies
        self._action = action
        self._removed: list[Key] = []
        self._work = None if other.repository.bare else WorkFiles(other.repository, other.objects)
        self._rules = rules_of_keys(dataset, numcopies)

    def remove(self, file: TrackedFile, *, moved: bool = False) -> Outcome:
        """Remove the content of one file; ``moved`` says that it has just been brought here."""
        assert file.key is not None
        try:
            self._remove(file.key, _MOVED if moved else self._rules.of(file.key), moved=moved)
        except HoldError as error:
            return _told(self._action, file, error)
        return _told(self._action, file, None)

    def _remove(self, key: Key, rules: CopyRules, *, moved: bool) -> None:
        objects = self._other.objects
        with ExitStack() as stack:
            held = stack.enter_context(objects.hold_for_removal(key))
            witnesses = [self._here(stack, key)]
            if not moved or witnesses[0].answer is not Presence.PRESENT:
                witnesses += self._others(stack, key)
            prove_drop(key, self._other.place.id, witnesses, rules, ours_is_locked=False)
            if self._work is not None:
                found = unlocked_by_key(self._other.repository, {key})
                for file in found.get(key, ()):
                    self._work.depopulate(file)
            if held is not None:
                objects.remove(held)
        self._removed.append(key)

    def _here(self, stack: ExitStack, key: Key) -> Witness:
        answer = stack.enter_context(self._dataset.objects.lock_content(key))
        place = self._dataset.ledger.place(self._dataset.here)
        return Witness(key, place, answer.presence, Hold.LOCKED, answer.remark)

    def _others(self, stack: ExitStack, key: Key) -> Iterator[Witness]:
        claims = set(self._dataset.ledger.locations([key])[key])
        for uuid, level in self._dataset.ledger.trust.items():
            if level is Trust.TRUSTED and uuid in claims:
                place = self._dataset.ledger.place(uuid)
                yield Witness(key, place, Presence.UNKNOWN, Hold.TRUSTED, "trusted")
        for reader in self._sources.readers:
            if reader.place.id == self._other.place.id:
                continue
            if hasattr(reader, "lock_content"):
                answer = stack.enter_context(reader.lock_content(key))
                hold = Hold.LOCKED if answer.presence is Presence.PRESENT else Hold.NONE
                yield Witness(key, reader.place, answer.presence, hold, answer.remark)
            else:
                answer = reader.ask([key])[0]
                yield Witness(key, reader.place, answer.presence, Hold.SEEN, answer.remark)

    def finish(self) -> None:
        """Tell both ledgers."""
        if self._work is not None:
            self._work.finish()
        self._other.objects.forget_empty()
        _record(self._dataset, self._other, self._removed, present=False)


def _record(dataset: Dataset, other: Other, keys: Sequence[Key], *, present: bool) -> None:
    """Tell our ledger and that of the other place."""
    if keys:
        for repository in (other.repository, dataset.repository):
            set_locations(repository, keys, other.place.id, present=present)


def _fill(other: Other, keys: Sequence[Key]) -> None:
    """Put content in the place of pointers in the other's work tree."""
    if other.repository.bare or not keys:
        return
    work = WorkFiles(other.repository, other.objects)
    for files in unlocked_by_key(other.repository, frozenset(keys)).values():
        for file in files:
            work.populate(file)
    work.finish()


def _told(
    action: str, file: TrackedFile, error: HoldError | None, size: int | None = None
) -> Outcome:
    status = Status.OK if error is None else Status.ERROR
    if isinstance(error, PolicyError):
        status = Status.IMPOSSIBLE
    note = "" if error is None else error.why or error.what
    return Outcome(
        action, status, os.fsdecode(file.path), key=file.key, size=size, note=note, error=error
    )


def _as(action: str, outcome: Outcome) -> Outcome:
    return Outcome(
        action, outcome.status, outcome.path, key=outcome.key, size=outcome.size,
        note=outcome.note, error=outcome.error, facts=outcome.facts,
    )  # fmt: skip
