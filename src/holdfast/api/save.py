"""Save what changed as a new version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.changes import Ignored, ignored_paths
from ..dataset.save import SavePlan
from ..dataset.save import iter_save as iter_saved
from .datasets import Dataset
from .unknown import iter_refused, refused_paths


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
    dataset.need_files("save")
    refused = refused_paths(dataset, paths, "save")
    yield from iter_refused(refused, "save")
    ignored = [] if updated else ignored_paths(dataset.repository, paths)
    yield from map(_ignored, ignored)
    left_out = {*refused, *(one.path for one in ignored)}
    wanted = [path for path in paths if path not in left_out]
    if paths and not wanted:
        return
    plan = SavePlan(wanted, message, to_git, updated, dataset.jobs(jobs))
    listener = progress or Silence()
    listener.start(None, None)
    try:
        yield from iter_saved(dataset.repository, plan, listener)
    finally:
        listener.stop()
        dataset.forget()


def _ignored(one: Ignored) -> Outcome:
    name = os.fsdecode(one.path)
    error = faults.IGNORED(
        path=name,
        source=os.fsdecode(one.source),
        line=os.fsdecode(one.line),
        pattern=os.fsdecode(one.pattern),
        quoted=shlex.quote(name),
    )
    return Outcome("save", Status.IMPOSSIBLE, name, error=error, note=error.what)


def save(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Save changes; see `iter_save`.

    Raises:
        IncompleteError: Some files could not be saved; the others are.
    """
    return complete(iter_save(dataset, paths, **options))  # type: ignore[arg-type]
