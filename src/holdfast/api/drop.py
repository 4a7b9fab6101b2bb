"""Remove content here, once enough other copies were seen just now."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import islice

from ..core import faults
from ..core.errors import HoldError, PolicyError
from ..core.expressions import NO, UNKNOWN, evaluate, parse
from ..core.facts import Facts
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.place import Place, PlaceId, Presence, Trust
from ..core.policy import CopyRules, DropProof, Waiver, Witness
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile, iter_all_keys, iter_annexed
from ..dataset.populate import WorkFiles
from ..dataset.rules import Rules
from ..dataset.unrecorded import Unrecorded, unrecorded
from ..dataset.waivers import note_waiver
from ..transfer.prove import prove_many
from ..wire import branch_paths, logs
from .datasets import Dataset
from .get import iter_unknown
from .sources import Sources, open_sources
from .unlocked import unlocked_by_key

_BLOCK = 512


def iter_drop(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    all_versions: bool = False,
    unused: bool = False,
    force_reason: str | None = None,
    numcopies: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Remove content of files below some paths; an outcome for each, refused ones with the reason.

    ``numcopies`` stands in for the configured number. ``force_reason`` drops without proof; who
    and why is kept in the data set's log of waivers.
    """
    repository = dataset.repository
    repository.check_writable()
    repository.check_plain_content()
    yield from iter_unknown(dataset, paths, "drop")
    with open_sources(dataset) as sources, unrecorded(repository, dataset.objects) as note:
        dropper = Dropper(dataset, sources, force_reason, numcopies)
        files = _iter_files(dataset, paths, all_versions=all_versions, unused=unused)
        yield from dropper.iter_drop(files, note, progress or Silence())
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
    ) -> None:
        self._dataset = dataset
        self._sources = sources
        self._reason = force_reason
        self._numcopies = numcopies
        self._rules = Rules(dataset.repository)
        self._all_files = dataset.ledger.copy_rules(numcopies)
        self._required = _Required(dataset)
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
                present: list[TrackedFile] = []
                for file in block:
                    assert file.key is not None
                    if file.key in seen or not self._dataset.objects.has(file.key):
                        yield Outcome(
                            "drop", Status.NOT_NEEDED, os.fsdecode(file.path), key=file.key
                        )
                    else:
                        seen.add(file.key)
                        present.append(file)
                for outcome in self._drop_block(present, note):
                    progress.advance(1, outcome.size or 0)
                    yield outcome
        finally:
            progress.stop()

    def _drop_block(self, files: list[TrackedFile], note: Unrecorded) -> Iterator[Outcome]:
        if not files:
            return
        objects = self._dataset.objects
        unlocked = self._unlocked
        work = WorkFiles(self._dataset.repository, objects)
        outcomes: list[Outcome] = []
        with ExitStack() as stack:
            held: list[tuple[TrackedFile, bytes]] = []
            for file in files:
                assert file.key is not None
                try:
                    path = stack.enter_context(objects.hold_for_removal(file.key))
                except HoldError as error:
                    outcomes.append(_refused(file, error))
                    continue
                if path is not None:
                    held.append((file, path))
            leave = self._leave([file for file, _ in held])
            note.add([f.key for f, _ in held if f.key and not isinstance(leave[f.key], HoldError)])
            for file, path in held:
                assert file.key is not None
                given = leave[file.key]
                if isinstance(given, HoldError):
                    outcomes.append(_refused(file, given))
                    continue
                for other in unlocked.get(file.key, ()):
                    work.depopulate(other)
                objects.remove_held(path)
                outcomes.append(_dropped(file, given))
        work.finish()
        yield from outcomes

    def _leave(self, files: list[TrackedFile]) -> dict[Key, DropProof | Waiver | HoldError]:
        """For each key: the leave to drop it, or why there is none."""
        keys = [file.key for file in files if file.key is not None]
        if self._reason is not None:
            return {key: self._waiver(key) for key in keys}
        paths = {file.key: file.path for file in files if file.key is not None}
        leave: dict[Key, DropProof | Waiver | HoldError] = {}
        for key in keys:
            refusal = self._required.refusal(key, paths[key])
            if refusal is not None:
                leave[key] = refusal
        rest = [key for key in keys if key not in leave]
        claims = self._dataset.ledger.locations(rest)
        proofs = prove_many(
            rest, self._dataset.here, claims, self._sources.readers, self._trusted,
            lambda key: self._rules_of(paths[key]), self._unreached(claims),
        )  # fmt: skip
        return {**leave, **proofs}

    def _unreached(self, claims: dict[Key, list[PlaceId]]) -> list[Witness]:
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

    def _rules_of(self, path: bytes) -> CopyRules:
        if self._numcopies is not None:
            return self._all_files
        number, least = self._rules.copies(path)
        rules = self._all_files
        return CopyRules(
            rules.numcopies if number is None else number,
            rules.mincopies if least is None else least,
        )

    def _waiver(self, key: Key) -> Waiver:
        assert self._reason is not None
        waiver = Waiver(key, self._dataset.here, getpass.getuser(), self._reason)
        note_waiver(self._dataset.repository, waiver)
        return waiver


