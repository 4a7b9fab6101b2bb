"""A drill: restore a random sample from pieces alone, and say what that proved."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from ..archive.chosen_paths import ChosenPaths
from ..archive.content_index import ContentIndex
from ..archive.finding import FoundSnapshot
from ..archive.folder_writer import FolderWriter
from ..archive.piece_names import expected_of
from ..archive.pieces import check_whole
from ..archive.plain_tree import PlainTree, TreeFile, files_of
from ..archive.sealed_names import FolderName, MissingName
from ..archive.snapshot_choice import choose
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete, watch
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile, iter_annexed
from ..dataset.unrecorded import unrecorded
from .archive_found import FoundArchive, Pieces, failed, iter_found_again, iter_wrong, open_archive
from .archive_restore import look_for_lost
from .archive_restore_dataset import have_dataset
from .archive_restore_folder import Restorer
from .archive_unsealing import SealedFolder, is_damaged, open_place
from .datasets import Dataset, open_dataset
from .get import Getter
from .key_place import KeyPlace
from .sources import Sources

_SEEDS = 1 << 32

Item = TypeVar("Item")


class _Sample:
    """Some of many things, each as likely as any other; how many there were in all."""

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._chance = random.Random(seed)
        self.of = 0

    def choose(self, items: Iterable[Item]) -> list[Item]:
        """Go through all, keep some, in the order in which they came."""
        kept: list[tuple[int, Item]] = []
        for item in items:
            self.of += 1
            if len(kept) < self._count:
                kept.append((self.of, item))
            elif (place := self._chance.randrange(self.of)) < self._count:
                kept[place] = (self.of, item)
        return [item for _, item in sorted(kept, key=lambda pair: pair[0])]


def iter_archive_drill(
    pieces: Pieces,
    *,
    sample: int,
    whole: int = 0,
    seed: int | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    keys: KeyPlace | None = None,
) -> Iterator[Outcome]:
    """Restore the newest version's history and some random files into a scratch folder.

    The folder is removed at the end. ``whole`` is how many random pieces are read from start to end
    as well, and held against their PieceCIDs. The same ``seed`` chooses the same again.

    Raises:
        NotFoundError: There is no piece.
        IncompleteError: A piece is missing without which nothing can be restored.
    """
    seed = random.SystemRandom().randrange(_SEEDS) if seed is None else seed
    listener = progress or Silence()
    chosen = _Sample(sample, seed)
    report = Report()
    with open_archive(pieces, settings or {}, keys=keys) as found:
        snapshot = choose(found.finding, None)
        yield from watch(iter_wrong("drill", found.finding.faults), report)
        yield from watch(iter_wrong("drill", found.finding.missing), report)
        target = found.scratch + b"/drill"
        if snapshot.manifest.version:
            for outcome in have_dataset(found, snapshot, target, as_anybody=True):
                yield outcome._replace(action="drill", path="history", facts={})
            with open_dataset(target, settings) as dataset:
                dataset.repository.git.run("fsck", "--no-dangling", "--no-progress")
                yield from _iter_contents(dataset, found, snapshot, chosen, listener, report)
        elif snapshot.number in found.unlocked.sealed:
            yield from watch(_iter_sealed(found, snapshot, chosen, target, listener), report)
        else:
            tree = files_of(found.finding, snapshot)
            lost: list[HoldError] = []
            outcomes = _iter_files(chosen.choose(_iter_found(tree, lost)), target, listener)
            yield from watch(outcomes, report)
            yield from iter_wrong("drill", [*lost, *tree.faults])
            yield from iter_found_again("drill", tree.found_again)
        yield from _iter_whole(found, whole, seed)
    yield _told(snapshot.number, chosen, report, seed, has_history=bool(snapshot.manifest.version))


def archive_drill(
    pieces: Pieces,
    *,
    sample: int,
    whole: int = 0,
    seed: int | None = None,
    settings: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    keys: KeyPlace | None = None,
) -> Report:
    """Try a restore on a random sample; see `iter_archive_drill`.

    Raises:
        IncompleteError: Something could not be restored.
    """
    return complete(
        iter_archive_drill(
            pieces,
            sample=sample,
            whole=whole,
            seed=seed,
            settings=settings,
            progress=progress,
            keys=keys,
        )
    )


def _told(number: int, chosen: _Sample, report: Report, seed: int, *, has_history: bool) -> Outcome:
    good = report.count(Status.OK)
    what = "are what their keys say" if has_history else "are what the root names"
    note = f"{good:,} of {chosen.of:,} files, {report.size:,} bytes, {what}"
    if has_history:
        note += "; git has checked all of the history"
    note += f"; --seed {seed} chooses the same"
    facts = {"seed": seed, "sample": good, "files": chosen.of, "bytes": report.size}
    return Outcome("drill", Status.OK, f"snapshot {number}", note=note, facts=facts)


def _iter_whole(found: FoundArchive, count: int, seed: int) -> Iterator[Outcome]:
    """Read some pieces whole; tell of each."""
    if not count:
        return
    from ..kernel.choose import best  # late: it loads libraries

    finding, kernel = found.finding, best()
    for piece in _Sample(count, seed).choose(finding.pieces):
        expected = expected_of(finding, piece)
        if expected is None:
            note = "nothing here tells its PieceCID"
            yield Outcome("check", Status.NOT_NEEDED, piece.name, note=note)
            continue
        try:
            for copy in piece.copies:
                check_whole(copy, expected, kernel)
        except HoldError as error:
            yield failed("check", piece.name, error)
        else:
            note = f"all of it is {expected.v2}"
            yield Outcome("check", Status.OK, piece.name, size=expected.size, note=note)


def _iter_contents(
    dataset: Dataset, found: FoundArchive, snapshot: FoundSnapshot, chosen: _Sample,
    progress: Progress, report: Report,
) -> Iterator[Outcome]:  # fmt: skip
    place, index = open_place(found, snapshot)
    if isinstance(index, ContentIndex) and is_damaged(found, index):
        files = iter_annexed(dataset.repository)
        lost = [file for file in files if file.key is not None and index.find(file.key) is None]
        contents = look_for_lost(found, snapshot, index, lost)
        count = sum(index.find(file.key) is not None for file in lost if file.key is not None)
        yield from iter_found_again("drill", count)
        index.faults += contents.faults

    def in_pieces() -> Iterator[TrackedFile]:
        for file in iter_annexed(dataset.repository):
            if file.key is not None and index.find(file.key) is not None:
                yield file

    sample = chosen.choose(in_pieces())
    for file in sample:
        assert file.key is not None
        place.expect(file.key)
    getter = Getter(dataset, Sources([place], []), progress, dataset.jobs(None))
    with unrecorded(dataset.repository, dataset.objects) as note:
        for outcome in watch(getter.iter_get(sample, note), report):
            yield outcome._replace(action="drill")
    yield from iter_wrong("drill", index.faults)


def _iter_sealed(
    found: FoundArchive, snapshot: FoundSnapshot, chosen: _Sample, target: bytes,
    progress: Progress,
) -> Iterator[Outcome]:  # fmt: skip
    folder = SealedFolder(found, snapshot)
    nothing = (MissingName, FolderName)
    items = (one for one in folder.walk(ChosenPaths(())) if not isinstance(one[1], nothing))
    wanted = chosen.choose(items)
    os.makedirs(target, exist_ok=True)
    with FolderWriter(target) as writer:
        restorer = folder.restorer(writer, progress)
        for outcome in itertools.chain(restorer.iter_block(wanted), restorer.iter_flushed()):
            yield outcome._replace(action="drill")
    for error in folder.locked:
        yield failed("drill", error.what.removesuffix(" is locked"), error)
    yield from iter_wrong("drill", folder.faults)


def _iter_found(tree: PlainTree, lost: list[HoldError]) -> Iterator[TreeFile | HoldError]:
    """The files that are found; why others are not is added to ``lost``, and is no choice."""
    for item in tree.walk(ChosenPaths(())):
        if isinstance(item, HoldError):
            lost.append(item)
        elif item.file is not None:
            yield item


def _iter_files(
    wanted: list[TreeFile | HoldError], target: bytes, progress: Progress
) -> Iterator[Outcome]:
    os.makedirs(target, exist_ok=True)
    with FolderWriter(target) as writer:
        restorer = Restorer(writer, progress)
        for outcome in restorer.iter_block(wanted):
            yield outcome._replace(action="drill")
        for outcome in restorer.iter_flushed():
            yield outcome._replace(action="drill")
