"""Copy and move content between here and another place.

What is sent is hashed as it is read, what comes is checked at the door; a copy there that is said
to be there is looked at before anything is removed here. A move never lowers the count: it proves
that as many copies stay as there were.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

from ..core import faults, secure_hashes
from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.policy import CopyRules
from ..core.progress import Progress, Silence
from ..core.rates import Direction
from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
from ..dataset.rules_of_keys import RulesOfKeys
from ..dataset.shared_config import only_secure_hashes
from ..dataset.unrecorded import unrecorded
from .datasets import Dataset
from .drop import Dropper
from .get import iter_get
from .sources import Sources, open_sources
from .targets import Target, open_target
from .unknown import iter_unknown

BLOCK = 8192
MOVED = CopyRules(numcopies=1, mincopies=1)
"""What must stay when the only copy is passed on."""


def iter_copy_to(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    move: bool = False,
    all_versions: bool = False,
    auto: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Bring content from here to another place, and with ``move`` remove it here.

    What is not here is passed over; a file that was named is told as impossible. ``auto`` passes
    over what is said to be there, and what the place does not want and has copies enough.
    """
    action = "move" if move else "copy"
    dataset.repository.check_writable()
    dataset.repository.check_plain_content()
    listener = progress or Silence()
    with open_target(dataset, name, jobs) as target:
        target.get_ready()
        yield from iter_unknown(dataset, paths, action)
        files = iter_versions(dataset, paths) if all_versions else iter_files(dataset, paths)
        if auto:
            from .auto import iter_to_send  # late: policy is read only where it is asked for

            files = iter_to_send(dataset, files, target.place.id)
        sender = Sender(dataset, target, action, listener)
        listener.start(None, None)
        try:
            for block in iter_blocks(files):
                yield from sender.send(block, named=frozenset(paths))
        finally:
            listener.stop()
            target.finish()
    dataset.forget()