class _Everything:
    """Holds every key."""

    def __contains__(self, key: object) -> bool:
        return True


def _refused(file: TrackedFile, error: HoldError) -> Outcome:
    status = Status.IMPOSSIBLE if isinstance(error, PolicyError) else Status.ERROR
    return Outcome(
        "drop", status, os.fsdecode(file.path), key=file.key, error=error, note=error.why
    )


def _dropped(file: TrackedFile, leave: DropProof | Waiver) -> Outcome:
    assert file.key is not None
    if isinstance(leave, Waiver):
        note = f"forced by {leave.who}: {leave.why}"
    else:
        note = "also in " + ", ".join(sorted(w.place.label for w in leave.witnesses))
        if not leave.witnesses:
            note = "no other copy is required"
    return Outcome(
        "drop", Status.OK, os.fsdecode(file.path), key=file.key, size=file.key.size, note=note
    )


class _DropFacts(Facts):
    """What a required-content rule may ask of a key that is about to leave here."""

    def __init__(self, dataset: Dataset, key: Key, path: bytes) -> None:
        self._dataset = dataset
        self._key = key
        self._path = path

    def path(self) -> bytes:
        """The file, from the top."""
        return self._path

    def size(self) -> int | None:
        """Bytes of content."""
        return self._key.size

    def key(self) -> Key:
        """The key."""
        return self._key

    def holders(self) -> list[Place]:
        """The other places said to have it."""
        ledger = self._dataset.ledger
        ids = ledger.locations([self._key])[self._key]
        return [ledger.place(uuid) for uuid in ids if uuid != self._dataset.here]

    def members(self, group: str) -> list[PlaceId]:
        """The places in a group."""
        groups = logs.parse_groups(self._dataset.ledger.policy_file(branch_paths.GROUP_LOG))
        return [uuid for uuid, names in groups.items() if group in names]

    def present(self) -> bool:
        """It is judged as if it had left already."""
        return False


class _Required:
    """The rule about content that must stay here."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        lines = logs.parse_uuid_log(dataset.ledger.policy_file(branch_paths.REQUIRED_LOG))
        entry = lines.get(dataset.here)
        self._text = entry.value.decode("utf-8", "replace").strip() if entry else ""

    def refusal(self, key: Key, path: bytes) -> HoldError | None:
        """Why a key may not leave, or None. What cannot be decided is taken for required."""
        if not self._text:
            return None
        try:
            answer = evaluate(parse(self._text), _DropFacts(self._dataset, key, path))
        except HoldError:
            answer = UNKNOWN
        if answer is NO:
            return None
        return faults.REQUIRED_HERE(key=key.text, rule=self._text)
