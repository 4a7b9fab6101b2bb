"""Paths given to a verb that it cannot work on: nothing knows them, or they lie elsewhere."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Status
from ..dataset.changes import missing_paths
from ..dataset.submodules import inner_datasets
from ..dataset.versions import is_version
from .datasets import Dataset


def iter_unknown(dataset: Dataset, paths: Sequence[bytes], action: str) -> Iterator[Outcome]:
    """Tell of paths that nothing here knows, and of those inside another data set."""
    return iter_refused(refused_paths(dataset, paths, action), action)


def refused_paths(
    dataset: Dataset, paths: Sequence[bytes], action: str
) -> Mapping[bytes, HoldError]:
    """The paths that a verb cannot work on here, in their order, each with the reason."""
    refused = elsewhere(dataset, paths, action)
    for path in missing_paths(dataset.repository, [p for p in paths if p not in refused]):
        refused[path] = faults.NO_SUCH_PATH(path=os.fsdecode(path))
    return {path: refused[path] for path in paths if path in refused}


def elsewhere(dataset: Dataset, paths: Sequence[bytes], action: str) -> dict[bytes, HoldError]:
    """The paths that lie in a data set inside this one; to get one itself it must be installed."""
    found: dict[bytes, HoldError] = {}
    for path, inner in inner_datasets(dataset.repository, paths).items():
        folder = os.fsdecode(inner.folder)
        if not inner.installed and (path != inner.folder or action == "get"):
            found[path] = faults.NOT_INSTALLED(path=folder, quoted=shlex.quote(folder))
        elif path != inner.folder:
            error = faults.OUTSIDE(
                path=os.fsdecode(path), top=os.fsdecode(os.path.realpath(dataset.top))
            )
            rest = os.fsdecode(path[len(inner.folder) + 1 :])
            error.why = f"it is in the data set {folder}; a command works in one at a time"
            error.hint = f"hold -C {shlex.quote(folder)} {action} {shlex.quote(rest)}"
            found[path] = error
    return found


def refused_in_versions(
    dataset: Dataset,
    paths: Sequence[bytes],
    action: str,
    is_known: Callable[[bytes], bool],
) -> Mapping[bytes, HoldError]:
    """As `refused_paths`, for verbs that look at versions, of which ``is_known`` tells.

    The reason says so when a path is the name of a version: as such it was meant, most likely.
    """
    repository = dataset.repository
    given = [path for path in paths if path]
    refused = elsewhere(dataset, given, action)
    for path in given:
        there = not repository.bare and os.path.lexists(os.path.join(repository.top, path))
        if path in refused or there or is_known(path):
            continue
        name = os.fsdecode(path)
        refused[path] = error = faults.NO_SUCH_PATH(path=name)
        if is_version(repository, name):
            error.why = "it names a version, and a path is expected here"
            error.hint = f"hold {action} --from {_version_word(name)}"
    return {path: refused[path] for path in given if path in refused}


def _version_word(name: str) -> str:
    """A version as it can be typed; ``HEAD~1`` and ``v1^`` need no quotes, whatever shlex says."""
    return name if re.fullmatch(r"[\w./-][\w./~^-]*", name) else shlex.quote(name)


def iter_refused(refused: Mapping[bytes, HoldError], action: str) -> Iterator[Outcome]:
    """An outcome for each path that is refused."""
    for path, error in refused.items():
        yield Outcome(action, Status.IMPOSSIBLE, os.fsdecode(path), error=error, note=error.what)
