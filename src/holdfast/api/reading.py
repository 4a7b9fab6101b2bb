"""What the verbs that only look have in common: they work where nothing can be written, too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.errors import ConflictError
from ..core.outcome import Outcome, Status
from ..dataset.annexed import TrackedFile, iter_current, iter_in_folder
from ..dataset.changes import missing_paths
from ..dataset.ledger import Ledger
from .datasets import Dataset


def readable_ledger(dataset: Dataset) -> Ledger:
    """The ledger with the news of remotes: merged, or read as if it were where we may not write."""
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
        absent = [] if dataset.repository.bare else missing_paths(dataset.repository, given)
        self._action = action
        self._absent = absent
        self.paths = [path for path in given if path not in absent]
        self.nothing = bool(given) and not self.paths
        """True when none of the paths is known: an empty list would mean all."""

    def iter_failures(self) -> Iterator[Outcome]:
        """An outcome for each path that is not known here."""
        for path in self._absent:
            name = os.fsdecode(path)
            error = faults.NO_SUCH_PATH(path=name)
            yield Outcome(self._action, Status.IMPOSSIBLE, name, error=error, note=error.what)


def iter_wanted_files(dataset: Dataset, wanted: Wanted) -> Iterator[TrackedFile]:
    """The annexed files below the paths; those taken out of the folder are left out."""
    if dataset.repository.bare:
        files = iter_current(dataset.repository, wanted.paths)
        return (file for file in files if file.key is not None)
    return iter_in_folder(dataset.repository, wanted.paths)
