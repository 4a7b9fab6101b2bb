"""Joining one version that came with the one checked out, and what to say of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ..core import faults
from ..core.errors import ConflictError
from ..core.outcome import Outcome, Status
from ..dataset import merging
from ..dataset.repository import Repository
from ..dataset.resolving import Made, Resolved, resolve_merge

_SHOWN = 5
_UNFINISHED = "a merge that was begun here is not finished; git status tells of it"
_UNSAVED = "not saved here, and changed there: "


def join(repository: Repository, ref: str, *, forward_only: bool, resolve: bool) -> Outcome:
    """Join the version of a ref with the one checked out, or leave all as it is and say why not.

    With ``resolve`` annexed files that both changed are kept as variants. What somebody has not
    saved is never overwritten.
    """
    name = ref.removeprefix("refs/remotes/").removeprefix("refs/heads/")
    if repository.git.ask("merge-base", "--is-ancestor", ref, "HEAD")[0] == 0:
        return Outcome("merge", Status.NOT_NEEDED, name)
    before = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD")
    try:
        made = _join(repository, name, ref, forward_only=forward_only, resolve=resolve)
    except ConflictError as error:
        return Outcome("merge", Status.ERROR, name, note=error.why, error=error)
    if made is not None:
        return _resolved(name, made.resolved)
    after = repository.git.line("rev-parse", "HEAD")
    note = f"{_short(before)}..{_short(after)}" if before else _short(after)
    return Outcome("merge", Status.OK, name, note=note)


def _join(
    repository: Repository, name: str, ref: str, *, forward_only: bool, resolve: bool
) -> Made | None:
    """The version that was made when conflicts had to be resolved."""
    if merging.is_unfinished(repository):
        raise faults.IN_THE_WAY(ref=name, detail=_UNFINISHED)
    taken = merging.in_the_way(repository, ref)
    if taken:
        raise faults.IN_THE_WAY(ref=name, detail=_UNSAVED + _some(taken))
    stopped = merging.merge(repository, ref, forward_only=forward_only)
    if stopped is None:
        return None
    unsaved = merging.unsaved(repository, stopped.conflicts)
    if resolve and stopped.conflicts and not unsaved:
        made = resolve_merge(repository, ref)
        taken = merging.unknown_in_the_way(repository, made.version) if made is not None else ()
        if made is not None and not taken and merging.finish(repository, made.version):
            return made
    merging.undo(repository, stopped.conflicts, keep=unsaved)
    if unsaved or taken:
        raise faults.IN_THE_WAY(ref=name, detail=_UNSAVED + _some(unsaved or taken))
    if stopped.conflicts:
        raise faults.MERGE_CONFLICT(ref=name, files=_some(stopped.conflicts))
    if forward_only and "fast-forward" in stopped.said:
        raise faults.NOT_FORWARD(ref=name)
    said = " / ".join(line.strip() for line in stopped.said.splitlines() if line.strip())
    raise faults.IN_THE_WAY(ref=name, detail=said[:300] or "git gave no reason")


def _resolved(name: str, resolved: Resolved) -> Outcome:
    """A merge, and which files took the place of those that both had changed."""
    told = {os.fsdecode(path): [os.fsdecode(one) for one in made] for path, made in resolved}
    shown = [f"{path} is now {' and '.join(made)}" for path, made in told.items() if made != [path]]
    facts = {"resolved": told, **({"warning": "both changed: " + _list(shown)} if shown else {})}
    return Outcome("merge", Status.OK, name, note="conflicts resolved", facts=facts)


def _some(paths: Iterable[bytes]) -> str:
    return _list([os.fsdecode(path) for path in paths])


def _list(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _short(oid: bytes | None) -> str:
    return oid[:8].decode() if oid else ""
