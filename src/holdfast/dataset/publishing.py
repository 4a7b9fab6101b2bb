"""Sending refs to a git remote and fetching from it; git's answers, read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .branch import BRANCH
from .ledger_write import record
from .remote_branches import merge_refs
from .repository import Repository

GIT_IN_A_PLACE = "annex::"
"""What URLs begin with where git's repository is in a special remote (git-remote-annex)."""

QUIET = {"GIT_TERMINAL_PROMPT": "0"}
_TRIES_MAX = 4


class Pushed(NamedTuple):
    """How it went with one ref: ``error`` is empty when the remote has it now.

    ``lost`` says that nobody refused it: it did not get there.
    """

    ref: str
    target: str
    note: str
    changed: bool
    error: str
    lost: bool = False


def push_refs(
    repository: Repository,
    remote: str,
    refs: Sequence[str],
    *,
    ledger: bool = True,
    has_news: bool = False,
) -> list[Pushed]:
    """Push refs, and with ``ledger`` the git-annex branch, joined with what others put there.

    Refs are given as ``refs/heads/NAME`` or ``FROM:TO``. A version that somebody pushed meanwhile
    is never overwritten: its ref is told of as refused. ``has_news`` says that the remote has
    surely written to its ledger: then that is joined with ours at once.

    Raises:
        HoldError: The remote does not answer.
    """
    record(repository, [])  # what waits in the journal goes along
    wanted = [*refs, *([BRANCH] if ledger else [])]
    done: dict[str, Pushed] = {}
    if has_news:
        _join_ledgers(repository, remote)
    for _ in range(_TRIES_MAX):
        found = {pushed.ref: pushed for pushed in _push(repository, remote, wanted)}
        done.update(found)
        lost = found.get(BRANCH)
        if lost is None or not lost.error or lost.lost:
            break
        _join_ledgers(repository, remote)  # somebody else wrote to it; then it is pushed again
        wanted = [BRANCH]
    return list(done.values())


def _join_ledgers(repository: Repository, remote: str) -> None:
    fetch(repository, remote, f"+{BRANCH}:refs/remotes/{remote}/git-annex")
    merge_refs(repository)


def _push(repository: Repository, remote: str, refs: Sequence[str]) -> Iterator[Pushed]:
    specs = [ref if ":" in ref else f"{ref}:{ref}" for ref in refs]
    arguments = ("push", "--porcelain", "--no-progress", remote, *specs)
    code, output, errors = repository.git.ask(*arguments, environment=QUIET)
    lines = [line for line in os.fsdecode(output).splitlines() if line.count("\t") >= 2]
    if code and not lines:
        from .git import git_failed

        raise git_failed(("push",), errors)
    told = set()
    for line in lines:
        flag, names, summary = line.split("\t", 2)
        source, _, target = names.partition(":")
        told.add(target)
        yield Pushed(
            source, target, summary, changed=flag not in "=!", error=summary if flag == "!" else ""
        )
    yield from _untold(specs, told, errors)


def _untold(specs: Sequence[str], told: set[str], errors: bytes) -> Iterator[Pushed]:
    """Refs that git says nothing of, though it ends well: its helper gave them up."""
    words = os.fsdecode(errors).strip().splitlines()[-3:]
    for spec in specs:
        source, _, target = spec.removeprefix("+").partition(":")
        if target.startswith("refs/") and "*" not in target and target not in told:
            error = " / ".join(words) or "git does not say what became of it"
            yield Pushed(source, target, "", changed=False, error=error, lost=True)


def fetch(repository: Repository, remote: str, *specs: str) -> None:
    """Fetch from a remote: its branches and the tags on them, or what is named.

    Raises:
        HoldError: It does not answer.
    """
    words = ("fetch", "--quiet", "--no-recurse-submodules")
    repository.git.run(*words, remote, *specs, environment=QUIET)


def upstream_of(repository: Repository, branch: str, remote: str) -> str | None:
    """The remote-tracking ref that a branch goes with: as configured, or of the same name."""
    config = repository.config
    names = [branch]
    if config.get(f"branch.{branch}.remote") == remote:
        merge = config.get(f"branch.{branch}.merge")
        names.insert(0, (merge or "").removeprefix("refs/heads/"))
    for name in filter(None, names):
        ref = f"refs/remotes/{remote}/{name}"
        if repository.git.line("rev-parse", "--verify", "--quiet", ref) is not None:
            return ref
    return None
