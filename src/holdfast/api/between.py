"""Copy and move: content between here and another place, or between two others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core import faults
from ..core.outcome import Outcome, Report, complete
from ..core.progress import Progress
from .datasets import Dataset
from .nesting import Walk, iter_in_each


def iter_copy(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    to: str | None = None,
    source: str | None = None,
    auto: bool = False,
    all_versions: bool = False,
    jobs: int | None = None,
    levels: int | None = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Copy content of files below some paths (all without one); an outcome for each file.

    ``to`` and ``source`` are places, by the name or UUID of a remote; without one of them it is
    this one. ``auto`` sends what the other place wants, or what lacks copies. ``levels`` is how
    many levels of data sets inside are copied from too, each to its own remote of that name; None
    for all.

    Raises:
        UsageError: No place is named, or the options do not fit together.
        NotFoundError: There is no such place.
    """
    _check(to, source, elsewhere_only=auto or all_versions, command="copy")

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        if to is not None and source is not None:
            from .relay import iter_relay

            return iter_relay(one, below, source, to, jobs=jobs, progress=progress)
        from .copy import iter_copy_from, iter_copy_to

        if to is None:
            assert source is not None
            return iter_copy_from(one, below, source, jobs=jobs, progress=progress)
        return iter_copy_to(
            one, below, to, auto=auto, all_versions=all_versions, jobs=jobs, progress=progress
        )

    return iter_in_each(dataset, paths, work, "copy", Walk(levels))


def copy(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Copy content between places; see `iter_copy`.

    Raises:
        IncompleteError: Some content did not get there.
    """
    return complete(iter_copy(dataset, paths, **options))  # type: ignore[arg-type]


def iter_move(
    dataset: Dataset,
    paths: Sequence[bytes] = (),
    *,
    to: str | None = None,
    source: str | None = None,
    all_versions: bool = False,
    jobs: int | None = None,
    levels: int | None = 0,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Move content of files below some paths (all without one); an outcome for each file.

    It is removed where it was only once it is seen where it went. For ``to``, ``source`` and
    ``levels`` see `iter_copy`.

    Raises:
        UsageError: No place is named, or the options do not fit together.
        NotFoundError: There is no such place.
    """
    _check(to, source, elsewhere_only=all_versions, command="move")

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        if to is not None and source is not None:
            from .relay import iter_relay

            return iter_relay(one, below, source, to, move=True, jobs=jobs, progress=progress)
        if to is None:
            from .drop_there import iter_move_from

            assert source is not None
            return iter_move_from(one, below, source, jobs=jobs, progress=progress)
        from .copy import iter_copy_to

        return iter_copy_to(
            one, below, to, move=True, all_versions=all_versions, jobs=jobs, progress=progress
        )

    return iter_in_each(dataset, paths, work, "move", Walk(levels))


def move(dataset: Dataset, paths: Sequence[bytes] = (), **options: object) -> Report:
    """Move content between places; see `iter_move`.

    Raises:
        IncompleteError: Some content could not be moved.
    """
    return complete(iter_move(dataset, paths, **options))  # type: ignore[arg-type]


def _check(to: str | None, source: str | None, *, elsewhere_only: bool, command: str) -> None:
    what = ""
    if to is None and source is None:
        what = "name a place: --to PLACE, --from PLACE or both"
    elif to == source:
        what = f"--from and --to are both {to}"
    elif source is not None and elsewhere_only:
        what = "--all and --auto are about content that is here, without --from"
    if what:
        raise faults.BAD_USAGE(what=what, command=command)
