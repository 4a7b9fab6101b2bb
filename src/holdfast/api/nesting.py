"""Data sets inside a data set: one walk over them for every verb, and outcomes told from the top.

Format: docs/formats/nesting.md.
"""

from __future__ import annotations

import copy
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Status
from ..dataset.repository import Repository
from ..dataset.submodules import Submodule, changed_inside, inner_datasets, iter_submodules
from .datasets import Dataset, ready

_COMMAND = re.compile(r"(hold|git)( (?!-C )\S)")


class Order(Enum):
    """Whether a data set comes before those inside it, or after them."""

    TOP_DOWN = "top down"
    BOTTOM_UP = "bottom up"


class Nested(NamedTuple):
    """One data set on the way, opened; it is closed when the walk goes on past it.

    ``prefix`` leads to it from the top, with a slash at its end; empty for the top itself.
    ``paths`` are those of the given ones that lie in it itself, ``whole`` says that all of it is
    meant. ``entered`` are the data sets right inside it that given paths led into.
    """

    dataset: Dataset
    prefix: bytes
    paths: Sequence[bytes]
    whole: bool
    entered: Sequence[bytes] = ()

    @property
    def concerned(self) -> bool:
        """Whether anything in this data set itself is meant, not only what is inside it."""
        return self.whole or bool(self.paths)


Install = Callable[[Nested, Submodule], Outcome]
"""Installs a data set that is missing; good when it is there now."""

Work = Callable[[Dataset, Sequence[bytes]], Iterator[Outcome]]
"""A verb, on one data set and paths in it; no paths for all of it."""


class Walk(NamedTuple):
    """How to go through a data set and those inside it.

    ``levels`` is how many levels to go down from what was named, None for all; a path that lies
    in a data set inside is followed into it at any level. ``enter`` says whether a data set that
    is itself a path is gone into, or is a thing of the outer one. ``changed_only`` leaves out
    those without changes in them. With ``install`` those that are missing are installed. Without
    ``follow`` a path that leads into a data set inside is the outer one's, which refuses it.
    """

    levels: int | None = 0
    order: Order = Order.TOP_DOWN
    enter: bool = True
    changed_only: bool = False
    follow: bool = True
    install: Install | None = None

    @property
    def deeper(self) -> Walk:
        """The same, one level further down."""
        return self if self.levels is None else self._replace(levels=self.levels - 1)


def iter_nested(
    dataset: Dataset, paths: Sequence[bytes] = (), walk: Walk | None = None
) -> Iterator[Nested | Outcome]:
    """A data set and the installed ones inside it, each opened, one at a time.

    Those inside come in the order of their paths, each with all that is inside it; use each before
    asking for the next. An outcome comes of what was installed on the way, and of what could not
    be opened, which is passed over. A data set that is not installed is passed over too, unless a
    path leads to it: then its outer one has that path.
    """
    whole = not paths or b"" in paths
    nested = Nested(dataset, b"", () if whole else paths, whole)
    return _iter_walk(nested, walk or Walk())


def iter_in_each(
    dataset: Dataset,
    paths: Sequence[bytes],
    work: Work,
    action: str,
    walk: Walk,
) -> Iterator[Outcome]:
    """Carry a verb through in a data set and those inside it; paths are told from the top.

    What stops the verb in one data set inside is an outcome of that one, and the others go on. One
    without an annex has nothing to do.
    """
    for nested in iter_nested(dataset, paths, walk):
        if isinstance(nested, Outcome):
            yield nested
        elif nested.concerned:
            yield from work_in(nested, work, action)


def work_in(nested: Nested, work: Work, action: str) -> Iterator[Outcome]:
    """Carry a verb through in one data set of a walk; see `iter_in_each`."""
    if not nested.prefix:
        yield from work(nested.dataset, nested.paths)
        return
    path = nested.prefix.rstrip(b"/")
    try:
        if ready(nested.dataset):
            yield from rerooted(work(nested.dataset, nested.paths), path)
        elif nested.paths:
            note = "its data set has no annex: all of it is in git"
            for one in nested.paths:
                name = os.fsdecode(nested.prefix + one)
                yield Outcome(action, Status.NOT_NEEDED, name, note=note)
    except HoldError as error:
        yield _failed(action, path, error)


def rerooted(outcomes: Iterator[Outcome], path: bytes) -> Iterator[Outcome]:
    """Outcomes of a data set at a path, as the top tells of them; an empty path is the top."""
    prefix = os.fsdecode(path)
    if not prefix:
        yield from outcomes
        return
    for outcome in outcomes:
        error = None if outcome.error is None else rerooted_error(outcome.error, path)
        name = os.path.join(prefix, outcome.path) if outcome.path else ""
        # Content without a path is told by its key.
        yield outcome._replace(path=name or ("" if outcome.key else prefix), error=error)


def rerooted_error(error: HoldError, path: bytes) -> HoldError:
    """An error in a data set inside: it says which, and its next step is taken there."""
    name = os.fsdecode(path)
    told = copy.copy(error)
    told.what = f"in {name}: {error.what}"
    told.hint = step_in(path, error.hint)
    return told


