"""Remove content here, once enough other copies were seen just now."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property, lru_cache
from itertools import chain, islice

from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import Place, PlaceId, Presence, Trust
from ..core.policy import DropProof, Waiver, Witness
from ..core.progress import Progress, Silence
from ..core.user import user_name
from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
from ..dataset.objects import Held
from ..dataset.populate import WorkFiles
from ..dataset.rules_of_keys import RulesOfKeys
from ..dataset.unrecorded import Unrecorded, unrecorded
from ..dataset.waivers import note_waiver
from ..transfer.hands import Hands, are_many, open_hands
from ..transfer.prove import blind_places, promised, prove_many
from .datasets import Dataset
from .nesting import Walk, iter_in_each
from .required import Required
from .sources import Sources, open_sources
from .unknown import iter_unknown
from .unlocked import unlocked_by_key

_BLOCK = 8192
_HELD_MAX = 256
"""So many contents are locked at a time: each keeps a file open."""

Claims = dict[Key, list[PlaceId]]
Leave = DropProof | Waiver | HoldError
Item = Outcome | TrackedFile
"""What is already known of a file, or the file."""

Task = tuple[Sequence[Item], Claims]
"""A part of the files, and what the ledger says of them."""


def iter_drop(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    all_versions: bool = False,
    unused: bool = False,
    force_reason: str | None = None,
    numcopies: int | None = None,
    auto: bool = False,
    levels: int | None = 0,
    follow: bool = True,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Remove content of files below some paths; an outcome for each, refused ones with the reason.

    ``numcopies`` stands in for the configured number. ``force_reason`` drops without proof; who
    and why is kept in the data set's log of waivers. ``auto`` passes over what is not here, is
    wanted here, or has too few other copies by the ledger. ``levels`` is how many levels of data
    sets inside lose theirs too, None for all; without ``follow`` a path that leads into one is
    refused.
    """

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_drop_in(
            one, below, all_versions=all_versions, unused=unused, force_reason=force_reason,
            numcopies=numcopies, auto=auto, progress=progress or Silence(),
        )  # fmt: skip

    return iter_in_each(dataset, paths, work, "drop", Walk(levels, follow=follow))


def _iter_drop_in(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    all_versions: bool,
    unused: bool,
    force_reason: str | None,
    numcopies: int | None,
    auto: bool,
    progress: Progress,
) -> Iterator[Outcome]:
    repository = dataset.repository
    repository.check_writable()
    repository.check_plain_content()
    yield from iter_unknown(dataset, paths, "drop")
    with open_sources(dataset) as sources, unrecorded(repository, dataset.objects) as note:
        dropper = Dropper(dataset, sources, force_reason, numcopies)
        files = _iter_files(dataset, paths, all_versions=all_versions, unused=unused)
        if auto:
            from .auto import iter_to_drop  # late: policy is read only where it is asked for

            files = iter_to_drop(dataset, files, numcopies)
        yield from dropper.iter_drop(files, note, progress)
    dataset.forget()


