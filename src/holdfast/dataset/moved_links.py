"""Before a commit: symlinks of annexed files that were moved are made to lead to their content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from ..wire.gitindex import encode_entry, stat_facts
from ..wire.gitobjects import Oid
from ..wire.pointer import key_of_link, link_target
from .exchange import take_place
from .index_file import IndexChange, update_entries
from .packs import BLOB, ObjectWriter
from .repository import Repository
from .scratch import Scratch

LINK = b"120000"


def mend_staged_links(repository: Repository) -> list[bytes]:
    """Set right what is staged, and the same links in the folder; gives the paths.

    Content is not looked at: a link is right or wrong by where it lies alone.
    """
    wrong = list(_wrong_links(repository))
    if not wrong:
        return []
    changes: list[IndexChange] = []
    with ObjectWriter(repository.common_dir, repository.object_format) as writer:
        for path, old, right in wrong:
            oid = writer.add(BLOB, right)
            changes.append((path, _entry(repository, path, old, right, oid)))
        writer.finish()
    update_entries(repository, changes)
    return [path for path, _, _ in wrong]


def _wrong_links(repository: Repository) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Path, target and right target of each staged link that leads elsewhere than it should."""
    staged = list(_iter_staged_links(repository))
    answers = repository.git.objects.iter_read([oid for _, oid in staged])
    for (path, _), answer in zip(staged, answers, strict=True):
        target = answer[1] if answer is not None else b""
        key = key_of_link(target) if b".git/annex/objects/" in target else None
        if key is not None and link_target(key, path.count(b"/")) != target:
            yield path, target, link_target(key, path.count(b"/"))


def _iter_staged_links(repository: Repository) -> Iterator[tuple[bytes, bytes]]:
    git = repository.git
    base = git.line("rev-parse", "--verify", "--quiet", "HEAD")
    if base is None:
        base = git.run("hash-object", "-t", "tree", "--stdin", data=b"").strip()
    fields = git.iter_fields(
        "diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev",
        "--diff-filter=AMT", "--ignore-submodules=all", base, "--",
    )  # fmt: skip
    for facts in fields:
        path = next(fields)
        _, mode, _, oid, _ = facts.split(b" ")
        if mode == LINK:
            yield path, oid


def _entry(repository: Repository, path: bytes, old: bytes, right: bytes, oid: Oid) -> bytes:
    full = os.path.join(repository.top, path)
    try:
        seen = os.lstat(full)
        if os.readlink(full) == old:
            _replace(repository, full, seen, right)
        status = os.lstat(full)
        facts = stat_facts(status)
    except OSError:
        # Gone from the folder, or something else there: git will see that it differs.
        return encode_entry(path, int(LINK, 8), oid, (0,) * 9)
    return encode_entry(path, int(LINK, 8), oid, facts)


def _replace(repository: Repository, full: bytes, seen: os.stat_result, target: bytes) -> None:
    with closing(Scratch(repository.annex_dir + b"/othertmp", b"fix")) as scratch:
        temporary = os.path.join(scratch.path, b"link")
        os.symlink(target, temporary)
        take_place(temporary, full, seen)
