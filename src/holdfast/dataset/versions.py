"""Versions: the commits of a data set, and the run records that some of them hold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..core import faults
from ..core.errors import NotFoundError
from .repository import Repository

_RUN = (
    r"^\[DATALAD RUNCMD\] (.*?)\n+=== Do not change lines below ===\n(.*)"
    r"\n\^\^\^ Do not change lines above \^\^\^"
)
_FORMAT = "%H%x1f%P%x1f%aI%x1f%an%x1f%ae%x1f%D%x1f%B%x00"


NO_RUN: Mapping[str, Any] = {}


class Version(NamedTuple):
    """One state of a data set: who made it, when, why; ``run`` when a program did.

    ``run`` holds the run record as DataLad writes it, and its title; ``names`` are the branches
    and tags that stand here.
    """

    commit: str
    parents: tuple[str, ...]
    time: str
    author: str
    message: str
    names: tuple[str, ...] = ()
    run: Mapping[str, Any] = NO_RUN


def iter_versions(
    repository: Repository,
    paths: Sequence[bytes] = (),
    *,
    count: int | None = None,
    start: str | None = None,
) -> Iterator[Version]:
    """Versions, newest first; with ``paths`` those that changed something there.

    None when no version was made yet.

    Raises:
        NotFoundError: ``start`` is no version.
    """
    git = repository.git
    tip = commit_of(repository, start) if start else head_of(repository)
    if tip is None:
        return
    limit = [] if count is None else [f"--max-count={count}"]
    fields = git.iter_fields(
        "-c", "log.showSignature=false", "log", f"--format=format:{_FORMAT}", "--encoding=UTF-8",
        "--decorate=short", "--no-color", *limit, tip, "--", *paths,
    )  # fmt: skip
    for raw in fields:
        text = raw.decode("utf-8", "surrogateescape").lstrip("\n")
        if text:
            yield _version(text)


def _version(text: str) -> Version:
    commit, parents, moment, name, mail, names, message = text.split("\x1f", 6)
    title, run = parse_run(message)
    return Version(
        commit, tuple(parents.split()), moment, f"{name} <{mail}>", title,
        tuple(n for n in names.split(", ") if n), run,
    )  # fmt: skip


def parse_run(message: str) -> tuple[str, dict[str, Any]]:
    """The message without a run record, and the record with its title; empty when there is none."""
    found = re.match(_RUN, message, re.DOTALL)
    if found is None:
        return message.strip("\n"), {}
    import json  # late: few commands show what was run

    try:
        record = json.loads(found[2])
    except ValueError:
        return message.strip("\n"), {}
    if not isinstance(record, dict):
        return message.strip("\n"), {}
    return found[1], {"title": found[1], **record}


def commit_of(repository: Repository, version: str) -> str:
    """The commit a name stands for.

    Raises:
        NotFoundError: It stands for none.
    """
    found = None
    if not version.startswith("-"):
        found = repository.git.line("rev-parse", "--verify", "--quiet", version + "^{commit}")
    if found is None:
        raise faults.NO_SUCH_VERSION(version=version)
    return found.decode()


def present_of(repository: Repository) -> str:
    """The commit that is checked out.

    Where git-annex shows a branch adjusted (all of its files unlocked, say) it is the branch's own,
    as what is shown has no history of its own; unless somebody made a version on top of that.

    Raises:
        NotFoundError: There is none yet.
    """
    shown = repository.adjusted_branch
    if shown is not None:
        basis = repository.git.line("rev-parse", "--verify", "--quiet", f"refs/basis/{shown}")
        before = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD^")
        if basis is not None and basis == before:
            return basis.decode()
    return commit_of(repository, "HEAD")


def head_of(repository: Repository) -> str | None:
    """The version that is checked out; None before the first."""
    found = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD")
    return found.decode() if found else None


def is_version(repository: Repository, word: str) -> bool:
    """Whether a word stands for a version."""
    try:
        commit_of(repository, word)
    except NotFoundError:
        return False
    return True


def has_path(repository: Repository, commit: str, path: bytes) -> bool:
    """Whether a version has something at a path."""
    return bool(repository.git.run("ls-tree", "-z", "--full-tree", commit, "--", path))


def ever_had_path(repository: Repository, commit: str, path: bytes) -> bool:
    """Whether a version or one before it changed something at a path."""
    return repository.git.line("rev-list", "--max-count=1", commit, "--", path) is not None


def count_versions(repository: Repository) -> int:
    """How many versions led to the one that is checked out."""
    found = repository.git.line("rev-list", "--count", "HEAD", "--")
    return int(found) if found else 0
