"""List versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.versions import Version, commit_of, ever_had_path, head_of, iter_versions
from .datasets import Dataset
from .unknown import iter_refused, refused_in_versions


def iter_log(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    count: int | None = None,
    start: str | None = None,
) -> Iterator[Outcome]:
    """List versions, newest first, each when it is found; with ``paths`` those that changed these.

    ``start`` names the version to begin with, else it is the one that is checked out. Paths that
    no version and not the folder knows are told as such.

    Raises:
        NotFoundError: ``start`` is no version.
        UsageError: ``count`` is below one.
    """
    if count is not None and count < 1:
        raise faults.BAD_USAGE(what=f"--count {count}: it has to be 1 or more", command="log")
    repository = dataset.repository
    tip = commit_of(repository, start) if start else head_of(repository)

    def is_known(path: bytes) -> bool:
        return tip is not None and ever_had_path(repository, tip, path)

    refused = refused_in_versions(dataset, paths, "log", is_known)
    yield from iter_refused(refused, "log")
    wanted = [path for path in paths if path not in refused]
    if tip is None or (paths and not wanted):
        return
    for version in iter_versions(repository, wanted, count=count, start=tip):
        yield Outcome("log", Status.OK, facts=_facts(version))


def _facts(version: Version) -> dict[str, object]:
    facts: dict[str, object] = {
        "version": version.commit,
        "parents": list(version.parents),
        "time": version.time,
        "author": version.author,
        "message": version.message,
        "names": list(version.names),
    }
    if version.run:
        facts["run"] = version.run
    return facts


def log(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """List versions; see `iter_log`."""
    return complete(iter_log(dataset, paths, **options))  # type: ignore[arg-type]
