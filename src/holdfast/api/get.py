"""Bring content here: the cheapest place first, the next one on any fault, all of it checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ..core import secure_hashes
from ..core.abilities import Readable
from ..core.errors import AccessError, HoldError, PlaceFullError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import WEB, PlaceId
from ..core.progress import Progress, Silence
from ..core.rates import Direction
from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
from ..dataset.git_folder import link_git_folder
from ..dataset.packs import sync_file_system
from ..dataset.populate import WorkFiles
from ..dataset.room import Room
from ..dataset.shared_config import only_secure_hashes
from ..dataset.submodules import Submodule
from ..dataset.unrecorded import Unrecorded, unrecorded
from ..transfer.local import Wanted, iter_bring
from ..transfer.throttle import Throttle, throttled
from .datasets import Dataset
from .nesting import Nested, Walk, iter_in_each
from .sources import Sources, open_sources
from .unknown import iter_unknown
from .unlocked import unlocked_by_key

_BLOCK = 8192
_FROM_URLS = (b"VURL", b"URL")
"""Keys that hold a URL in place of a hash."""

Locations = Callable[[Iterable[Key]], Mapping[Key, list[PlaceId]]]
"""Gives for each of these keys the places that may have it."""


def iter_get(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    source: str | None = None,
    jobs: int | None = None,
    all_versions: bool = False,
    auto: bool = False,
    levels: int | None = 0,
    content: bool = True,
    follow: bool = True,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Bring content of files below some paths (all without one) here; an outcome for each file.

    ``source`` names the only place to take it from. Content that is here already is told as not
    needed. ``auto`` passes over what is here, and what this place does not want and has copies
    enough. Run again after any interruption, it goes on where it stopped.

    ``levels`` is how many levels of data sets inside get theirs too, None for all. Those that are
    not installed are installed first, as those are that a path leads into; with ``content`` false
    that is all that is done. Without ``follow`` such a path is refused.
    """
    listener = progress or Silence()

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        if not content:
            return iter_unknown(one, below, "get")
        return _iter_get_in(
            one, below, source=source, jobs=dataset.jobs(jobs), all_versions=all_versions,
            auto=auto, listener=listener,
        )  # fmt: skip

    def install(outer: Nested, one: Submodule) -> Outcome:
        from .installing import install_in  # late: for most calls there is nothing to install

        return install_in(outer, one, listener)

    return iter_in_each(dataset, paths, work, "get", Walk(levels, follow=follow, install=install))


def _iter_get_in(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    source: str | None,
    jobs: int,
    all_versions: bool,
    auto: bool,
    listener: Progress,
) -> Iterator[Outcome]:
    repository = dataset.repository
    repository.check_writable()
    repository.check_plain_content()
    link_git_folder(repository)
    yield from iter_unknown(dataset, paths, "get")
    with open_sources(dataset) as sources:
        chosen = sources.only(source) if source else sources
        getter = Getter(dataset, chosen, listener, jobs)
        files = _iter_files(dataset, paths, all_versions=all_versions)
        if auto:
            from .auto import iter_to_get  # late: policy is read only where it is asked for

            files = iter_to_get(dataset, files)
        with unrecorded(repository, dataset.objects) as note:
            yield from getter.iter_get(files, note)
    dataset.forget()


