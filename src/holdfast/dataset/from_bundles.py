"""A data set made of git bundles alone: history, its branch, the ledger, the work tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..core import faults
from ..wire.bundle_header import SHA256_LINE, Ref, other_refs
from .adopting import adopt
from .cloning import building
from .git import BOUNDED, NO_FILTER, Git
from .initialise import initialise
from .repository import Repository

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_ORIGIN = "archive"
_ANNEX_REF = "refs/remotes/archive/git-annex"
_ASIDE = "refs/hold-archive"
_DEPTH = 3
"""So many parts of a name are where it is kept aside."""
_HEADER_MAX = 1 << 16


@dataclass(frozen=True)
class Wanted:
    """What is to be made: the commit to check out, its branch ("" for none), the annex's commit."""

    version: str
    branch: str
    annex: str


@contextmanager
def building_from(target: bytes) -> Iterator[bytes]:
    """A folder that becomes the target when the block ends well, and vanishes when it does not."""
    with building(target, None) as folder:
        os.makedirs(folder, exist_ok=True)
        yield folder


def make_of_bundles(
    folder: bytes, bundles: Sequence[bytes], wanted: Wanted, description: str, *,
    as_anybody: bool = False,
) -> None:  # fmt: skip
    """Make a data set in an empty folder out of bundle files, the oldest first.

    git checks all objects by their names. Hooks and settings come from nobody. Tags, and branches
    besides the wanted one, are those of the last bundle. With ``as_anybody`` git need not know who
    we are.

    Raises:
        IntegrityError: A bundle is none, or lacks the version.
        HoldError: git could not.
    """
    for commit in (wanted.version, wanted.annex):
        if commit and not _COMMIT.fullmatch(commit):
            raise _bad(f"{commit[:80]!r} is the name of no commit")
    git = Git(folder)
    try:
        _init(git, bundles[0])
        if as_anybody and git.ask("var", "GIT_AUTHOR_IDENT")[0]:
            git.run("config", "user.name", "nobody")
            git.run("config", "user.email", "nobody@localhost")
        for number, bundle in enumerate(bundles):
            # Aside, each on its own: what a name is of may change from one to the next.
            git.run(
                *NO_FILTER, *BOUNDED, "-c", "gc.auto=0", "-c", "fetch.unpackLimit=1",
                "fetch", "--quiet", "--no-tags", "--no-recurse-submodules",
                "--no-write-fetch-head", bundle,
                f"+refs/*:{_ASIDE}/{number}/refs/*", f"+HEAD:{_ASIDE}/{number}/HEAD",
            )  # fmt: skip
        _set_refs(git, wanted)
        _set_others(git, f"{_ASIDE}/{len(bundles) - 1}/", wanted.branch)
        git.run(*NO_FILTER, *BOUNDED, "reset", "--hard", "--quiet")
        if wanted.annex:
            adopt(folder, _ORIGIN, description, None)
        else:  # it had no ledger yet; content came from a data set all the same
            _begin_annex(folder, description)
        _delete_refs(git)
    finally:
        git.close()


def _begin_annex(folder: bytes, description: str) -> None:
    repository = Repository(folder)
    try:
        initialise(repository, description)
    finally:
        repository.close()


def _init(git: Git, bundle: bytes) -> None:
    with open(bundle, "rb") as file:
        head = file.read(_HEADER_MAX)
    form = "sha256" if SHA256_LINE in head.partition(b"\n\n")[0].split(b"\n") else "sha1"
    git.run("init", "--quiet", f"--object-format={form}", "--template=", ".")


def _set_refs(git: Git, wanted: Wanted) -> None:
    for commit in (wanted.version, wanted.annex):
        if commit and git.ask("cat-file", "-e", f"{commit}^{{commit}}")[0]:
            raise _bad(f"its bundles do not have commit {commit}")
    branch = wanted.branch
    if branch == "git-annex" or (branch and git.ask("check-ref-format", "--branch", branch)[0]):
        raise _bad(f"{branch[:80]!r} is no name of a branch")
    if wanted.annex:
        # As a remote's, which a new clone takes over.
        git.run("update-ref", _ANNEX_REF, wanted.annex)
    if branch:
        git.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git.run("update-ref", *(() if branch else ("--no-deref",)), "HEAD", wanted.version)


def _set_others(git: Git, aside: str, branch: str) -> None:
    """Give tags and other branches the names that a bundle has for them."""
    listed = git.run("for-each-ref", f"--format=%(objectname) %(refname:lstrip={_DEPTH})", aside)
    lines = listed.decode("utf-8", "surrogateescape").splitlines()
    refs = other_refs([Ref(*line.split(" ", 1)) for line in lines], branch)
    if refs:
        made = "".join(f"create {name} {oid}\n" for oid, name in refs)
        git.run("update-ref", "--stdin", data=made.encode("utf-8", "surrogateescape"))


def _delete_refs(git: Git) -> None:
    """Forget where bundles had their commits; what is wanted of them has other names."""
    refs = git.run("for-each-ref", "--format=delete %(refname)", _ASIDE, _ANNEX_REF)
    if refs:
        git.run("update-ref", "--no-deref", "--stdin", data=refs)


def _bad(detail: str) -> Exception:
    return faults.PIECE_UNREADABLE(piece="what these pieces say of their history", detail=detail)
