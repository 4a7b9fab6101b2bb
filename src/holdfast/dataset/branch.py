"""The git-annex branch among git's refs: its tip, its lock, and how it and other refs move."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..wire.gitobjects import Oid, encode_commit, parse_commit
from . import locks
from .git import from_hex, hex_oid
from .repository import Repository

BRANCH = "refs/heads/git-annex"
RefUpdate = tuple[str, Oid, Oid | None]
"""A ref, its new value, and the old one it must still have (None: it must not exist)."""


def journal_lock(repository: Repository) -> AbstractContextManager[None]:
    """The lock that keeps writers of the branch apart, ours and git-annex's."""
    os.makedirs(repository.annex_dir, exist_ok=True)
    return locks.exclusive(repository.annex_dir + b"/journal.lck")


def branch_tip(repository: Repository) -> Oid | None:
    """The newest commit of the branch, or None before there is one."""
    answer = repository.git.objects.read(BRANCH.encode())
    return None if answer is None else from_hex(answer[2])


def update_refs(repository: Repository, moves: Sequence[RefUpdate], reason: str) -> None:
    """Move refs, all or none, each only from the value it should have."""
    zero = b"0" * repository.object_format.digest_size * 2
    lines = [
        b"update %b\0%b\0%b\0" % (ref.encode(), hex_oid(new), hex_oid(old) if old else zero)
        for ref, new, old in moves
    ]
    repository.git.run("update-ref", "-m", reason, "-z", "--stdin", data=b"".join(lines))


def commit_object(
    repository: Repository, tree: Oid, parents: Sequence[Oid], message: str | bytes
) -> bytes:
    """A commit by whoever git says we are."""
    author, committer = idents(repository)
    text = message if isinstance(message, bytes) else message.encode("utf-8", "surrogateescape")
    return encode_commit(tree, parents, author, committer, text.rstrip(b"\n") + b"\n")


def idents(repository: Repository) -> tuple[bytes, bytes]:
    """Author and committer, as git would write them now.

    Raises:
        UsageError: git does not know who we are.
    """
    author = repository.ident("GIT_AUTHOR_IDENT")
    if any(name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_")) for name in os.environ):
        return author, repository.ident("GIT_COMMITTER_IDENT")
    return author, author


def forget_annex_index(repository: Repository) -> None:
    """Let git-annex read the branch anew; what we took out must not come back from its index."""
    for name in (b"index", b"index.lck"):
        try:
            os.unlink(os.path.join(repository.annex_dir, name))
        except FileNotFoundError:
            continue


def tree_of(repository: Repository, commit: Oid) -> Oid:
    """The tree of a commit."""
    answer = repository.git.objects.read(hex_oid(commit))
    assert answer is not None, "a commit that a ref names is missing; git fsck tells more"
    return parse_commit(answer[1]).tree
