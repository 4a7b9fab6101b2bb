"""Update: what siblings have that is new comes here, and is joined with what is here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from ..core import faults
from ..core.errors import HoldError
from ..core.outcome import Outcome, Report, Status, complete
from ..core.progress import Progress
from ..dataset.checkout import fill_all
from ..dataset.config import TRUE
from ..dataset.publishing import fetch, upstream_of
from ..dataset.remote_branches import merge_refs
from ..dataset.remotes import remotes_of
from ..dataset.shared_config import iter_settings
from .datasets import Dataset
from .merging import join
from .nesting import Walk, iter_in_each
from .push import iter_push
from .targets import remote_named


class How(StrEnum):
    """What to do with versions that came."""

    FETCH = "fetch"
    FF_ONLY = "ff-only"
    MERGE = "merge"


def iter_update(
    dataset: Dataset,
    *,
    source: str | None = None,
    how: str = How.MERGE,
    push: bool = False,
    levels: int | None = 0,
    resolve: bool = True,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Fetch from siblings (all git remotes, without ``source``), then join what came.

    The ledgers are joined always; the branch that is checked out is joined with that of the same
    name, or the one it goes with, of each. Annexed files that both changed are kept as two
    variants, with ``resolve`` and where ``annex.resolvemerge`` does not say otherwise; a merge that
    meets other conflicts is undone and told of.
    ``levels`` is how many levels of data sets inside are updated too, after what contains them;
    None for all. ``how`` is one of `How`. With ``push``, what is then new here is pushed to each.

    Raises:
        NotFoundError: There is no such sibling.
    """
    way = How(how)

    def work(one: Dataset, below: Sequence[bytes]) -> Iterator[Outcome]:
        del below  # versions are updated whole
        return _iter_update_in(one, source, way, progress, push=push, resolve=resolve)

    return iter_in_each(dataset, (), work, "update", Walk(levels))


def _iter_update_in(
    dataset: Dataset,
    source: str | None,
    way: How,
    progress: Progress | None,
    *,
    push: bool,
    resolve: bool,
) -> Iterator[Outcome]:
    repository = dataset.repository
    repository.check_writable()
    if repository.adjusted_branch:
        raise faults.ADJUSTED(branch=repository.adjusted_branch)
    remotes = remotes_of(repository)
    names = [n for n, s in remotes.items() if "url" in s and "::" not in s["url"]]
    if source is not None:
        names = [remote_named(remotes, source)]
    answering = []
    for name in names:
        outcome = _fetch(dataset, name)
        yield outcome
        if outcome.good:
            answering.append(name)
    merge_refs(repository)
    dataset.forget()
    if way is not How.FETCH:
        yield from _join(dataset, answering, way, resolve=resolve and _may_resolve(dataset))
    if push:
        for name in answering:
            yield from iter_push(dataset, to=name, progress=progress)
    dataset.forget()


def update(dataset: Dataset, **options: object) -> Report:
    """Bring what is new; see `iter_update`.

    Raises:
        IncompleteError: A sibling does not answer, or its versions could not be joined.
    """
    return complete(iter_update(dataset, **options))  # type: ignore[arg-type]


def _fetch(dataset: Dataset, name: str) -> Outcome:
    try:
        fetch(dataset.repository, name)
    except HoldError as error:
        failed = faults.UNREACHABLE(place=name, detail=error.why or error.what)
        return Outcome("fetch", Status.ERROR, name, note=failed.why, error=failed)
    return Outcome("fetch", Status.OK, name)


def _may_resolve(dataset: Dataset) -> bool:
    """What annex.resolvemerge says, here or in the ledger."""
    for setting in iter_settings(dataset.repository, dataset.ledger):
        if setting.name == "annex.resolvemerge":
            return setting.value.lower() in TRUE
    return True


def _join(dataset: Dataset, names: list[str], how: How, *, resolve: bool) -> Iterator[Outcome]:
    repository = dataset.repository
    head = repository.head_ref
    if head is None or repository.bare:
        return
    branch = head.removeprefix("refs/heads/")
    refs = [upstream_of(repository, branch, name) for name in names]
    refs += [upstream_of(repository, f"synced/{branch}", name) for name in names]
    synced = f"refs/heads/synced/{branch}"
    if repository.git.line("rev-parse", "--verify", "--quiet", synced) is not None:
        refs.append(synced)
    moved = False
    for ref in dict.fromkeys(filter(None, refs)):
        assert ref is not None
        outcome = join(repository, ref, forward_only=how is How.FF_ONLY, resolve=resolve)
        moved = moved or outcome.status is Status.OK
        yield outcome
    if moved:
        fill_all(repository)
