"""Make annexed files writable in their place, and protect them again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress
from ..dataset.annexed import TrackedFile, iter_annexed
from ..dataset.index_file import clear_dead_locks, update_entries
from ..dataset.locking import Locker
from .datasets import Dataset
from .unknown import iter_unknown


def iter_unlock(
    dataset: Dataset, paths: Sequence[bytes] = (), *, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Put a writable copy of the content in the place of each locked file; staged, not saved.

    A file whose content is not here becomes a pointer, and is filled when the content comes.
    """
    yield from _iter_changed(dataset, paths, "unlock")


def iter_lock(
    dataset: Dataset, paths: Sequence[bytes] = (), *, progress: Progress | None = None
) -> Iterator[Outcome]:
    """Put a link to the protected content in the place of each unlocked file; staged, not saved.

    A file that was changed since it was saved is left alone, and told of.
    """
    yield from _iter_changed(dataset, paths, "lock")


def unlock(dataset: Dataset, paths: Sequence[bytes] = ()) -> Report:
    """Make files writable; see `iter_unlock`.

    Raises:
        IncompleteError: Some could not be.
    """
    return complete(iter_unlock(dataset, paths))


def lock(dataset: Dataset, paths: Sequence[bytes] = ()) -> Report:
    """Protect files; see `iter_lock`.

    Raises:
        IncompleteError: Some were changed.
    """
    return complete(iter_lock(dataset, paths))


def _iter_changed(dataset: Dataset, paths: Sequence[bytes], action: str) -> Iterator[Outcome]:
    dataset.need_files(action)
    dataset.repository.check_writable()
    clear_dead_locks(dataset.repository)
    yield from iter_unknown(dataset, paths, action)
    outcomes: list[Outcome] = []
    with Locker(dataset.repository, dataset.objects) as locker:
        for file in iter_annexed(dataset.repository, paths):
            wanted = file.locked if action == "unlock" else not file.locked
            status = Status.NOT_NEEDED
            if wanted:
                status = locker.unlock(file) if action == "unlock" else locker.lock(file)
            outcomes.append(_told(action, file, status))
        update_entries(dataset.repository, locker.finish())
    yield from outcomes


def _told(action: str, file: TrackedFile, status: Status) -> Outcome:
    error = None
    if status is Status.IMPOSSIBLE:
        error = faults.CHANGED_SINCE(path=os.fsdecode(file.path))
    return Outcome(
        action, status, os.fsdecode(file.path), key=file.key, error=error,
        note=error.what if error else "",
    )  # fmt: skip