def step_in(path: bytes, hint: str) -> str:
    """A next step that was written for a data set inside, as it is taken from the outer one."""
    folder = shlex.quote(os.fsdecode(path))
    return _COMMAND.sub(lambda found: f"{found[1]} -C {folder}{found[2]}", hint, count=1)


def _failed(action: str, path: bytes, error: HoldError) -> Outcome:
    told = rerooted_error(error, path)
    return Outcome(action, Status.ERROR, os.fsdecode(path), error=told, note=told.why)


# the walk


def _iter_walk(nested: Nested, walk: Walk) -> Iterator[Nested | Outcome]:
    ways = list(_iter_ways(nested, walk))
    led_in = {path for way in ways for path in way.taken}
    entered = [way.one.path for way in ways if way.taken]
    left = [path for path in nested.paths if path not in led_in]
    here = nested._replace(paths=left, entered=entered)
    if walk.order is Order.TOP_DOWN:
        yield here
    for way in ways:
        yield from _iter_below(nested, way, walk)
    if walk.order is Order.BOTTOM_UP:
        yield here


class _Way(NamedTuple):
    """A data set to go into: what of it is meant, and by which of the given paths."""

    one: Submodule
    paths: Sequence[bytes]
    whole: bool
    taken: Sequence[bytes]


def _iter_ways(nested: Nested, walk: Walk) -> Iterator[_Way]:
    """The data sets right inside to go into, in the order of their paths."""
    repository = nested.dataset.repository
    if repository.bare or (nested.whole and walk.levels == 0):
        return
    leading = _leading_in(nested, walk)
    if walk.levels == 0:
        found = iter_submodules(repository, sorted(leading)) if leading else iter(())
    else:
        taken_away = {path for paths in leading.values() for path in paths}
        below = [path for path in nested.paths if path not in taken_away]
        found = iter_submodules(repository, () if nested.whole else [*below, *leading])
    changed: set[bytes] | None = None
    for one in found:
        taken = leading.get(one.path, ())
        if not taken and walk.changed_only:
            changed = changed_inside(repository) if changed is None else changed
            if one.path not in changed:
                continue
        if taken or (one.installed or walk.install is not None):
            inside = [path[len(one.path) + 1 :] for path in taken]
            whole = not taken or b"" in inside or _is_below(one.path, nested, walk)
            yield _Way(one, () if whole else inside, whole, taken)


def _is_below(path: bytes, nested: Nested, walk: Walk) -> bool:
    """Whether all of a data set inside is meant, since a path leads to it or a folder it is in."""
    if walk.levels == 0:
        return False
    return nested.whole or any(path == p or path.startswith(p + b"/") for p in nested.paths)


def _leading_in(nested: Nested, walk: Walk) -> dict[bytes, list[bytes]]:
    """Of the given paths those that lead into a data set inside, by that data set."""
    leading: dict[bytes, list[bytes]] = {}
    if not walk.follow:
        return leading
    for path, inner in inner_datasets(nested.dataset.repository, nested.paths).items():
        is_itself = path == inner.folder
        if (walk.enter or not is_itself) and (inner.installed or walk.install is not None):
            leading.setdefault(inner.folder, []).append(path)
    return leading


def _iter_below(nested: Nested, way: _Way, walk: Walk) -> Iterator[Nested | Outcome]:
    one = way.one
    if not one.installed:
        assert walk.install is not None, "the others are left out"
        outcome = walk.install(nested, one)
        yield outcome
        if not outcome.good:
            return
    path = nested.prefix + one.path
    try:
        inner = open_inside(nested.dataset, one.path, nested.prefix)
    except HoldError as error:
        name = os.fsdecode(path)
        yield Outcome("open", Status.ERROR, name, error=error, note=error.why)
        return
    with inner:
        below = Nested(inner, path + b"/", way.paths, way.whole)
        # Who was named is where levels are counted from.
        yield from _iter_walk(below, walk if way.taken else walk.deeper)


def open_inside(dataset: Dataset, path: bytes, prefix: bytes = b"") -> Dataset:
    """Open a data set inside; one that was never used stays as git made it.

    ``prefix`` leads to the outer one, for errors.

    Raises:
        ConflictError: There is no repository that works.
    """
    folder = os.path.join(dataset.top, path)
    name = os.fsdecode(prefix + path)
    try:
        repository = Repository(folder, dataset.repository.settings)
    except HoldError:
        raise faults.BROKEN_INSIDE(path=name, quoted=shlex.quote(name)) from None
    if repository.bare or os.path.realpath(repository.top) != os.path.realpath(folder):
        repository.close()
        raise faults.BROKEN_INSIDE(path=name, quoted=shlex.quote(name))
    return Dataset(repository)


# names of data sets


def dataset_named(name: str, folder: str = ".") -> str:
    """A data set as people name it: ``^`` the topmost around a folder, ``^.`` the one it is in.

    Raises:
        NotFoundError: The folder is in none.
    """
    if name not in ("^", "^."):
        return name
    from ..dataset.removing import superproject

    repository = Repository(os.path.abspath(os.fsencode(folder)))
    top = repository.top
    above = superproject(repository) if name == "^" else None
    while above is not None:
        top = above
        above = superproject(Repository(top))
    return os.fsdecode(top)
