"""Joins two versions whose annexed files conflict, as git-annex does: see `wire.variants`.

git is left to merge; what it could not join is resolved in a copy of the index. The merge is then
undone, and the version that was made taken up like any that follows from the one checked out. So
there is never half of it, and what was not saved is as safe as it is then.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..wire.pointer import key_of_link, key_of_pointer, link_target
from ..wire.variants import Conflict, Side, resolve
from .index_file import index_path
from .repository import Repository
from .scratch import Scratch

MESSAGE = "git-annex automatic merge conflict fix"
_LINK = b"120000"
_FILES = (b"100644", b"100755")
_OURS, _THEIRS = 2, 3

Resolved = list[tuple[bytes, Sequence[bytes]]]
"""The paths that conflicted, each with those that took its place."""

Stages = dict[bytes, dict[int, tuple[bytes, bytes]]]
"""Of each path that git could not join: the mode and object of each side, by its stage."""


class Made(NamedTuple):
    """A version in which conflicts are resolved, and how."""

    version: bytes
    resolved: Resolved


def resolve_merge(repository: Repository, version: str) -> Made | None:
    """Make a version of the merge that has just stopped at conflicts, which is left as it is.

    None when a person has to choose.
    """
    scratch = Scratch(repository.annex_dir + b"/othertmp", b"merge")
    try:
        index = scratch.path + b"/index"
        shutil.copyfile(index_path(repository), index)
        resolved = _resolve_in(repository, index)
        if resolved is None:
            return None
        git = repository.git
        environment = {"GIT_INDEX_FILE": os.fsdecode(index)}
        tree = git.run("write-tree", environment=environment).strip()
        parents = ("-p", "HEAD", "-p", version)
        return Made(git.run("commit-tree", tree, *parents, "-m", MESSAGE).strip(), resolved)
    finally:
        scratch.close()


def _resolve_in(repository: Repository, index: bytes) -> Resolved | None:
    """Resolve all conflicts of an index; None, with nothing done, when one of them cannot be."""
    environment = {"GIT_INDEX_FILE": os.fsdecode(index)}
    listed = repository.git.run("ls-files", "--stage", "-z", environment=environment)
    stages: Stages = {}
    settled: dict[bytes, bytes] = {}
    for line in filter(None, listed.split(b"\0")):
        facts, _, path = line.partition(b"\t")
        mode, oid, stage = facts.split(b" ")
        if stage == b"0":
            settled[path] = oid
        else:
            stages.setdefault(path, {})[int(stage)] = mode, oid
    done: Resolved = []
    spots = _Spots(settled)
    nothing = b"0" * len(listed.split(b" ", 2)[1])
    lines = [b"0 %b\t%b" % (nothing, path) for path in stages]
    for conflict in _iter_conflicts(repository, stages):
        made = None if conflict is None else resolve(conflict)
        if conflict is None or made is None:
            return None
        if not all(spots.take(path, side.oid) for path, side in made):
            return None
        lines += [b"%b %b\t%b" % (side.mode, side.oid, path) for path, side in made]
        done.append((conflict.path, [path for path, _ in made]))
    data = b"".join(line + b"\0" for line in lines)
    repository.git.run("update-index", "-z", "--index-info", data=data, environment=environment)
    return done


class _Spots:
    """Which paths of a tree are taken, and by what."""

    def __init__(self, settled: dict[bytes, bytes]) -> None:
        self._settled = settled
        self._folders: set[bytes] = set()
        for path in settled:
            folder = os.path.dirname(path)
            while folder and folder not in self._folders:
                self._folders.add(folder)
                folder = os.path.dirname(folder)

    def take(self, path: bytes, oid: bytes) -> bool:
        """False when something else is there already, or a folder."""
        return path not in self._folders and self._settled.setdefault(path, oid) == oid


def _iter_conflicts(repository: Repository, stages: Stages) -> Iterator[Conflict | None]:
    """Conflicts by their paths; None for one of a kind that is no file's.

    git gives a file that became something else a path of its own, with ``~`` and a version's name.
    """
    joined: Stages = {}
    for path, found in stages.items():
        original = path.rpartition(b"~")[0]
        joined.setdefault(original if original in stages else path, {}).update(
            {stage: side for stage, side in found.items() if stage in (_OURS, _THEIRS)}
        )
    for path, found in joined.items():
        try:
            ours, theirs = (_side(repository, path, found.get(n)) for n in (_OURS, _THEIRS))
        except _NotForUs:
            yield None
        else:
            yield Conflict(path, ours, theirs)


class _NotForUs(Exception):
    """What conflicts is no file, or a link that is not as it should be there."""


def _side(repository: Repository, path: bytes, found: tuple[bytes, bytes] | None) -> Side | None:
    if found is None:
        return None
    mode, oid = found
    answer = repository.git.objects.read(oid) if mode == _LINK or mode in _FILES else None
    if answer is None:
        raise _NotForUs
    content = answer[1]
    if mode != _LINK:
        return Side(mode, oid, key_of_pointer(content))
    key = key_of_link(content)
    if key is not None and content != link_target(key, path.count(b"/")):
        raise _NotForUs
    return Side(mode, oid, key)
