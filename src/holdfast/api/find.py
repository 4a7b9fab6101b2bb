"""List annexed files by whether and where their content is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.annexed import TrackedFile
from ..dataset.copies import iter_located
from ..dataset.places import Places
from .datasets import Dataset
from .nesting import Walk, iter_in_each
from .reading import Wanted, iter_wanted_files, readable_ledger


def iter_find(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    absent: bool = False,
    anything: bool = False,
    place: str | None = None,
    locked: bool = False,
    unlocked: bool = False,
    largerthan: int | None = None,
    smallerthan: int | None = None,
    wanted_by: str | None = None,
    unwanted_by: str | None = None,
    metadata: Sequence[str] = (),
    levels: int | None = 0,
) -> Iterator[Outcome]:
    """List the annexed files that all of this holds for, in the order of their paths.

    Without ``absent``, ``anything`` or a place: those whose content is here, seen on the disk.
    For another place the ledger's word is taken. Sizes are in bytes, and leave out files whose
    size the key does not tell. ``wanted_by`` a place are files that its rules ask for, there or
    not; ``unwanted_by`` a place those it would let go of. ``metadata`` are tests such as
    ``author=A*``, ``year>=2020``, of which all have to hold. A file is yielded as soon as it is
    found. ``levels`` is how many levels of data sets inside are looked through, None for all; those
    come after the files of what contains them.

    Raises:
        NotFoundError: There is no such place.
        UsageError: A test of metadata makes no sense.
    """
    tests = list(_tests(locked=locked, unlocked=unlocked, least=largerthan, most=smallerthan))
    elsewhere = any(name is not None for name in (place, wanted_by, unwanted_by))
    anywhere = anything or elsewhere or bool(metadata)

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        wanted = Wanted(one, "find", below)
        files = _iter_by_place(one, wanted, place, wanted_by, unwanted_by, metadata)
        yield from wanted.iter_failures()
        if wanted.nothing:
            return
        has = one.objects.has
        for file in files:
            key = file.key
            if key is None or not all(test(file, key) for test in tests):
                continue
            if (absent or not anywhere) and has(key) is absent:
                continue
            yield _outcome(file, key)

    return iter_in_each(dataset, paths, work, "find", Walk(levels))


def _iter_by_place(
    dataset: Dataset,
    wanted: Wanted,
    place: str | None,
    wanted_by: str | None,
    unwanted_by: str | None,
    metadata: Sequence[str],
) -> Iterator[TrackedFile]:
    """The files that a place has or asks for, and that is said of; all where nothing is named."""
    files = iter_wanted_files(dataset, wanted)
    most = not wanted.paths
    if place is not None:
        files = _in_place(dataset, files, place, most=most)
    if wanted_by is not None:
        files = _by_rule(dataset, files, wanted_by, most=most, kept=True)
    if unwanted_by is not None:
        files = _by_rule(dataset, files, unwanted_by, most=most, kept=False)
    if metadata:
        from .find_said import iter_said  # late: few calls ask for it

        files = iter_said(dataset, files, metadata, most=most)
    return files


def _outcome(file: TrackedFile, key: Key) -> Outcome:
    facts = {"backend": os.fsdecode(key.backend), "locked": file.locked}
    return Outcome("find", Status.OK, os.fsdecode(file.path), key, key.size, facts=facts)


_Test = Callable[[TrackedFile, Key], bool]


def _tests(*, locked: bool, unlocked: bool, least: int | None, most: int | None) -> Iterator[_Test]:
    if locked:
        yield lambda file, key: file.locked
    if unlocked:
        yield lambda file, key: not file.locked
    if least is not None:
        yield lambda file, key: key.size is not None and key.size > least
    if most is not None:
        yield lambda file, key: key.size is not None and key.size < most


def _in_place(
    dataset: Dataset, files: Iterator[TrackedFile], name: str, *, most: bool
) -> Iterator[TrackedFile]:
    """Those of the files that a place is said to have; here we look."""
    ledger = readable_ledger(dataset)
    place = Places(dataset.repository, ledger).named(name)
    if place == dataset.repository.uuid:
        has = dataset.objects.has
        return (file for file in files if file.key is not None and has(file.key))
    return (
        located.file
        for located in iter_located(ledger, files, most=most)
        if place in located.places
    )


def _by_rule(
    dataset: Dataset, files: Iterator[TrackedFile], name: str, *, most: bool, kept: bool
) -> Iterator[TrackedFile]:
    """Those of the files that the rules of a place ask for; with ``kept`` false, the others."""
    from ..dataset.content_facts import Content, seen_here  # late: few calls ask for it
    from ..dataset.wanting import Wanting

    ledger = readable_ledger(dataset)
    place = Places(dataset.repository, ledger).named(name)
    wanting = Wanting(dataset.repository, ledger)
    wants = wanting.wants if kept else wanting.wants_to_keep
    has = dataset.objects.has if place == dataset.repository.uuid else None
    for file, key, said in iter_located(ledger, files, most=most):
        places = said if has is None else seen_here(said, place, present=has(key))
        if wants(place, Content(key, file.path, places)) is kept:
            yield file


def find(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """List files; see `iter_find`."""
    return complete(iter_find(dataset, paths, **options))  # type: ignore[arg-type]
