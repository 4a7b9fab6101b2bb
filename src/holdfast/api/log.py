"""List versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.versions import Version, iter_versions
from .datasets import Dataset


def iter_log(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    count: int | None = None,
    start: str | None = None,
) -> Iterator[Outcome]:
    """List versions, newest first, each when it is found; with ``paths`` those that changed these.

    ``start`` names the version to begin with, else it is the one that is checked out.

    Raises:
        NotFoundError: ``start`` is no version.
    """
    for version in iter_versions(dataset.repository, paths, count=count, start=start):
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
