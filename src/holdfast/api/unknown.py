"""Paths given to a verb that nothing here knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Status
from ..dataset.changes import missing_paths
from .datasets import Dataset


def iter_unknown(dataset: Dataset, paths: Sequence[bytes], action: str) -> Iterator[Outcome]:
    """Tell of paths that nothing here knows."""
    for path in missing_paths(dataset.repository, paths):
        error = faults.NO_SUCH_PATH(path=os.fsdecode(path))
        yield Outcome(action, Status.IMPOSSIBLE, os.fsdecode(path), error=error, note=error.what)