def drop(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Remove content here; see `iter_drop`.

    Raises:
        IncompleteError: Some content had to stay.
    """
    return complete(iter_drop(dataset, paths, **options))  # type: ignore[arg-type]


def _iter_files(
    dataset: Dataset, paths: Sequence[bytes], *, all_versions: bool, unused: bool
) -> Iterator[TrackedFile]:
    if unused:
        from ..dataset.usage import iter_unused_keys

        for key in iter_unused_keys(dataset.repository, dataset.objects):
            yield TrackedFile(key.file_name, b"120000", b"", key)
    elif all_versions:
        for key, path in iter_all_keys(dataset.repository):
            if not paths or any(path == p or path.startswith(p + b"/") for p in paths):
                yield TrackedFile(path, b"120000", b"", key)
    else:
        yield from iter_annexed(dataset.repository, paths)


class Dropper:
    """Drops content, block by block: locked, witnessed, proved, removed, noted."""

    def __init__(
        self,
        dataset: Dataset,
        sources: Sources,
        force_reason: str | None = None,
        numcopies: int | None = None,
        rules: RulesOfKeys | None = None,
    ) -> None:
        """``rules`` stand in for those of the data set."""
        self._dataset = dataset
        self._sources = sources
        self._blind = blind_places(sources.readers)
        self._reason = force_reason
        self._jobs = dataset.jobs(None)
        self._stack = ExitStack()
        self._hands: Hands[Task, list[Outcome]] | None = None
        self._rules = rules or rules_of_keys(dataset, numcopies)
        self._required = Required(dataset, dataset.here)
        ledger = dataset.ledger
        self._trusted = [
            ledger.place(uuid) for uuid, level in ledger.trust.items() if level is Trust.TRUSTED
        ]

    @cached_property
    def _unlocked(self) -> dict[Key, list[TrackedFile]]:
        return unlocked_by_key(self._dataset.repository, _Everything())

    def iter_drop(
        self, files: Iterable[TrackedFile], note: Unrecorded, progress: Progress
    ) -> Iterator[Outcome]:
        """Drop what may be dropped; outcomes in the order of the files."""
        source = iter(files)
        seen: set[Key] = set()
        progress.start(None, None)
        try:
            while block := list(islice(source, _BLOCK)):
                claims = self._dataset.ledger.locations(f.key for f in block if f.key)
                items = [_unless_seen(file, seen) for file in block]
                parts = [items[n : n + _HELD_MAX] for n in range(0, len(items), _HELD_MAX)]
                for outcome in self._drop_parts(parts, claims, note):
                    progress.advance(1, outcome.size or 0)
                    yield outcome
        finally:
            self._stack.close()
            self._dataset.objects.forget_empty()
            progress.stop()

    def _drop_parts(
        self, parts: Sequence[Sequence[Item]], claims: Claims, note: Unrecorded
    ) -> Iterator[Outcome]:
        hands = self._find_hands(parts, claims)
        if hands is None:
            for part in parts:
                yield from self._drop_part(part, _claims_of(part, claims), note)
            return
        for outcome in chain.from_iterable(hands.map(_tasks(parts, claims, note))):
            if outcome.status is Status.OK and outcome.key is not None:
                note.ended(outcome.key, present=False)
            elif outcome.key is not None:
                note.forget(outcome.key)
            yield outcome

    def _find_hands(
        self, parts: Sequence[Sequence[Item]], claims: Claims
    ) -> Hands[Task, list[Outcome]] | None:
        """Others to share the work, where only files of this machine are asked and changed."""
        if self._reason is not None or not are_many(sum(map(len, parts))):
            return None
        near = {r.place.id for r in self._sources.readers if hasattr(r, "content_path")}
        far = {reader.place.id for reader in self._sources.readers} - near
        if any(not far.isdisjoint(places) for places in claims.values()):
            return None
        if self._required.is_set or not self._unlocked.keys().isdisjoint(claims):
            return None
        if self._hands is None:
            self._rules.prepare()
            opened = open_hands(
                self._drop_in_hand, self._jobs,
                begin=self._dataset.repository.git.abandon,
                end=self._dataset.objects.forget_empty,
            )  # fmt: skip
            self._hands = self._stack.enter_context(opened)
        return self._hands

    def _drop_in_hand(self, task: Task) -> list[Outcome]:
        part, claims = task
        return list(self._drop_part(part, claims, None))

    def _drop_part(
        self, part: Sequence[Item], claims: Claims, note: Unrecorded | None
    ) -> Iterator[Outcome]:
        """Drop a part; ``note`` None where somebody else keeps it."""
        held: dict[Key, Held] = {}
        told: list[Item] = []
        try:
            for given in part:
                told.append(given if isinstance(given, Outcome) else self._hold(given, held))
            waiting = [file for file in told if isinstance(file, TrackedFile)]
            leave = self._leave(waiting, claims)
            if note is not None:
                note.add([key for key, given in leave.items() if not isinstance(given, HoldError)])
            with WorkFiles(self._dataset.repository, self._dataset.objects) as work:
                for item in told:
                    if isinstance(item, Outcome):
                        yield item
                    else:
                        yield self._end(item, leave, claims, held, work, note)
        finally:
            for left in held.values():
                self._dataset.objects.release(left)

    def _hold(self, file: TrackedFile, held: dict[Key, Held]) -> Item:
        """Lock the content of a file; the file when that went well, else what to tell of it."""
        assert file.key is not None
        try:
            found = self._dataset.objects.hold(file.key)
        except HoldError as error:
            return _refused(file, error)
        if found is None:
            return _not_needed(file)
        held[file.key] = found
        return file

    def _end(
        self,
        file: TrackedFile,
        leave: dict[Key, Leave],
        claims: Claims,
        held: dict[Key, Held],
        work: WorkFiles,
        note: Unrecorded | None,
    ) -> Outcome:
        assert file.key is not None
        given = leave[file.key]
        context: AbstractContextManager[Leave] = nullcontext(given)
        if isinstance(given, DropProof) and self._blind:
            context = promised(given, self._blind)
        with context as sure:
            if isinstance(sure, HoldError) and isinstance(given, DropProof):
                sure = self._prove_by_sight(file.key, claims) or sure
                if isinstance(sure, HoldError) and note is not None:
                    note.forget(file.key)
            if isinstance(sure, HoldError):
                return _refused(file, sure)
            for other in self._unlocked.get(file.key, ()):
                work.depopulate(other)
            self._dataset.objects.remove(held.pop(file.key))
        if note is not None:
            note.ended(file.key, present=False)
        return _dropped(file, sure)

    def _leave(self, files: list[TrackedFile], claims: Claims) -> dict[Key, Leave]:
        """For each key: the leave to drop it, or why there is none."""
        paths = {file.key: self._names_of(file) for file in files if file.key is not None}
        if self._reason is not None:
            return {key: self._waiver(key) for key in paths}
        leave: dict[Key, Leave] = {}
        for key, names in paths.items():
            refusals = (self._required.refusal(key, name) for name in names)
            refusal = next((found for found in refusals if found is not None), None)
            if refusal is not None:
                leave[key] = refusal
        rest = [key for key in paths if key not in leave]
        rules = {key: self._rules.of(key) for key in rest}
        proofs = prove_many(
            rest, self._dataset.here, claims, self._sources.readers, self._trusted,
            rules.__getitem__, self._unreached(claims),
        )  # fmt: skip
        return {**leave, **proofs}

    def _prove_by_sight(self, key: Key, claims: Claims) -> DropProof | None:
        """A proof without those places that would have to promise something, if there is one."""
        readers = [r for r in self._sources.readers if r.place.id not in self._blind]
        proofs = prove_many(
            [key], self._dataset.here, claims, readers, self._trusted, self._rules.of
        )
        proof = proofs[key]
        return proof if isinstance(proof, DropProof) else None

    def _unreached(self, claims: Claims) -> list[Witness]:
        """Places the ledger names that nobody could ask: for the refusal to tell of."""
        asked = {reader.place.id for reader in self._sources.readers} | {self._dataset.here}
        named = {place for places in claims.values() for place in places} - asked
        why = {missed.place.id: missed.error.what for missed in self._sources.unreached}
        nobody = Key(b"")
        return [
            Witness(
                nobody, self._dataset.ledger.place(uuid), Presence.UNKNOWN,
                remark=why.get(uuid, "no remote here leads to it"),
            )
            for uuid in sorted(named)
            if self._dataset.ledger.trust.get(uuid) is not Trust.TRUSTED
        ]  # fmt: skip

    def _names_of(self, file: TrackedFile) -> Collection[bytes]:
        """The file, and those that share its content, as far as a rule may tell them apart."""
        assert file.key is not None
        return {file.path, *(self._rules.files_of(file.key) if self._required.is_set else ())}

    def _waiver(self, key: Key) -> Waiver:
        assert self._reason is not None
        waiver = Waiver(key, self._dataset.here, user_name(), self._reason)
        note_waiver(self._dataset.repository, waiver)
        return waiver


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
        dropper = Dropper(dataset, sources, force_reason, numcopies)
        yield from dropper.iter_drop(files, note, Silence())
    dataset.forget()


def rules_of_keys(dataset: Dataset, numcopies: int | None) -> RulesOfKeys:
    """How many copies must stay; ``numcopies`` stands in for the number that is configured."""
    usual = dataset.ledger.copy_rules(numcopies)
    return RulesOfKeys(dataset.repository, usual, number_is_given=numcopies is not None)


class _Everything:
    """Holds every key."""

    def __contains__(self, key: object) -> bool:
        return True


def _unless_seen(file: TrackedFile, seen: set[Key]) -> Item:
    assert file.key is not None
    if file.key in seen:
        return _not_needed(file)
    seen.add(file.key)
    return file


def _not_needed(file: TrackedFile) -> Outcome:
    return Outcome("drop", Status.NOT_NEEDED, os.fsdecode(file.path), key=file.key)


def _tasks(parts: Sequence[Sequence[Item]], claims: Claims, note: Unrecorded) -> Iterator[Task]:
    """The parts, each with what it has to know; noted before they are given away."""
    for part in parts:
        known = _claims_of(part, claims)
        note.add(known)
        yield part, known


def _claims_of(part: Sequence[Item], claims: Claims) -> Claims:
    """What the ledger says of the files of a part that are still to be dropped."""
    keys = (item.key for item in part if isinstance(item, TrackedFile))
    return {key: claims[key] for key in keys if key is not None}


def _refused(file: TrackedFile, error: HoldError) -> Outcome:
    status = Status.IMPOSSIBLE if isinstance(error, PolicyError) else Status.ERROR
    if file.key is not None and file.path:
        error.what = error.what.replace(file.key.text, os.fsdecode(file.path))
    return Outcome(
        "drop", status, os.fsdecode(file.path), key=file.key, error=error, note=error.why
    )


def _dropped(file: TrackedFile, leave: DropProof | Waiver) -> Outcome:
    assert file.key is not None
    if isinstance(leave, Waiver):
        note = f"forced by {leave.who}: {leave.why}"
    else:
        note = _where(tuple(witness.place for witness in leave.witnesses))
    return Outcome(
        "drop", Status.OK, os.fsdecode(file.path), key=file.key, size=file.key.size, note=note
    )


@lru_cache
def _where(places: tuple[Place, ...]) -> str:
    if not places:
        return "no other copy is required"
    return "also in " + ", ".join(sorted(place.label for place in places))
