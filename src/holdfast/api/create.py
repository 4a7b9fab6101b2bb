"""Make a data set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress, Silence
from ..dataset import create as making
from .datasets import Dataset


def iter_create(
    path: Path | str | bytes,
    *,
    profile: str = "mixed",
    backend: str | None = None,
    description: str | None = None,
    force: bool = False,
    annex: bool = True,
    settings: Mapping[str, str] | None = None,
    inside: Dataset | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Make a data set of a folder, new or full; nothing in it is moved or changed.

    A bare git repository gets an annex and an identity, and nothing else. The new one is written
    down in the data set that it is ``inside`` of, and those that contain it record that.

    Raises:
        UsageError: It does not lie in the data set it is to be inside of.
        UsageError: There is no such profile or backend, or a bare repository cannot have it;
            or the folder is inside of one of git's own.
        ConflictError: It is a repository already, and ``force`` is not given.
    """
    folder = os.path.abspath(os.fsencode(path))
    if inside is None:
        yield _make(folder, profile, backend, description, settings, annex=annex, force=force)
        return
    from .joining import CREATED, Joining, check_place, iter_join, was_begun, was_left

    check_place(inside, folder)
    if was_left(inside, folder):
        note = "an interrupted call has made it"
        yield Outcome("create", Status.NOT_NEEDED, os.fsdecode(folder), note=note)
    else:
        force = force or was_begun(inside, folder)
        yield _make(folder, profile, backend, description, settings, annex=annex, force=force)
    yield from iter_join(inside, Joining(folder, CREATED), progress or Silence())


def _make(
    folder: bytes,
    profile: str,
    backend: str | None,
    description: str | None,
    settings: Mapping[str, str] | None,
    *,
    annex: bool,
    force: bool,
) -> Outcome:
    repository = making.create(
        folder, profile=profile, backend=backend, description=description, annex=annex,
        force=force, settings=settings or {},
    )  # fmt: skip
    facts: dict[str, object] = {"annex": False}
    if annex:
        facts = {} if repository.bare else {"profile": profile}
        facts["uuid"] = repository.uuid
    note = "" if annex else "plain git: record files with git add and git commit, not hold save"
    repository.close()
    return Outcome("create", Status.OK, os.fsdecode(repository.top), note=note, facts=facts)


def create(path: Path | str | bytes, **options: object) -> Report:
    """Make a data set; see `iter_create`."""
    return complete(iter_create(path, progress=Silence(), **options))  # type: ignore[arg-type]
