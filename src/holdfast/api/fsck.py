"""Read content again, check it against its key, and mend what can be mended."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from ..core import faults
from ..core.errors import PlaceFullError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import PlaceId, Trust
from ..core.progress import Progress, Silence
from ..core.secure_hashes import SETTING, is_secure_to_git_annex, weakness
from ..dataset import ledger_write
from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
from ..dataset.checking import Checkup, Health, check
from ..dataset.copies import is_dead
from ..dataset.fsck_state import FsckState, forget_state, read_state, write_state
from ..dataset.populate import WorkFiles
from ..dataset.rules import Rules
from ..dataset.shared_config import only_secure_hashes
from ..dataset.unrecorded import Unrecorded, unrecorded
from ..transfer.hands import Hands, are_many, are_small, open_hands
from ..wire import branch_paths, logs
from .datasets import Dataset
from .get import Getter
from .nesting import Walk, iter_in_each
from .sources import Sources, open_sources
from .unknown import iter_unknown

_BLOCK = 16384
_BLOCK_STOPPABLE = 64
"""Files between two looks at the clock, or two notes of how far an incremental fsck came."""
_BYTES_STOPPABLE = 64 << 20
"""So many bytes too, or one file: what is read between two such looks."""
_PART = 32


def iter_fsck(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    fast: bool = False,
    incremental: bool = False,
    time_limit_s: float | None = None,
    repair: bool = False,
    all_versions: bool = False,
    jobs: int | None = None,
    levels: int | None = 0,
    follow: bool = True,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Check the content of files below some paths; an outcome for each.

    ``fast`` looks at sizes only. ``incremental`` goes on where the last such fsck stopped, which
    ``time_limit_s`` makes it do; a failure at the end says so when files were left. Damaged
    content is set aside; ``repair`` brings it again from other places, and what was lost here. The
    ledger is made to say what is really here. ``levels`` is how many levels of data sets inside are
    checked too, None for all: without ``incremental`` and ``time_limit_s``, which are about one.
    Without ``follow`` a path that leads into one is refused.
    """
    in_parts = incremental or time_limit_s is not None
    assert levels == 0 or not in_parts, "the next one would begin at the top"

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_fsck_in(
            one, below, fast=fast, incremental=incremental, time_limit_s=time_limit_s,
            repair=repair, all_versions=all_versions, jobs=jobs, progress=progress,
        )  # fmt: skip

    walk = Walk(levels, follow=follow and not in_parts)
    return iter_in_each(dataset, paths, work, "fsck", walk)


def _iter_fsck_in(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    fast: bool,
    incremental: bool,
    time_limit_s: float | None,
    repair: bool,
    all_versions: bool,
    jobs: int | None,
    progress: Progress | None,
) -> Iterator[Outcome]:
    repository = dataset.repository
    repository.check_writable()
    yield from iter_unknown(dataset, paths, "fsck")
    scope = "\0".join(os.fsdecode(p) for p in sorted(paths)) + f"\0{fast}\0{all_versions}"
    state = read_state(repository, scope) if incremental else None
    began_at = state.began_at if state else time.time()
    files = _iter_files(dataset, paths, all_versions=all_versions)
    if state is not None:
        after = os.fsencode(state.after)
        files = (file for file in files if file.path > after)
    run = _Run(dataset, fast=fast, jobs=dataset.jobs(jobs))
    ends_at = time.monotonic() + time_limit_s if time_limit_s is not None else None
    finished = True
    listener = progress or Silence()
    listener.start(None, None)
    try:
        with unrecorded(repository, dataset.objects) as note, open_sources(dataset) as sources:
            last = b""
            for block in _iter_blocks(files, stoppable=incremental or ends_at is not None):
                if last and ends_at is not None and time.monotonic() >= ends_at:
                    finished = False
                    break
                yield from run.iter_block(block, note, sources if repair else None, listener)
                last = block[-1].path
                if incremental:
                    write_state(repository, FsckState(began_at, scope, os.fsdecode(last)))
    finally:
        run.close()
        listener.stop()
    if finished and incremental:
        forget_state(repository)
    if finished and not paths:
        _record_activity(dataset)
    dataset.forget()
    if not finished:
        options = (("--fast", fast), ("--repair", repair), ("--all", all_versions))
        again = ["hold fsck --incremental", *(name for name, given in options if given)]
        again += [shlex.quote(os.fsdecode(path)) for path in paths]
        yield _time_is_up(last, " ".join(again), incremental=incremental)


