"""Restoring what is archived from its pieces alone: a data set, or a plain folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

from ..archive.chosen_paths import ChosenPaths
from ..archive.content_index import ContentIndex, key_of
from ..archive.finding import FoundSnapshot
from ..archive.lost_contents import LostContents, Wanted
from ..archive.snapshot_choice import choose, why_not
from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.annexed import TrackedFile, iter_annexed
from ..dataset.git_folder import link_git_folder
from ..dataset.unrecorded import unrecorded
from ..wire.archive_rows import MissingRow
from .archive_found import FoundArchive, Pieces, iter_found_again, iter_wrong, open_archive
from .archive_unsealing import is_damaged, iter_restore_sealed, missing_of, open_place
from .datasets import Dataset, open_dataset
from .get import Getter
from .key_place import KeyPlace
from .sources import Sources

RESTORE = "restore"


@dataclass(frozen=True)
class RestorePlan:
    """What to restore: which version (the newest), which files (all); how much at a time."""

    version: str | None = None
    only: Sequence[bytes] = ()
    jobs: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    keys: KeyPlace | None = None
    """Where the keys of an encrypted archive are."""
    lost_found: bool = False
    """Whether to give what is whole and has no name, too; not with ``only``."""


def iter_archive_restore(
    pieces: Pieces,
    target: bytes | None = None,
    *,
    plan: RestorePlan | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Restore a version from pieces alone, given as files, folders and URLs.

    A data set comes with its history, and content is checked against its keys; a plain folder with
    what its root names. Nothing is written outside of the target, and nothing in it is replaced.
    Killed at any moment, the same call goes on. What is in no piece is told with where it was last
    known to be; all else is restored. ``only`` brings the content of some files, and of the pieces
    no more than it takes. With ``lost_found``, what is whole in the pieces though nothing proves
    its name is put into ``lost+found`` of the target, under its CID; and where nothing leads to
    the history of a data set, its files come as a plain folder.

    Raises:
        NotFoundError: There is no piece, or no such version.
        ConflictError: The target is something else.
        IncompleteError: A piece is missing without which nothing can be restored.
        UsageError: ``only`` and ``lost_found`` are both wanted.
    """
    plan = plan or RestorePlan()
    if plan.only and plan.lost_found:
        what = "some files alone and all that has no name cannot be wanted at once"
        raise faults.BAD_USAGE(what=what, command="archive")
    chosen = ChosenPaths(plan.only)
    if target is not None:
        target = os.path.abspath(target)
    else:
        target = _default_target(pieces, plan)
    listener = progress or Silence()
    with ExitStack() as stack:
        found = stack.enter_context(
            open_archive(pieces, plan.settings, target, plan.keys, loose_alone=plan.lost_found)
        )
        snapshot = None
        if found.finding.snapshots:
            snapshot = choose(found.finding, plan.version, files_alone=plan.lost_found)
        yield from iter_wrong(RESTORE, found.finding.faults)
        dataset = None
        if snapshot is not None and snapshot.manifest.version:
            dataset = yield from _iter_dataset(stack, found, snapshot, target, plan)
        if dataset is not None:
            assert snapshot is not None
            outcomes = iter_content(dataset, found, snapshot, chosen, plan.jobs, listener)
            yield from _with_missing(outcomes, found, snapshot, plan)
            if chosen.unmatched:  # perhaps a file that is git's own, and here with the history
                for path in dataset.repository.git.iter_fields("ls-files", "-z"):
                    chosen.has(path)
        elif snapshot is not None:
            outcomes = _iter_folder(found, snapshot, target, chosen, listener)
            yield from _with_missing(outcomes, found, snapshot, plan)
        if plan.lost_found:
            from .archive_lost_found import iter_lost_found

            has = _has_in(dataset)
            yield from iter_lost_found(found, target, has, listener, plan.keys)
        for glob in chosen.unmatched:
            name = os.fsdecode(glob)
            error = faults.ARCHIVE_NO_MATCH(glob=name)
            yield Outcome(RESTORE, Status.ERROR, name, error=error, note=error.why)


def archive_restore(
    pieces: Pieces, target: bytes | None = None, *, plan: RestorePlan | None = None
) -> Report:
    """Restore a version from pieces alone; see `iter_archive_restore`.

    Raises:
        IncompleteError: Something of it is in no piece.
    """
    return complete(iter_archive_restore(pieces, target, plan=plan))


def _iter_dataset(
    stack: ExitStack, found: FoundArchive, snapshot: FoundSnapshot, target: bytes,
    plan: RestorePlan,
) -> Generator[Outcome, None, Dataset | None]:  # fmt: skip
    """Make the data set; gives it, or None where its files are all that is left and are wanted."""
    from .archive_restore_dataset import have_dataset, history_fault

    try:
        yield from have_dataset(found, snapshot, target)
    except HoldError:
        if not plan.lost_found or os.path.lexists(target + b"/.git"):
            raise
        reason = None if snapshot.manifest.is_sealed else history_fault(found, snapshot)
        if reason is None:
            raise
        yield from iter_wrong(RESTORE, [reason])
        return None
    return stack.enter_context(open_dataset(target, plan.settings))


