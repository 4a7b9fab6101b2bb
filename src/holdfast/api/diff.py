"""List what differs between two versions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.changes import missing_paths
from ..dataset.differences import Change, Difference, iter_differences
from ..dataset.versions import commit_of, has_path
from .datasets import Dataset
from .unknown import iter_refused, refused_in_versions


def iter_diff(
    dataset: Dataset, old: str = "HEAD", new: str | None = None, paths: Sequence[bytes] = ()
) -> Iterator[Outcome]:
    """List what differs from one version to another, or to the files as they are, by path.

    Tells keys and sizes of both sides. Files that git does not know yet are not looked at; paths
    that neither version nor the folder knows are told as such.

    Raises:
        NotFoundError: A name stands for no version.
        UsageError: The repository is bare and no second version is given.
    """
    repository = dataset.repository
    if new is None and repository.bare:
        raise faults.BAD_USAGE(
            what="a bare repository has no files; name the version to compare with",
            command="diff",
        )
    before = commit_of(repository, old)
    after = None if new is None else commit_of(repository, new)
    sides = [before] if after is None else [before, after]

    def is_known(path: bytes) -> bool:
        return any(has_path(repository, side, path) for side in sides) or (
            after is None and not missing_paths(repository, [path])
        )

    refused = refused_in_versions(dataset, paths, "diff", is_known)
    yield from iter_refused(refused, "diff")
    wanted = [path for path in paths if path not in refused]
    if paths and not wanted:
        return
    objects = dataset.objects if repository.uuid else None
    for difference in iter_differences(repository, objects, before, after, wanted):
        yield _outcome(difference)


def _outcome(difference: Difference) -> Outcome:
    old, new = difference.old, difference.new
    side = new or old
    assert side is not None
    facts: dict[str, object] = {
        "state": str(difference.change),
        "type": str(side.kind),
        "annexed": side.key is not None,
    }
    if difference.change is Change.RENAMED and old is not None:
        facts["old_path"] = os.fsdecode(old.path)
    if old is not None and new is not None:
        facts["old_key"] = old.key.text if old.key is not None else None
        facts["old_size"] = old.size
    path = os.fsdecode(difference.path)
    return Outcome("diff", Status.OK, path, side.key, side.size, facts=facts)


def diff(
    dataset: Dataset, old: str = "HEAD", new: str | None = None, paths: Sequence[bytes] = ()
) -> Report:
    """List what differs; see `iter_diff`."""
    return complete(iter_diff(dataset, old, new, paths))