def fsck(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Check content; see `iter_fsck`.

    Raises:
        IncompleteError: Something is damaged, or has too few copies.
    """
    return complete(iter_fsck(dataset, paths, **options))  # type: ignore[arg-type]


def _iter_files(
    dataset: Dataset, paths: Sequence[bytes], *, all_versions: bool
) -> Iterator[TrackedFile]:
    if not all_versions:
        return iter_annexed(dataset.repository, paths)
    files = (
        TrackedFile(path, b"120000", b"", key)
        for key, path in iter_all_keys(dataset.repository)
        if not paths or any(path == p or path.startswith(p + b"/") for p in paths)
    )
    return iter(sorted(files, key=lambda file: file.path))


def _iter_blocks(files: Iterable[TrackedFile], *, stoppable: bool) -> Iterator[list[TrackedFile]]:
    """Files in parts; small parts, also by bytes, if it has to be possible to stop in between."""
    count_max = _BLOCK_STOPPABLE if stoppable else _BLOCK
    block: list[TrackedFile] = []
    size = 0
    for file in files:
        more = (file.key.size or 0) if file.key is not None else 0
        if len(block) == count_max or (stoppable and block and size + more > _BYTES_STOPPABLE):
            yield block
            block, size = [], 0
        block.append(file)
        size += more
    if block:
        yield block


def _time_is_up(last: bytes, again: str, *, incremental: bool) -> Outcome:
    """The failure that says where the time limit ended the work."""
    after = "goes on from there" if incremental else "each one goes on where the last one stopped"
    error = faults.TIME_IS_UP(last=os.fsdecode(last), next=f"{again}    ({after})")
    return Outcome("fsck", Status.ERROR, error=error, note=f"{error.what}; {error.why}")


class _Run:
    def __init__(self, dataset: Dataset, *, fast: bool, jobs: int) -> None:
        self._dataset = dataset
        self._here = dataset.here
        self._fast = fast
        self._jobs = jobs
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(jobs))
        self._hands: Hands[Sequence[Key], list[Checkup]] | None = None
        self._rules = Rules(dataset.repository)
        self._copies = dataset.ledger.copy_rules()
        trust = dataset.ledger.trust
        self._untrusted = {uuid for uuid, level in trust.items() if level is Trust.UNTRUSTED}
        self._secure_only = only_secure_hashes(dataset.repository, dataset.ledger)
        self._ended: dict[Key, Outcome] = {}
        """What was said of damaged or repaired content: it goes for each file that has it."""

    def iter_block(
        self,
        block: list[TrackedFile],
        note: Unrecorded,
        sources: Sources | None,
        progress: Progress,
    ) -> Iterator[Outcome]:
        """Check a block of files; those damaged are repaired from ``sources`` if there are any."""
        keys = list(dict.fromkeys(file.key for file in block if file.key is not None))
        part = min(_PART, -(-len(keys) // self._jobs)) or 1
        parts = [keys[start : start + part] for start in range(0, len(keys), part)]
        hands = self._find_hands(keys)
        checked = iter(hands.map(parts) if hands else self._pool.map(self._check_all, parts))
        # Read while others check.
        claims = self._dataset.ledger.locations(keys)
        results: dict[Key, Checkup] = {}
        told: set[Key] = set()
        with WorkFiles(self._dataset.repository, self._dataset.objects) as work:
            for file in block:
                assert file.key is not None
                while file.key not in results:
                    found = next(checked)
                    self._mend_ledger(found, claims, note)
                    results.update((one.key, one) for one in found)
                result = results[file.key]
                progress.advance(1, result.size if file.key not in told else 0)
                if file.key in self._ended:
                    yield _told_again(self._ended[file.key], file)
                elif result.health is Health.BAD:
                    ended = self._damaged(file, result, claims[file.key], sources, note)
                    yield self._ended.setdefault(file.key, ended)
                else:
                    if not file.locked:
                        work.populate(file)
                    yield self._verdict(file, result, claims[file.key], sources, note)
                told.add(file.key)

    def close(self) -> None:
        """Let go of who shared the work."""
        self._stack.close()

    def _find_hands(self, keys: Sequence[Key]) -> Hands[Sequence[Key], list[Checkup]] | None:
        """Others to share the work, where there are many small files."""
        if not are_small([key.size for key in keys]):
            return None
        if self._hands is None and are_many(len(keys)):
            begin = self._dataset.repository.git.abandon
            opened = open_hands(self._check_all, self._jobs, begin=begin)
            self._hands = self._stack.enter_context(opened)
        return self._hands

    def _check_all(self, keys: Sequence[Key]) -> list[Checkup]:
        return [check(self._dataset.objects, key, fast=self._fast) for key in keys]

    def _mend_ledger(
        self, found: Sequence[Checkup], claims: dict[Key, list[PlaceId]], note: Unrecorded
    ) -> None:
        """Note keys of which the ledger says something else than what is here."""
        wrong = [
            one.key
            for one in found
            if (one.health is Health.MISSING) == (self._here in claims[one.key])
            or one.health is Health.BAD
        ]
        if wrong:
            note.add(wrong)

    def _damaged(
        self,
        file: TrackedFile,
        result: Checkup,
        claims: list[PlaceId],
        sources: Sources | None,
        note: Unrecorded,
    ) -> Outcome:
        assert file.key is not None
        objects = self._dataset.objects
        path = objects.content_path(file.key)
        assert path is not None
        bad = objects.set_aside(file.key, path)
        others = [p for p in claims if p != self._here]
        error = faults.DAMAGED(
            path=os.fsdecode(file.path), detail=result.detail, bad=os.fsdecode(bad),
            others=_places(self._dataset, others) or "no other copy is known",
        )  # fmt: skip
        if sources is not None:
            repaired = self._repaired(file, sources, note)
            if repaired.error is None:
                return repaired
            error.why += f"; not repaired: {repaired.error.what} ({repaired.error.why})"
            if isinstance(repaired.error, PlaceFullError):
                error = repaired.error
        return Outcome(
            "fsck", Status.ERROR, os.fsdecode(file.path), key=file.key, error=error,
            note=f"damaged: {result.detail}", facts={"damaged": os.fsdecode(bad)},
        )  # fmt: skip

    def _verdict(
        self,
        file: TrackedFile,
        result: Checkup,
        claims: list[PlaceId],
        sources: Sources | None,
        note: Unrecorded,
    ) -> Outcome:
        """What to say of a file that is not damaged; what was lost here may be brought again."""
        assert file.key is not None
        told = self._warned(self._told(file, result, claims), result)
        if sources is None or not self._is_lost(result, claims, told):
            return told
        others = any(place != self._here for place in claims)
        if not others and not _is_near(sources, file.key):
            return told
        repaired = self._repaired(file, sources, note)
        if repaired.error is not None:
            return told
        return self._ended.setdefault(file.key, repaired)

    def _is_lost(self, result: Checkup, claims: list[PlaceId], told: Outcome) -> bool:
        """Whether content is missing that was here by the ledger, was set aside, or is nowhere."""
        if result.health is not Health.MISSING:
            return False
        return (
            self._here in claims
            or (told.error is not None and told.error.code == faults.NO_COPIES.code)
            or os.path.exists(self._dataset.objects.bad_path(result.key))
        )

    def _repaired(self, file: TrackedFile, sources: Sources, note: Unrecorded) -> Outcome:
        """Bring content that is not here any more; with an error when no place gave it."""
        assert file.key is not None
        bad = self._dataset.objects.bad_path(file.key)
        getter = Getter(self._dataset, sources, Silence(), self._jobs)
        (outcome,) = getter.iter_get([file], note)
        if outcome.error is not None:
            return outcome
        facts: dict[str, object] = {"repaired": True}
        was = "missing"
        if os.path.exists(bad):
            was, facts["damaged"] = "damaged", os.fsdecode(bad)
        return Outcome(
            "fsck", Status.OK, os.fsdecode(file.path), key=file.key, size=outcome.size,
            note=f"was {was}; repaired {outcome.note}", facts=facts,
        )  # fmt: skip

    def _told(self, file: TrackedFile, result: Checkup, claims: list[PlaceId]) -> Outcome:
        assert file.key is not None
        name = os.fsdecode(file.path)
        here = self._here
        good = {p for p in claims if p != here and p not in self._untrusted}
        if result.health is not Health.MISSING and here not in self._untrusted:
            good.add(here)
        number = self._rules.copies(file.path)[0]
        needed = self._copies.numcopies if number is None else number
        note = result.detail
        if result.health is Health.MISSING and here in claims:
            note = "the ledger said it is here; mended"
        if not good and needed > 0:
            if is_dead(self._dataset.ledger.read(branch_paths.location_log(file.key))):
                note = "its content was declared dead"
                return Outcome("fsck", Status.NOT_NEEDED, name, key=file.key, note=note)
            detail = "the ledger names no place that has it"
            error = faults.NO_COPIES(path=name, detail=detail)
            return Outcome("fsck", Status.ERROR, name, key=file.key, error=error, note=error.what)
        if len(good) < needed:
            error = faults.FEW_COPIES(
                path=name, seen=len(good), needed=needed, answers=_places(self._dataset, good)
            )
            return Outcome("fsck", Status.ERROR, name, key=file.key, error=error, note=error.what)
        if result.health is Health.MISSING:
            return Outcome("fsck", Status.NOT_NEEDED, name, key=file.key, note=note)
        if result.health is Health.UNCHECKED:
            note = "its key holds no hash; only the size was looked at"
        return Outcome("fsck", Status.OK, name, key=file.key, size=result.size, note=note)

    def _warned(self, outcome: Outcome, result: Checkup) -> Outcome:
        """The same with a warning, if content is here that would not be let in any more.

        It stays, and is no failure to git-annex either.
        """
        backend = result.key.backend
        if (
            not self._secure_only
            or result.health is Health.MISSING
            or is_secure_to_git_annex(backend)
        ):
            return outcome
        name = backend.decode("utf-8", "replace")
        warning = f"here despite {SETTING}: {name} {weakness(backend)}"
        return outcome._replace(facts={**outcome.facts, "warning": warning})


def _told_again(outcome: Outcome, file: TrackedFile) -> Outcome:
    """What was said of one file, said of another that has the same content."""
    name, error = os.fsdecode(file.path), outcome.error
    if error is not None and error.code == faults.DAMAGED.code:
        same = faults.DAMAGED(path=name, detail=error.why, bad="", others="")
        same.safe = error.safe
        error = same
    return outcome._replace(path=name, size=None, error=error)


def _is_near(sources: Sources, key: Key) -> bool:
    """Whether a place whose files we can open has content, whatever the ledger says."""
    return any(
        reader.content_path(key) is not None
        for reader in sources.readers
        if hasattr(reader, "content_path")
    )


def _places(dataset: Dataset, places: Iterable[PlaceId]) -> str:
    names = sorted(dataset.ledger.place(uuid).label for uuid in places)
    return "copies are said to be in " + ", ".join(names) if names else ""


def _record_activity(dataset: Dataset) -> None:
    """Write down, as git-annex does, that all of this place was looked at now."""
    if dataset.repository.private:
        return

    def edit(old: bytes) -> bytes:
        return logs.set_uuid_log(old, dataset.here, b"Fsck", ledger_write.now())

    ledger_write.record(dataset.repository, [(branch_paths.ACTIVITY_LOG, edit)])