def _iter_folder(
    found: FoundArchive, snapshot: FoundSnapshot, target: bytes, chosen: ChosenPaths,
    progress: Progress,
) -> Iterator[Outcome]:  # fmt: skip
    """The files that the root of a snapshot names; of a data set, what is left without git."""
    if snapshot.number in found.unlocked.sealed:
        outcomes = iter_restore_sealed(found, snapshot, target, chosen, progress)
        reason = None if snapshot.manifest.version else why_not(found.finding, snapshot)
        return outcomes if reason is None else chain(iter_wrong(RESTORE, [reason]), outcomes)
    from .archive_restore_folder import iter_restore_folder

    return iter_restore_folder(found.finding, snapshot, target, chosen, progress)


def _has_in(dataset: Dataset | None) -> Callable[[Key], bool]:
    """Says of what rows name, whatever that is, whether a data set has its content."""
    if dataset is None:
        return lambda _: False
    objects = dataset.objects
    return lambda key: key_of(key) is not None and objects.has(key)


def _default_target(pieces: Pieces, plan: RestorePlan) -> bytes:
    with open_archive(pieces, plan.settings, loose_alone=plan.lost_found) as found:
        name = found.finding.dataset[:8] or "pieces"
    return os.path.abspath(b"restored-" + os.fsencode(name.replace("/", "-").replace("\0", "-")))


def _with_missing(
    outcomes: Iterator[Outcome], found: FoundArchive, snapshot: FoundSnapshot, plan: RestorePlan
) -> Iterator[Outcome]:
    """What is restored; then which pieces are missing, if that was felt."""
    is_complete = plan.version is not None or snapshot is found.finding.snapshots[-1]
    for outcome in outcomes:
        is_complete = is_complete and outcome.good
        yield outcome
    for error in found.finding.missing:
        if is_complete:
            note = f"{error.what}; nothing of this version is in it"
            yield Outcome(RESTORE, Status.NOT_NEEDED, "pieces", note=note)
        else:
            yield from iter_wrong(RESTORE, [error])


def iter_content(
    dataset: Dataset,
    found: FoundArchive,
    snapshot: FoundSnapshot,
    chosen: ChosenPaths,
    jobs: int | None,
    progress: Progress,
) -> Iterator[Outcome]:
    """Bring the content of files from the pieces, by the door that all content comes in by."""
    place, index = open_place(found, snapshot)
    lost: list[TrackedFile] = []

    def files() -> Iterator[TrackedFile]:
        for file in iter_annexed(dataset.repository):
            if file.key is None or not chosen.has(file.path):
                continue
            if dataset.objects.has(file.key) or place.expect(file.key):
                yield file
            else:
                lost.append(file)

    repository = dataset.repository
    repository.check_writable()
    repository.check_plain_content()
    link_git_folder(repository)
    getter = Getter(dataset, Sources([place], []), progress, dataset.jobs(jobs))
    with unrecorded(repository, dataset.objects) as note:
        for outcome in getter.iter_get(files(), note):
            yield outcome._replace(action=RESTORE)
    if lost and isinstance(index, ContentIndex) and is_damaged(found, index):
        contents = look_for_lost(found, snapshot, index, lost)
        again = [file for file in lost if file.key is not None and place.expect(file.key)]
        with unrecorded(repository, dataset.objects) as note:
            for outcome in getter.iter_get(again, note):
                yield outcome._replace(action=RESTORE)
        keys = {file.key for file in again}
        lost = [file for file in lost if file.key not in keys]
        index.faults += contents.faults
        yield from iter_found_again(RESTORE, len(again))
    dataset.forget()
    yield from iter_wrong(RESTORE, index.faults)
    yield from _iter_lost(missing_of(found, index), lost)


def look_for_lost(
    found: FoundArchive, snapshot: FoundSnapshot, index: ContentIndex, lost: Sequence[TrackedFile]
) -> LostContents:
    """Look for what no row names; the index finds it afterwards, if it is in the pieces."""
    contents = LostContents(found.finding, snapshot)
    contents.look([Wanted(file.path, file.key) for file in lost if file.key is not None])
    index.fallback = contents
    found.by_key.update(contents.cids)
    return contents


def _iter_lost(missing: Iterable[MissingRow], lost: Sequence[TrackedFile]) -> Iterator[Outcome]:
    """What is in no piece, with what is known of it."""
    if not lost:
        return
    keys = {bytes(file.key) for file in lost if file.key is not None}
    known: dict[bytes, MissingRow] = {}
    for row in missing:
        if row.key in keys:
            known.setdefault(row.key, row)
    for file in lost:
        assert file.key is not None
        yield _told_lost(os.fsdecode(file.path), file.key, known.get(file.key))


def _told_lost(path: str, key: Key, row: MissingRow | None) -> Outcome:
    detail, urls = "the piece that has it is not here, or damaged", list[str]()
    step = "find the missing pieces; then run the same command again"
    if row is not None:
        detail, urls = f"it was not packed: {row.reason}", list(row.urls)
        step = "look where it was last known to be"
    if urls:
        detail += f"; last known at {', '.join(urls)}"
        step = "hold get FILE    (tries where it was last known to be)"
    error = faults.CONTENT_LOST(path=path, detail=detail, next=step)
    facts = {"urls": urls}
    return Outcome(
        RESTORE, Status.IMPOSSIBLE, path, key, key.size, error.why, error=error, facts=facts
    )
