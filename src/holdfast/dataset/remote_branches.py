"""Merging the git-annex branches that remotes brought into ours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from ..core import faults
from ..wire import logs
from ..wire.gitobjects import FILE_MODE, Oid
from .branch import (
    BRANCH,
    branch_tip,
    commit_object,
    forget_annex_index,
    journal_lock,
    tree_of,
    update_refs,
)  # fmt: skip
from .git import from_hex, hex_oid
from .object_reader import Answer
from .packs import BLOB, COMMIT, TREE, ObjectWriter
from .repository import Repository
from .trees import TreeEditor

_BULK = 8192


def merge_refs(repository: Repository) -> bool:
    """Merge the git-annex branches that remotes brought into ours; True when there were any."""
    if not unmerged_refs(repository):
        return False
    repository.check_writable()
    with journal_lock(repository):
        return merge_refs_locked(repository)


def merge_refs_locked(repository: Repository) -> bool:
    """As `merge_refs`, by a caller that holds the journal lock."""
    if repository.config.get("annex.merge-annex-branches") == "false":
        return False
    refs = unmerged_refs(repository)
    for ref, theirs in refs:
        _merge_one(repository, ref, theirs)
    if refs:
        _remember_merged(repository, refs)
    return bool(refs)


def unmerged_refs(repository: Repository) -> list[tuple[bytes, Oid]]:
    """Refs named git-annex of remotes whose commits are not known to be in ours."""
    listing = repository.git.run(
        "for-each-ref", "--format=%(objectname)%00%(refname)", "refs/heads", "refs/remotes"
    )
    merged = _read_merged(repository)
    found: list[tuple[bytes, Oid]] = []
    ours: bytes | None = None
    for line in listing.splitlines():
        oid, _, ref = line.partition(b"\0")
        if ref == BRANCH.encode():
            ours = oid
        elif ref.endswith(b"/git-annex") and (oid, ref) not in merged:
            found.append((ref, from_hex(oid)))
    return [(ref, oid) for ref, oid in found if ours is None or hex_oid(oid) != ours]


def _merge_one(repository: Repository, ref: bytes, theirs: Oid) -> None:
    ours = branch_tip(repository)
    git = repository.git
    if ours is None:
        update_refs(repository, [(BRANCH, theirs, None)], "merge")
        return
    if git.ask("merge-base", "--is-ancestor", hex_oid(theirs), hex_oid(ours))[0] == 0:
        return
    if git.ask("merge-base", "--is-ancestor", hex_oid(ours), hex_oid(theirs))[0] == 0:
        update_refs(repository, [(BRANCH, theirs, ours)], "merge")
        forget_annex_index(repository)
        return
    _refuse_transitions(repository, ours, theirs)
    with ObjectWriter(repository.common_dir, repository.object_format) as writer:
        root = _union_tree(repository, writer, ours, theirs)
        assert root is not None
        name = ref.decode("utf-8", "surrogateescape").removeprefix("refs/heads/")
        name = name.removeprefix("refs/remotes/")
        message = f"merging {name} into git-annex"
        commit = writer.add(COMMIT, commit_object(repository, root, [ours, theirs], message))
        writer.finish()
    update_refs(repository, [(BRANCH, commit, ours)], "merge")
    forget_annex_index(repository)


def _refuse_transitions(repository: Repository, ours: Oid, theirs: Oid) -> None:
    """History that was forgotten on one side must not come back from the other."""
    reader = repository.git.objects
    sets = []
    for tip in (ours, theirs):
        answer = reader.read(hex_oid(tip) + b":transitions.log")
        sets.append(frozenset(answer[1].splitlines()) if answer else frozenset())
    if sets[0] != sets[1]:
        raise faults.TRANSITION()


def _union_tree(repository: Repository, writer: ObjectWriter, ours: Oid, theirs: Oid) -> Oid | None:
    git = repository.git
    editor = TreeEditor(
        lambda oid: _content(git.objects.read(hex_oid(oid))),
        lambda data: writer.add(TREE, data),
        repository.object_format,
        tree_of(repository, ours),
    )
    changes = git.iter_fields(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", hex_oid(ours), hex_oid(theirs)
    )
    while block := list(islice(_iter_raw(changes), _BULK)):
        pairs = [(path, old, new) for path, old, new in block if new is not None]
        names = [oid for _, old, new in pairs for oid in (old, new) if oid is not None]
        contents = dict(zip(names, git.objects.iter_read(names), strict=True))
        for path, old, new in pairs:
            assert new is not None
            if old is None:
                editor.set(path, FILE_MODE, from_hex(new))
            else:
                both = logs.union(_content(contents[old]), _content(contents[new]))
                editor.set(path, FILE_MODE, writer.add(BLOB, both))
    return editor.finish()


def _iter_raw(fields: Iterator[bytes]) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Path, old and new object of `diff-tree --raw -z`; None where there is none."""
    for facts in fields:
        path = next(fields)
        _, _, old, new, _ = facts.split(b" ")
        yield path, old if old.strip(b"0") else None, new if new.strip(b"0") else None


def _read_merged(repository: Repository) -> set[tuple[bytes, bytes]]:
    try:
        with open(os.path.join(repository.annex_dir, b"mergedrefs"), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return set()
    return {(oid, ref) for oid, _, ref in (line.partition(b"\t") for line in lines)}


def _remember_merged(repository: Repository, refs: Sequence[tuple[bytes, Oid]]) -> None:
    now_merged = {ref: oid for oid, ref in _read_merged(repository)}
    now_merged.update({ref: hex_oid(oid) for ref, oid in refs})
    path = os.path.join(repository.annex_dir, b"mergedrefs")
    temporary = path + b".hold"
    with open(temporary, "wb") as file:
        file.writelines(b"%b\t%b\n" % (oid, ref) for ref, oid in sorted(now_merged.items()))
    os.replace(temporary, path)


def _content(answer: Answer | None) -> bytes:
    assert answer is not None, "an object that a tree names is missing; git fsck tells more"
    return answer[1]
