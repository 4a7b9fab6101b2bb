"""Take data sets inside a data set away from this disk, once all of them was seen elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset import removing
from ..dataset.registering import deactivate, unregister
from ..dataset.submodules import MODULES, Submodule, is_installed, iter_submodules
from .datasets import Dataset
from .nesting import Nested, Walk, iter_nested, step_in
from .remove import iter_remove
from .save import iter_save

REMOVED = "[DATALAD] removed content"


def iter_uninstall(
    dataset: Dataset,
    paths: Sequence[bytes],
    *,
    force_reason: str | None = None,
    forget: bool = False,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Remove the data sets at these paths, each with all that is inside it; their places stay.

    What must be elsewhere, and what ``force_reason`` does, is as `iter_remove` has it. An empty
    folder and the version that belongs there are kept, so `iter_get` brings it back. With
    ``forget`` they go too: the outer data set no longer has it, and records that.

    Raises:
        UsageError: No path is given, or the data set itself.
    """
    action = "remove" if forget else "uninstall"
    if not paths or b"" in paths:
        what = "name data sets inside this one: it is not one of them itself"
        raise faults.BAD_USAGE(what=what, command=action)
    listener = progress or Silence()
    gone: list[bytes] = []
    for nested in iter_nested(dataset, paths, Walk(enter=False)):
        if isinstance(nested, Outcome):
            yield nested
            continue
        for one, path in _named(nested):
            outcome = _take_away(nested, one, path, action, force_reason, listener)
            yield outcome
            if outcome.good and forget and one is not None:
                _forget(nested.dataset, one)
                gone += [nested.prefix + MODULES, path]
    if gone:
        yield from iter_save(dataset, list(dict.fromkeys(gone)), message=REMOVED, progress=progress)


def uninstall(dataset: Dataset, paths: Sequence[bytes], **options: object) -> Report:
    """Remove data sets inside; see `iter_uninstall`."""
    return complete(iter_uninstall(dataset, paths, **options))  # type: ignore[arg-type]


def _named(nested: Nested) -> list[tuple[Submodule | None, bytes]]:
    """The data sets at the paths of one data set; None with those that are none."""
    if not nested.paths:
        return []
    found = {one.path: one for one in iter_submodules(nested.dataset.repository, nested.paths)}
    return [(found.get(path), nested.prefix + path) for path in nested.paths]


def _take_away(
    nested: Nested,
    one: Submodule | None,
    path: bytes,
    action: str,
    reason: str | None,
    progress: Progress,
) -> Outcome:
    name = os.fsdecode(path)
    repository = nested.dataset.repository
    if one is None:
        error = faults.NOT_INSIDE(path=name, top=os.fsdecode(repository.top))
        return Outcome(action, Status.IMPOSSIBLE, name, error=error, note=error.what)
    top = os.path.join(repository.top, one.path)
    try:
        outcome = _remove(top, reason, nested.dataset, progress)
    except HoldError as error:
        error.hint = step_in(path, error.hint)
        return Outcome(action, Status.ERROR, name, error=error, note=error.why)
    if outcome.status is Status.OK:
        deactivate(repository, one.name or os.fsdecode(one.path))
    return outcome._replace(action=action, path=name)


def _remove(top: bytes, reason: str | None, outer: Dataset, progress: Progress) -> Outcome:
    if not is_installed(top) and os.path.isdir(os.path.dirname(top)):
        with removing.removal(top):
            if removing.finish_earlier(top):
                return Outcome("", Status.OK, note="what an interrupted removal left is gone")
    if not is_installed(top):
        return Outcome("", Status.NOT_NEEDED, note="it is not installed")
    settings = outer.repository.settings
    (outcome,) = iter_remove(top, force_reason=reason, settings=settings, progress=progress)
    return outcome


def _forget(outer: Dataset, one: Submodule) -> None:
    """Take a data set out of .gitmodules, and its empty folder away."""
    unregister(outer.repository, one.path)
    deactivate(outer.repository, one.name or os.fsdecode(one.path))
    with suppress(OSError):  # not there, or somebody put files into it, which stay
        os.rmdir(os.path.join(outer.top, one.path))
