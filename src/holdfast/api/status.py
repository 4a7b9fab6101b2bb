"""Show what differs from the last saved version."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.system_errors import as_fault
from ..dataset import status as looking
from ..dataset.changes import folders_not_read
from ..dataset.status import Kind, PathStatus, State, Untracked
from .datasets import Dataset
from .reading import Wanted


def iter_status(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    annex: bool = False,
    clean: bool = False,
    untracked: str = Untracked.ALL,
) -> Iterator[Outcome]:
    """Tell of each path that differs; with ``annex`` of every path, and whether content is here.

    ``clean`` tells of every path without looking for content. ``untracked`` is no, normal (a new
    folder as one) or all. An unlocked file that was touched but not changed is clean. A
    folder that may not be read is told of as an error. Nothing is written.

    Raises:
        UsageError: The repository is bare: it has no files to compare.
    """
    if dataset.repository.bare:
        raise faults.BAD_USAGE(
            what="a bare repository has no files that could differ", command="status"
        )
    wanted = Wanted(dataset, "status", paths)
    yield from wanted.iter_failures()
    if wanted.nothing:
        return
    warnings: list[bytes] = []
    found = looking.iter_status(
        dataset.repository,
        dataset.objects if dataset.repository.uuid else None,
        wanted.paths,
        clean=clean or annex,
        untracked=Untracked(untracked),
        warnings=warnings,
    )
    for status in found:
        yield _outcome(dataset, status, annex=annex)
    for path in sorted(folders_not_read(warnings)):
        name = os.fsdecode(path)
        error = as_fault(PermissionError(errno.EACCES, "Permission denied"), name, reading=True)
        yield Outcome("status", Status.ERROR, name, error=error, note=str(error))


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