def iter_copy_from(
    dataset: Dataset,
    paths: Sequence[bytes],
    name: str,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Bring content here from one other place."""
    for outcome in iter_get(
        dataset, paths, source=name, jobs=jobs, progress=progress, follow=False
    ):
        yield as_action("copy", outcome)


def iter_files(dataset: Dataset, paths: Sequence[bytes]) -> Iterator[TrackedFile]:
    """The annexed files below some paths, those that are known."""
    from ..dataset.changes import missing_paths

    known = [p for p in paths if p not in set(missing_paths(dataset.repository, paths))]
    if known or not paths:
        yield from iter_annexed(dataset.repository, known)


def iter_versions(dataset: Dataset, paths: Sequence[bytes]) -> Iterator[TrackedFile]:
    """The annexed files of all versions below some paths."""
    for key, path in iter_all_keys(dataset.repository):
        if not paths or any(path == p or path.startswith(p + b"/") for p in paths):
            yield TrackedFile(path, b"120000", b"", key)


def iter_blocks(files: Iterable[TrackedFile]) -> Iterator[list[TrackedFile]]:
    """Files in blocks, each key once in all."""
    seen: set[Key] = set()

    def is_new(file: TrackedFile) -> bool:
        assert file.key is not None
        if file.key in seen:
            return False
        seen.add(file.key)
        return True

    source = filter(is_new, files)
    while block := list(islice(source, BLOCK)):
        yield block


class Sender:
    """Brings blocks of files to another place."""

    def __init__(self, dataset: Dataset, target: Target, action: str, progress: Progress) -> None:
        self._dataset = dataset
        self._target = target
        self._action = action
        self._progress = progress

    def send(
        self, block: Sequence[TrackedFile], *, named: frozenset[bytes] = frozenset()
    ) -> Iterator[Outcome]:
        """Bring what is missing there; for a move remove it here."""
        gone = set(self._dataset.objects.missing([file.key for file in block if file.key]))
        for file in block:
            if file.key in gone and file.path in named:
                error = faults.NOT_PRESENT(path=os.fsdecode(file.path))
                yield told(self._action, file, error)
        here = [file for file in block if file.key not in gone]
        if not here:
            return
        errors, sizes = self._bring(here)
        warning = self._dataset.limits.warning(self._target.place, Direction.UP) if sizes else {}
        if self._action != "move":
            yield from _with_first(warning, (self._copied(f, errors, sizes) for f in here))
            return
        for file in here:
            if file.key in errors:
                yield told("move", file, errors[file.key])
        fresh = [file for file in here if file.key in sizes]
        old = [f for f in here if f.key not in errors and f.key not in sizes]
        yield from _with_first(warning, self.leave(fresh, old))

    def _bring(
        self, block: Sequence[TrackedFile]
    ) -> tuple[dict[Key | None, HoldError], dict[Key | None, int]]:
        self._target.get_ready()
        missing = self._target.missing([file.key for file in block if file.key])
        wanted = [(os.fsdecode(f.path), f.key) for f in block if f.key in missing and f.key]
        errors: dict[Key | None, HoldError] = dict(self._refused(wanted))
        sizes: dict[Key | None, int] = {}
        try:
            items = [item for item in wanted if item[1] not in errors]
            for sent in self._target.bring(items, self._progress) if items else ():
                if sent.error is not None:
                    errors[sent.key] = sent.error
                else:
                    sizes[sent.key] = sent.size
        finally:
            # What arrived is told of also when all is being stopped.
            arrived = [k for k in sizes if k is not None]
            there = [f.key for f in block if f.key is not None and f.key not in missing]
            self._target.record([*there, *arrived], present=True)
        return errors, sizes

    def _copied(
        self, file: TrackedFile, errors: dict[Key | None, HoldError], sizes: dict[Key | None, int]
    ) -> Outcome:
        error = errors.get(file.key)
        if error is None and file.key not in sizes:
            return Outcome(self._action, Status.NOT_NEEDED, os.fsdecode(file.path), key=file.key)
        return told(
            self._action, file, error, sizes.get(file.key), f"to {self._target.place.label}"
        )

    def _refused(self, wanted: Sequence[tuple[str, Key]]) -> Iterator[tuple[Key, HoldError]]:
        for path, key in wanted if self._secure_only else ():
            refusal = secure_hashes.refusal(path, key.backend)
            if refusal is not None:
                yield key, refusal

    @cached_property
    def _secure_only(self) -> bool:
        """Whether we, or the other place, keep only what nobody can forge; git-annex asks both."""
        dataset = self._dataset
        return (
            only_secure_hashes(dataset.repository, dataset.ledger)
            or self._target.keeps_only_secure()
        )

    def leave(
        self, moved: Sequence[TrackedFile], old: Sequence[TrackedFile] = ()
    ) -> Iterator[Outcome]:
        """Remove here what is there now: what has just been brought by its copy there alone.

        For ``old`` files, which were there before, as many copies as usual have to be seen.
        """
        kept = list(old)
        self._dataset.forget()
        with open_sources(self._dataset) as sources:
            there = [r for r in sources.readers if r.place.id == self._target.place.id]
            rules = _Moved(self._dataset.repository, MOVED)
            for file, outcome in self._drop(moved, Sources(there, []), rules):
                if isinstance(outcome.error, PolicyError):
                    kept.append(file)
                else:
                    yield self._moved(outcome)
            # It was there before, or that place does not count: enough others have to be seen.
            for _, outcome in self._drop(kept, sources, None):
                yield self._moved(outcome)

    def _moved(self, outcome: Outcome) -> Outcome:
        moved = as_action("move", outcome)
        if moved.status is Status.OK:
            moved = moved._replace(note=f"to {self._target.place.label}")
        return moved

    def _drop(
        self, files: Sequence[TrackedFile], sources: Sources, rules: RulesOfKeys | None
    ) -> Iterator[tuple[TrackedFile, Outcome]]:
        if not files:
            return
        dataset = self._dataset
        dropper = Dropper(dataset, sources, rules=rules)
        with unrecorded(dataset.repository, dataset.objects) as note:
            yield from zip(files, dropper.iter_drop(files, note, Silence()), strict=True)


def _with_first(facts: Mapping[str, str], outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Outcomes, the first that went well with more facts."""
    for outcome in outcomes:
        if facts and outcome.status is Status.OK:
            outcome, facts = outcome._replace(facts={**outcome.facts, **facts}), {}
        yield outcome


class _Moved(RulesOfKeys):
    """One copy is enough for what has just been passed on, whatever its files ask for."""

    def of(self, key: Key) -> CopyRules:
        """What must stay of a key's copies."""
        return MOVED


def told(
    action: str,
    file: TrackedFile,
    error: HoldError | None,
    size: int | None = None,
    note: str = "",
) -> Outcome:
    """What happened to one file."""
    status = Status.OK if error is None else Status.ERROR
    if isinstance(error, PolicyError):
        status = Status.IMPOSSIBLE
    if error is not None:
        note = error.why or error.what
    return Outcome(
        action, status, os.fsdecode(file.path), key=file.key, size=size, note=note, error=error
    )


def as_action(action: str, outcome: Outcome) -> Outcome:
    """An outcome of one verb, as that of another that used it."""
    return Outcome(
        action, outcome.status, outcome.path, key=outcome.key, size=outcome.size,
        note=outcome.note, error=outcome.error, facts=outcome.facts,
    )  # fmt: skip
