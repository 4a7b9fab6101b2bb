"""A data set made of git bundles alone: history, its branch, the ledger, the work tree."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..core import faults
from .adopting import adopt
from .cloning import building
from .git import NO_FILTER, Git

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_ORIGIN = "archive"
_ANNEX_REF = "refs/remotes/archive/git-annex"
_SHA256 = b"@object-format=sha256\n"
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
    folder: bytes, bundles: Sequence[bytes], wanted: Wanted, description: str
) -> None:
    """Make a data set in an empty folder out of bundle files, the oldest first.

    git checks all objects by their names. Hooks and settings come from nobody.

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
        for bundle in bundles:
            # Names of what it brings are not its choice: refs are made of what the manifest says.
            git.run(
                *NO_FILTER, "-c", "gc.auto=0", "-c", "fetch.unpackLimit=1", "fetch", "--quiet",
                "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", bundle,
                "+refs/heads/*:refs/remotes/archive/*", "+HEAD:refs/remotes/archive/HEAD",
            )  # fmt: skip
        _set_refs(git, wanted)
        git.run(*NO_FILTER, "reset", "--hard", "--quiet")
        adopt(folder, _ORIGIN, description, None)
        _delete_refs(git)
    finally:
        git.close()


def _init(git: Git, bundle: bytes) -> None:
    with open(bundle, "rb") as file:
        head = file.read(_HEADER_MAX)
    form = "sha256" if _SHA256 in head.partition(b"\n\n")[0] + b"\n" else "sha1"
    git.run("init", "--quiet", f"--object-format={form}", "--template=", ".")


def _set_refs(git: Git, wanted: Wanted) -> None:
    for commit in (wanted.version, wanted.annex):
        if commit and git.ask("cat-file", "-e", f"{commit}^{{commit}}")[0]:
            raise _bad(f"its bundles do not have commit {commit}")
    branch = wanted.branch
    if branch == "git-annex" or (branch and git.ask("check-ref-format", "--branch", branch)[0]):
        raise _bad(f"{branch[:80]!r} is no name of a branch")
    _delete_refs(git)
    if wanted.annex:
        # As a remote's, which a new clone takes over.
        git.run("update-ref", _ANNEX_REF, wanted.annex)
    if branch:
        git.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git.run("update-ref", *(() if branch else ("--no-deref",)), "HEAD", wanted.version)


def _delete_refs(git: Git) -> None:
    """Forget where bundles had their commits; what is wanted of them has other names."""
    refs = git.run("for-each-ref", "--format=delete %(refname)", "refs/remotes/archive")
    if refs:
        git.run("update-ref", "--no-deref", "--stdin", data=refs)


def _bad(detail: str) -> Exception:
    return faults.PIECE_UNREADABLE(piece="what these pieces say of their history", detail=detail)