def get(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Bring content here; see `iter_get`.

    Raises:
        IncompleteError: Some content could not be had.
    """
    return complete(iter_get(dataset, paths, **options))  # type: ignore[arg-type]


def _iter_files(
    dataset: Dataset, paths: Sequence[bytes], *, all_versions: bool
) -> Iterator[TrackedFile]:
    if not all_versions:
        return iter_annexed(dataset.repository, paths)
    return (
        TrackedFile(path, b"120000", b"", key)
        for key, path in iter_all_keys(dataset.repository)
        if not paths or any(path == p or path.startswith(p + b"/") for p in paths)
    )


class Getter:
    """Brings the content of files, block by block."""

    def __init__(
        self,
        dataset: Dataset,
        sources: Sources,
        progress: Progress,
        jobs: int,
        *,
        locations: Locations | None = None,
    ) -> None:
        """``locations`` says who may have content, in place of the ledger."""
        self._locations = locations or (lambda keys: dataset.ledger.locations(keys))
        self._dataset = dataset
        self._sources = sources
        self._progress = progress
        self._jobs = jobs
        self._scratch = dataset.repository.annex_dir + b"/othertmp"
        self._refusals: dict[Key, list[str]] = {}
        self._warnings: dict[str, Mapping[str, str]] = {}
        """What is to be told with the first content of a place, by the place's UUID."""
        self._secure_only = only_secure_hashes(dataset.repository, dataset.ledger)

    def iter_get(self, files: Iterable[TrackedFile], note: Unrecorded) -> Iterator[Outcome]:
        """Bring what is missing; outcomes come in the order in which things are done."""
        source = iter(files)
        work = WorkFiles(self._dataset.repository, self._dataset.objects)
        brought: set[Key] = set()
        self._progress.start(None, None)
        try:
            while block := list(islice(source, _BLOCK)):
                for outcome in self._get_block(block, note, work):
                    if outcome.status is Status.OK and outcome.key is not None:
                        brought.add(outcome.key)
                    yield outcome
        finally:
            self._progress.stop()
            self._fill_unlocked(brought, work)
            work.finish()

    def _fill_unlocked(self, brought: set[Key], work: WorkFiles) -> None:
        if brought:
            for files in unlocked_by_key(self._dataset.repository, brought).values():
                for file in files:
                    work.populate(file)

    def _get_block(
        self, block: list[TrackedFile], note: Unrecorded, work: WorkFiles
    ) -> Iterator[Outcome]:
        missing: dict[Key, list[TrackedFile]] = {}
        room = Room.of(self._dataset.repository)
        absent = set(self._dataset.objects.missing([file.key for file in block if file.key]))
        for file in block:
            assert file.key is not None
            if file.key in missing:
                missing[file.key].append(file)
            elif file.key not in absent:
                filled = not file.locked and work.populate(file)
                yield _told(file, Status.OK if filled else Status.NOT_NEEDED)
            else:
                name = os.fsdecode(file.path)
                refusal = self._refusal(name, file.key) or room.take(name, file.key.size)
                if refusal is None:
                    missing[file.key] = [file]
                else:
                    status = Status.ERROR
                    if isinstance(refusal, PolicyError):
                        status = Status.IMPOSSIBLE
                    yield _told(file, status)._replace(error=refusal, note=refusal.why)
        if missing:
            note.add(list(missing))
            for outcome in self._bring(missing):
                if outcome.status is Status.OK and outcome.key is not None:
                    note.ended(outcome.key, present=True)
                yield outcome
                for file in missing[outcome.key][1:] if outcome.key else ():
                    yield _told(file, outcome.status, outcome)

    def _refusal(self, name: str, key: Key) -> HoldError | None:
        return secure_hashes.refusal(name, key.backend) if self._secure_only else None

    def _bring(self, missing: Mapping[Key, list[TrackedFile]]) -> Iterator[Outcome]:
        left = {key: os.fsdecode(files[0].path) for key, files in missing.items()}
        for reader in self._sources.readers:
            if hasattr(reader, "content_path") and left:
                for outcome in self._bring_local(reader, left):
                    del left[outcome.key]  # type: ignore[arg-type]
                    yield outcome
        if self._may_ask_web:
            named = {key: left.pop(key) for key in list(left) if key.backend in _FROM_URLS}
            if named:
                from .get_from_url import iter_get_from_urls  # late: few data sets have such keys

                yield from iter_get_from_urls(
                    self._dataset, named, jobs=self._jobs, progress=self._progress
                )
        if left:
            # Asked this late: for what is brought from nearby the ledger is not read at all.
            yield from self._bring_remote(left, self._locations(left))

    @property
    def _may_ask_web(self) -> bool:
        return any(reader.place.id == WEB for reader in self._sources.readers)

    def _bring_local(self, reader: Readable, left: Mapping[Key, str]) -> Iterator[Outcome]:
        """From a place whose files we can open; it is looked at, whatever the ledger says."""
        at_hand = [
            Wanted(path, key)
            for key, path in left.items()
            if reader.content_path(key) is not None  # type: ignore[attr-defined]
        ]
        if not at_hand:
            return
        self._progress.note(f"from {reader.place.label}")
        done = iter_bring(
            at_hand, reader, self._dataset.objects, scratch=self._scratch,  # type: ignore[arg-type]
            source_name=reader.place.label, sync=sync_file_system, jobs=self._jobs,
            throttle=self._dataset.limits.throttle(reader.place, Direction.DOWN),
        )  # fmt: skip
        for wanted, size, error in done:
            if error is not None and isinstance(error, PlaceFullError | AccessError):
                # The fault is here: no other place can mend it.
                yield Outcome(
                    "get", Status.ERROR, wanted.path, wanted.key, error=error, note=error.why
                )
            elif error is not None:
                # It may go right from the next place; if none is left, all of them are told.
                self._refusals.setdefault(wanted.key, []).append(f"{error.what} ({error.why})")
            else:
                self._progress.advance(1, size)
                yield Outcome(
                    "get", Status.OK, wanted.path, key=wanted.key, size=size,
                    note=f"from {reader.place.label}", facts={"from": reader.place.id},
                )  # fmt: skip

    def _bring_remote(
        self, left: Mapping[Key, str], places: Mapping[Key, list[PlaceId]]
    ) -> Iterator[Outcome]:
        from ..transfer.carry import iter_carry
        from ..transfer.plan import Attempts, Planner, SourceFacts
        from ..transfer.staging import open_staging

        far = [r for r in self._sources.readers if not hasattr(r, "content_path")]
        readers, stop = self._limited(far)
        themselves = {reader.place.id: reader for reader in far}
        facts = [
            SourceFacts(
                reader.place, reader.cost, bulk=hasattr(reader, "iter_contents"),
                speculative=getattr(themselves[id], "speculative", False),
            )
            for id, reader in readers.items()
        ]  # fmt: skip
        planner = Planner(facts)
        checked = [id for id, reader in themselves.items() if getattr(reader, "checked", False)]

        def plan(key: Key) -> Attempts:
            return planner.attempts(key, places.get(key, ()))

        objects, unfinished = self._dataset.objects, self._dataset.repository.annex_dir + b"/tmp"
        with open_staging(objects, self._scratch, unfinished, sync_file_system) as staging:
            outcomes = iter_carry(
                [(path, key) for key, path in left.items()], plan, readers, objects,
                jobs=self._jobs, progress=self._progress, staging=staging,
                are_missing=True, on_stop=stop, unchecked_from=checked,
            )  # fmt: skip
            for outcome in outcomes:
                yield self._warned(outcome) if outcome.good else self._explained(outcome)

    def _limited(
        self, readers: Iterable[Readable]
    ) -> tuple[dict[PlaceId, Readable], Callable[[], None]]:
        """Readers that heed their limits, by place, and what wakes those that wait for one."""
        throttles: list[Throttle] = []
        found: dict[PlaceId, Readable] = {}
        for reader in readers:
            throttle = self._dataset.limits.throttle(reader.place, Direction.DOWN)
            warning = self._dataset.limits.warning(reader.place, Direction.DOWN)
            if warning:
                self._warnings[reader.place.id] = warning
            if throttle is None:
                found[reader.place.id] = reader
            else:
                found[reader.place.id] = throttled(reader, throttle)
                throttles.append(throttle)

        def stop() -> None:
            for throttle in throttles:
                throttle.stop()

        return found, stop

    def _warned(self, outcome: Outcome) -> Outcome:
        """What came, and once for each place that it did not come within its limit."""
        if not self._warnings:
            return outcome
        warning = self._warnings.pop(str(outcome.facts.get("from", "")), {})
        return outcome._replace(facts={**outcome.facts, **warning}) if warning else outcome

    def _explained(self, outcome: Outcome) -> Outcome:
        """A failure, with what the places nearby answered and those that could not be asked."""
        assert outcome.key is not None
        answers = list(self._refusals.get(outcome.key, ()))
        known = self._locations([outcome.key])[outcome.key]
        answers += [
            f"{missed.place.label}: {missed.error.what}"
            for missed in self._sources.unreached
            if missed.place.id in known
        ]
        error = outcome.error
        if error is None:
            return outcome
        error.what = error.what.replace(outcome.key.text, outcome.path)
        error.why = "; ".join([*answers, error.why])
        return outcome._replace(error=error, note=error.why)


def _told(file: TrackedFile, status: Status, like: Outcome | None = None) -> Outcome:
    assert file.key is not None
    return Outcome(
        "get", status, os.fsdecode(file.path), key=file.key,
        note=like.note if like else "", error=like.error if like else None,
    )  # fmt: skip
