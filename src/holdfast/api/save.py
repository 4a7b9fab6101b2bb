"""Save what changed as a new version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.changes import missing_paths
from ..dataset.save import SavePlan
from ..dataset.save import iter_save as iter_saved
from .datasets import Dataset


def iter_save(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    message: str | None = None,
    to_git: bool = False,
    updated: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Save changes below some paths (relative to the top), or all; an outcome for each file.

    ``updated`` leaves out files that git does not know yet; ``to_git`` puts everything into git.
    """
    absent = missing_paths(dataset.repository, paths)
    for path in absent:
        name = os.fsdecode(path)
        error = faults.NO_SUCH_PATH(path=name)
        yield Outcome("save", Status.IMPOSSIBLE, name, error=error, note=error.what)
    wanted = [path for path in paths if path not in absent]
    if paths and not wanted:
        return
    plan = SavePlan(wanted, message, to_git, updated, jobs or min(os.cpu_count() or 1, 8))
    listener = progress or Silence()
    listener.start(None, None)
    try:
        yield from iter_saved(dataset.repository, plan, listener)
    finally:
        listener.stop()
        dataset.forget()


def save(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Save changes; see `iter_save`.

    Raises:
        IncompleteError: Some files could not be saved; the others are.
    """
    return complete(iter_save(dataset, paths, **options))  # type: ignore[arg-type]
