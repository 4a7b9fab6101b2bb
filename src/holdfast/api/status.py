"""Show what differs from the last saved version."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.system_errors import as_fault
from ..dataset import status as looking
from ..dataset.changes import folders_not_read
from ..dataset.status import Kind, PathStatus, State, Untracked
from ..dataset.submodules import is_installed
from .datasets import Dataset
from .nesting import Walk, iter_nested, open_inside, rerooted
from .reading import Wanted


def iter_status(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    annex: bool = False,
    clean: bool = False,
    untracked: str = Untracked.ALL,
    levels: int | None = 0,
) -> Iterator[Outcome]:
    """Tell of each path that differs; with ``annex`` of every path, and whether content is here.

    ``clean`` tells of every path without looking for content. ``untracked`` is no, normal (a new
    folder as one) or all. An unlocked file that was touched but not changed is clean. A
    folder that may not be read is told of as an error. ``levels`` is how many levels of data sets
    inside are looked into, None for all; each comes before what is in it. Nothing is written.

    Raises:
        UsageError: The repository is bare: it has no files to compare.
    """
    if dataset.repository.bare:
        raise faults.BAD_USAGE(
            what="a bare repository has no files that could differ", command="status"
        )
    look = _Look(annex, clean, Untracked(untracked), levels)
    for nested in iter_nested(dataset, paths, Walk(enter=False)):
        if isinstance(nested, Outcome):
            yield nested
        elif nested.concerned:
            found = _iter_in(nested.dataset, nested.paths, look)
            yield from rerooted(found, nested.prefix.rstrip(b"/"))


class _Look(NamedTuple):
    """What to tell, and how far down to look."""

    annex: bool
    clean: bool
    untracked: Untracked
    levels: int | None

    @property
    def deeper(self) -> _Look:
        return self if self.levels is None else self._replace(levels=self.levels - 1)


def _iter_in(dataset: Dataset, paths: Sequence[bytes], look: _Look) -> Iterator[Outcome]:
    wanted = Wanted(dataset, "status", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    warnings: list[bytes] = []
    everything = look.clean or look.annex
    found = looking.iter_status(
        dataset.repository,
        dataset.objects if dataset.repository.uuid else None,
        wanted.paths,
        clean=everything,
        untracked=look.untracked,
        warnings=warnings,
    )
    for status in found:
        if status.kind is not Kind.DATASET or look.levels == 0:
            yield _outcome(dataset, status, annex=look.annex)
        elif everything or status.inside:
            yield from _iter_inside(dataset, status, look)
        else:
            yield _outcome(dataset, status, annex=False)
    for path in sorted(folders_not_read(warnings)):
        name = os.fsdecode(path)
        error = as_fault(PermissionError(errno.EACCES, "Permission denied"), name, reading=True)
        yield Outcome("status", Status.ERROR, name, error=error, note=str(error))


def _iter_inside(dataset: Dataset, status: PathStatus, look: _Look) -> Iterator[Outcome]:
    """A data set inside, then what differs in it; one that only looked changed is left out.

    Git alone cannot tell whether an unlocked file was touched or changed.
    """
    itself = _outcome(dataset, status, annex=False)
    if not is_installed(os.path.join(dataset.top, status.path)):
        yield itself
        return
    try:
        opened = open_inside(dataset, status.path)
    except HoldError as error:
        yield itself
        yield Outcome("status", Status.ERROR, itself.path, error=error, note=error.why)
        return
    with opened as inner:
        found = rerooted(_iter_in(inner, (), look.deeper), status.path)
        first = next(found, None)
        if status.moved or not status.inside or first is not None:
            yield itself
        if first is not None:
            yield first
        yield from found


def _outcome(dataset: Dataset, status: PathStatus, *, annex: bool) -> Outcome:
    facts: dict[str, object] = {"state": str(status.state), "type": str(status.kind)}
    key = status.key
    if status.kind is not Kind.DATASET and status.state is not State.UNTRACKED:
        facts["annexed"] = key is not None
    if key is not None:
        facts["backend"] = os.fsdecode(key.backend)
        if annex:
            facts["present"] = dataset.objects.has(key)
    return Outcome("status", Status.OK, os.fsdecode(status.path), key, status.size, facts=facts)


def status(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Tell what differs; see `iter_status`."""
    return complete(iter_status(dataset, paths, **options))  # type: ignore[arg-type]
