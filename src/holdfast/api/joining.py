"""Write a new data set down in the one around it, as DataLad does, and up to the one named."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..core import faults
from ..core.outcome import Outcome
from ..core.progress import Progress
from ..dataset.cloning import WORKSHOP
from ..dataset.create import MESSAGE
from ..dataset.registering import Addition, register
from ..dataset.repository import Repository
from ..dataset.submodules import MODULES, inner_datasets
from ..dataset.versions import has_path, head_of
from .datasets import Dataset
from .nesting import open_inside
from .save import iter_save

CREATED = "[DATALAD] Created subdataset"
CLONED = "[DATALAD] Added subdataset"
_NAMED_MAX = 3


class Joining(NamedTuple):
    """A data set that shall belong to another, by its folder; where others can clone it.

    ``source`` is what somebody cloned, ``url`` what git can clone; None for one made here.
    """

    top: bytes
    message: str
    source: str | None = None
    url: str | None = None


def check_place(outer: Dataset, folder: bytes) -> None:
    """Refuse a folder that cannot become a data set inside another; before it is made.

    Raises:
        UsageError: It is not in that data set, or is that data set itself.
        NotFoundError: It is in a data set that is not installed.
        ConflictError: The outer one has files there, or a data set.
    """
    path = outer.relative([os.path.abspath(folder)])[0]
    name = os.fsdecode(path)
    if not path:
        what = f"{os.fsdecode(outer.top)} is the data set itself, not a folder in it"
        raise faults.BAD_USAGE(what=what, command="create")
    inner = inner_datasets(outer.repository, [path]).get(path)
    if inner is not None and path != inner.folder:
        if not inner.installed:
            missing = os.fsdecode(inner.folder)
            raise faults.NOT_INSTALLED(path=missing, quoted=shlex.quote(missing))
        with open_inside(outer, inner.folder) as around:
            check_place(around, folder)
        return
    _check_ways(outer, path)
    listing = outer.repository.git.run("ls-files", "-z", "--", path)
    names = [os.fsdecode(one) for one in listing.split(b"\0") if one]
    if inner is not None and not has_path(outer.repository, "HEAD", path):
        return  # a killed call got as far as staging it
    if names:
        rest = len(names) - _NAMED_MAX
        told = ", ".join(names[:_NAMED_MAX]) + (f" and {rest} more" if rest > 0 else "")
        raise faults.TAKEN_PLACE(path=name, names=told)


def _check_ways(outer: Dataset, path: bytes) -> None:
    """Refuse a place in a repository that lies here, and that the outer one does not have."""
    way = os.path.dirname(path)
    while way:
        if os.path.lexists(os.path.join(outer.top, way, b".git")):
            around = f"{os.fsdecode(way)}, a repository that is not yet a part of it,"
            raise faults.TAKEN_PLACE(path=os.fsdecode(path), names=around)
        way = os.path.dirname(way)


def workshop_of(outer: Dataset) -> bytes:
    """Where a clone is built, that nobody may meet half of it in the data set's folder."""
    return os.path.join(outer.repository.common_dir, WORKSHOP)


def was_left(outer: Dataset, folder: bytes, urls: Sequence[str] = ()) -> bool:
    """Whether a killed call made a data set in a folder, and could not write it down any more.

    With ``urls`` it is a clone of one of them, else it has its first version only.
    """
    if not os.path.lexists(os.path.join(folder, b".git")):
        return False
    with open_inside(outer, os.path.relpath(folder, outer.top)) as left:
        if urls:
            origin = left.repository.config.get("remote.origin.url") or ""
            return os.path.realpath(origin) in map(os.path.realpath, urls)
        said = left.repository.git.line("log", "--max-count=2", "--format=%s", "HEAD", "--")
        return said == MESSAGE.encode()


def was_begun(outer: Dataset, folder: bytes) -> bool:
    """Whether there is a repository without any version, as a killed call leaves it at first."""
    if not os.path.lexists(os.path.join(folder, b".git")):
        return False
    with open_inside(outer, os.path.relpath(folder, outer.top)) as begun:
        return head_of(begun.repository) is None


def iter_join(outer: Dataset, joining: Joining, progress: Progress) -> Iterator[Outcome]:
    """Register a data set in the one right around it, and save that, up to ``outer``."""
    path = outer.relative([joining.top])[0]
    around = Repository(os.path.dirname(joining.top))
    try:
        full = os.path.realpath(joining.top)
        inside = os.path.relpath(full, os.path.realpath(around.top))
        register(around, [Addition(inside, joining.url, joining.source)])
        modules = os.path.join(os.path.realpath(around.top), MODULES)
    finally:
        around.close()
    paths = [outer.relative([modules])[0], path]
    yield from iter_save(outer, paths, message=joining.message, progress=progress)
