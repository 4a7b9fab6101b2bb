"""Mending what a check found: content brought here from whoever has it, the ledger set right.

What comes is hashed against its key on the way, wherever it comes from. Of other data sets, which
know nothing of this one, content whose key holds no hash is not taken unless that is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..archive.check_report import Mended
from ..archive.verdicts import Checked, Finding, needs_mending
from ..core.abilities import Readable
from ..core.key import Key
from ..core.outcome import Outcome
from ..core.place import WEB, PlaceId, Presence
from ..core.progress import Silence
from ..dataset.annexed import LINK, TrackedFile
from ..dataset.git import no_folder
from ..dataset.git_folder import link_git_folder
from ..dataset.key_facts import KeyFacts
from ..dataset.ledger_write import record_sorted
from ..dataset.other_annexes import OtherAnnex, iter_annexes
from ..dataset.unrecorded import Unrecorded, unrecorded
from ..wire.archive_uris import ARCHIVES, decode
from .datasets import Dataset
from .get import Getter
from .sources import Sources


@dataclass(frozen=True)
class RepairOptions:
    """How to mend: folders with other data sets to look in, and how far these are believed.

    ``dry_run`` changes nothing and says what would be done. ``accept_unhashed`` takes content out
    of other data sets by key and size alone where the key holds no hash.
    """

    look_in: Sequence[bytes] = ()
    accept_unhashed: bool = False
    dry_run: bool = False


@contextmanager
def repairing(
    dataset: Dataset, sources: Sources, options: RepairOptions | None, jobs: int | None
) -> Iterator[Repairer | None]:
    """What mends, for the length of a block, if anything is to be mended; the ledger is told then.

    Raises:
        NotFoundError: A folder to look in is not there.
    """
    if options is None:
        yield None
        return
    others = _other_annexes(dataset, options)
    if options.dry_run:
        with KeyFacts(dataset.repository.annex_dir) as facts:
            yield Repairer(dataset, [*sources.readers, *others], jobs, facts, None)
        return
    link_git_folder(dataset.repository)
    with (
        KeyFacts(dataset.repository.annex_dir) as facts,
        unrecorded(dataset.repository, dataset.objects) as note,
    ):
        try:
            yield Repairer(dataset, [*sources.readers, *others], jobs, facts, note)
        finally:
            sources.write_notes()
            if facts:
                record_sorted(dataset.repository, facts.iter_edits())


def _other_annexes(dataset: Dataset, options: RepairOptions) -> list[OtherAnnex]:
    """Every annex below the folders, each once, but our own."""
    ours = os.path.realpath(os.path.join(dataset.repository.annex_dir, b"objects"))
    found: dict[bytes, OtherAnnex] = {}
    for folder in options.look_in:
        if not os.path.isdir(folder):
            raise no_folder(folder)
        for objects in iter_annexes(os.path.abspath(folder)):
            real = os.path.realpath(objects)
            if real != ours:
                found[real] = OtherAnnex(objects, accept_unhashed=options.accept_unhashed)
    return list(found.values())


class Repairer:
    """Mends block by block; ``corrected`` counts what was wrong in the ledger."""

    def __init__(
        self,
        dataset: Dataset,
        readers: Sequence[Readable],
        jobs: int | None,
        facts: KeyFacts,
        note: Unrecorded | None,
    ) -> None:
        """Without a ``note`` nothing is changed."""
        self._dataset = dataset
        self._readers = readers
        self._jobs = dataset.jobs(jobs)
        self._facts = facts
        self._note = note
        self.corrected = 0

    def mend(self, block: Sequence[Checked]) -> dict[Key, Mended]:
        """Bring what lacks copies, as far as somebody has it; note what the ledger has wrong."""
        wanted = {one.pointer.key: one for one in block if needs_mending(one, self._dataset.here)}
        if self._note is not None:
            self._set_aside(wanted)
        ended = self._bring(wanted) if self._note is not None else self._foresee(wanted)
        for one in block:
            self._correct(one, ended.get(one.pointer.key))
        return ended

    # bringing

    def _set_aside(self, keys: Iterable[Key]) -> None:
        """Move away what is here in the place of content and has another size, as fsck does."""
        for key in keys:
            path = self._dataset.objects.content_path(key)
            if path is not None and key.size not in (None, os.stat(path).st_size):
                self._dataset.objects.set_aside(key, path)

    def _bring(self, wanted: Mapping[Key, Checked]) -> dict[Key, Mended]:
        ended = self._fetch(wanted, self._having(wanted))
        packed = self._packed(one for key, one in wanted.items() if not _is_done(ended, key))
        archives = {archive for found in packed.values() for archive in found}
        if archives and self._fetch_archives(archives):
            again = {key: wanted[key] for key in packed}
            ended.update(self._fetch(again, {key: [ARCHIVES] for key in again}))
        return ended

    def _fetch(
        self, wanted: Mapping[Key, Checked], having: Mapping[Key, list[PlaceId]]
    ) -> dict[Key, Mended]:
        files = [TrackedFile(one.pointer.paths[0], LINK, b"", key) for key, one in wanted.items()]
        return {
            outcome.key: _ended(outcome)
            for outcome in self._get(files, having)
            if outcome.key is not None
        }

    def _fetch_archives(self, archives: Iterable[Key]) -> bool:
        """Bring archives that hold what is wanted; whether any is here now."""
        files = [TrackedFile(bytes(key), LINK, b"", key) for key in archives]
        having = self._dataset.ledger.locations(archives)
        ended = list(self._get(files, having))
        return any(outcome.good for outcome in ended)

    def _get(
        self, files: Sequence[TrackedFile], having: Mapping[Key, list[PlaceId]]
    ) -> Iterator[Outcome]:
        assert self._note is not None
        if files:
            sources = Sources(list(self._readers), [])
            getter = Getter(
                self._dataset, sources, Silence(), self._jobs,
                locations=lambda keys: {key: having.get(key, []) for key in keys},
            )  # fmt: skip
            yield from getter.iter_get(files, self._note)

    def _having(self, wanted: Mapping[Key, Checked]) -> dict[Key, list[PlaceId]]:
        """Who was found to have content, and the web where a URL may be good."""
        return {
            key: [
                finding.place.id
                for finding in one.findings
                if finding.presence is Presence.PRESENT
                or (finding.place.id == WEB and finding.presence is Presence.UNKNOWN)
            ]
            for key, one in wanted.items()
        }

    def _packed(self, left: Iterable[Checked]) -> dict[Key, list[Key]]:
        """Of content in archives that are not here, which ones."""
        found: dict[Key, list[Key]] = {}
        for one in left:
            packed = filter(None, (decode(os.fsencode(url.url)) for url in one.urls))
            archives = [at.archive for at in packed if not self._dataset.objects.has(at.archive)]
            if archives:
                found[one.pointer.key] = archives
        return found

    def _foresee(self, wanted: Mapping[Key, Checked]) -> dict[Key, Mended]:
        """From where content would be tried to be brought."""
        ended: dict[Key, Mended] = {}
        having = self._having(wanted)
        for key in wanted:
            names = [
                reader.place.label
                for reader in self._readers
                if reader.place.id in having[key]
                or (hasattr(reader, "content_path") and reader.content_path(key) is not None)
            ]
            ended[key] = Mended(" or ".join(names), "" if names else _NOWHERE)
        return ended

    # the ledger

    def _correct(self, one: Checked, ended: Mended | None) -> None:
        """Note where the ledger is wrong about a content."""
        key, here = one.pointer.key, self._dataset.here
        for finding in one.findings:
            place = finding.place.id
            if finding.claimed and finding.presence is Presence.ABSENT:
                self._note_place(key, place, present=False, is_here=place == here, ended=ended)
            elif not finding.claimed and _is_proved(finding, here, ended):
                self._note_place(key, place, present=True, is_here=place == here, ended=ended)

    def _note_place(
        self, key: Key, place: PlaceId, *, present: bool, is_here: bool, ended: Mended | None
    ) -> None:
        if is_here:
            if ended is not None and ended.done:
                return  # it was brought, which is told already
            if self._note is not None:
                self._note.add([key])
        else:
            self._facts.set_place(key, place, present=present)
        self.corrected += 1


def _is_done(ended: Mapping[Key, Mended], key: Key) -> bool:
    return key in ended and ended[key].done


_NOWHERE = "it was found nowhere else either"


def _is_proved(finding: Finding, here: PlaceId, ended: Mended | None) -> bool:
    """Whether a place that is not said to have content was found to have it: by hashing it."""
    if finding.presence is not Presence.PRESENT:
        return False
    return finding.place.id == here or (
        ended is not None and ended.done and ended.place == finding.place.id
    )


def _ended(outcome: Outcome) -> Mended:
    if outcome.error is not None:
        return Mended(why_not=f"not mended: {outcome.error.why or outcome.error.what}")
    source = outcome.note.removeprefix("from ")
    return Mended(source, done=True, place=str(outcome.facts.get("from", "")))
