"""Save what changed as a new version."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset.changes import Ignored, ignored_paths
from ..dataset.save import SavePlan
from ..dataset.save import iter_save as iter_saved
from ..dataset.status import iter_status
from .datasets import Dataset, ready
from .nesting import Nested, Order, Walk, iter_nested, work_in
from .unknown import iter_refused, refused_paths


def iter_save(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    message: str | None = None,
    to_git: bool = False,
    updated: bool = False,
    jobs: int | None = None,
    levels: int | None = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Save changes below some paths (relative to the top), or all; an outcome for each file.

    ``updated`` leaves out files that git does not know yet; ``to_git`` puts everything into git.
    ``levels`` is how many levels of data sets inside are saved too, None for all. Those inside come
    first, and what contains them records their new versions; a path in one does the same.
    """
    dataset.need_files("save")
    walk = Walk(levels, Order.BOTTOM_UP, enter=False, changed_only=True)
    how = SavePlan((), message, to_git, updated, dataset.jobs(jobs))

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        return _iter_save_in(one, replace(how, paths=below), progress or Silence())

    for nested in iter_nested(dataset, paths, walk):
        if isinstance(nested, Outcome):
            yield nested
            continue
        whole = nested._replace(paths=[*nested.paths, *nested.entered])
        if nested.prefix and not ready(nested.dataset):
            yield from _iter_without_annex(nested)
        elif whole.concerned:
            yield from work_in(whole, work, "save")


def _iter_without_annex(nested: Nested) -> Iterator[Outcome]:
    """Plain git saves itself; only where it has something to save is there anything to say."""
    if any(iter_status(nested.dataset.repository, None, nested.paths)):
        name = os.fsdecode(nested.prefix.rstrip(b"/"))
        error = faults.NO_ANNEX(path=name)
        error.hint = f"git -C {shlex.quote(name)} commit    (then save here again)"
        yield Outcome("save", Status.IMPOSSIBLE, name, error=error, note=error.what)


def _iter_save_in(dataset: Dataset, plan: SavePlan, progress: Progress) -> Iterator[Outcome]:
    paths = plan.paths
    refused = refused_paths(dataset, paths, "save")
    yield from iter_refused(refused, "save")
    ignored = [] if plan.updated else ignored_paths(dataset.repository, paths)
    yield from map(_ignored, ignored)
    left_out = {*refused, *(one.path for one in ignored)}
    wanted = [path for path in paths if path not in left_out]
    if paths and not wanted:
        return
    progress.start(None, None)
    try:
        yield from iter_saved(dataset.repository, replace(plan, paths=wanted), progress)
    finally:
        progress.stop()
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
