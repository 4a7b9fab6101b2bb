"""What the verbs that only look have in common: they work where nothing can be written, too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..core.errors import ConflictError
from ..core.outcome import Outcome
from ..dataset.annexed import TrackedFile, iter_current, iter_in_folder
from .datasets import Dataset
from .unknown import iter_refused, refused_paths

if TYPE_CHECKING:
    from ..dataset.ledger import Ledger


def readable_ledger(dataset: Dataset) -> Ledger:
    """The ledger with the news of remotes: merged, or read as if it were where we may not write."""
    from ..dataset.ledger import Ledger  # late: a status needs none

    repository = dataset.repository
    if not os.access(repository.common_dir, os.W_OK):
        return Ledger(repository, with_remotes=True)
    try:
        repository.check_writable()
    except ConflictError:
        return Ledger(repository, with_remotes=True)
    try:
        return dataset.ledger
    except PermissionError:
        return Ledger(repository, with_remotes=True)


class Wanted:
    """The paths a verb was given: those that are known here, and outcomes for the others."""

    def __init__(self, dataset: Dataset, action: str, paths: Sequence[bytes]) -> None:
        given = [path for path in paths if path] if b"" not in paths else []
        self._action = action
        self._refused = {} if dataset.repository.bare else refused_paths(dataset, given, action)
        self.paths = [path for path in given if path not in self._refused]
        self.nothing = bool(given) and not self.paths
        """True when none of the paths is known: an empty list would mean all."""

    def iter_failures(self) -> Iterator[Outcome]:
        """An outcome for each path that is not known here, or lies in another data set."""
        return iter_refused(self._refused, self._action)


def iter_wanted_files(dataset: Dataset, wanted: Wanted) -> Iterator[TrackedFile]:
    """The annexed files below the paths; those taken out of the folder are left out."""
    if dataset.repository.bare:
        files = iter_current(dataset.repository, wanted.paths)
        return (file for file in files if file.key is not None)
    return iter_in_folder(dataset.repository, wanted.paths)
