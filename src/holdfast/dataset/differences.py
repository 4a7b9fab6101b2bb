"""What differs between two versions, or a version and the work tree, by path and key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from ..core.key import Key
from .annexed import LINK, SUBMODULE, TrackedFile, with_keys
from .git import NO_FILTER
from .objects import Objects
from .repository import Repository
from .status import Kind, is_unchanged, key_in_folder

_BLOCK = 4096


class Change(StrEnum):
    """What became of a path."""

    ADDED = "added"
    DELETED = "deleted"
    MODIFIED = "modified"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Side:
    """What a version has at a path: in git when ``key`` is None.

    ``oid`` is empty when git has not read it yet; ``size`` None when nothing tells it.
    """

    path: bytes
    mode: bytes
    oid: bytes
    key: Key | None
    size: int | None

    @property
    def kind(self) -> Kind:
        """What it is."""
        if self.mode == SUBMODULE:
            return Kind.DATASET
        return Kind.SYMLINK if self.mode == LINK and self.key is None else Kind.FILE

    @property
    def content(self) -> bytes:
        """What tells its content from others; empty when that is not known."""
        return bytes(self.key) if self.key is not None else self.oid


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that differs; of a rename ``old`` tells where it was."""

    change: Change
    old: Side | None
    new: Side | None

    @property
    def path(self) -> bytes:
        """Where it is now; where it was, when it is gone."""
        side = self.new or self.old
        assert side is not None
        return side.path


def iter_differences(
    repository: Repository,
    objects: Objects | None,
    old: str,
    new: str | None,
    paths: Sequence[bytes] = (),
) -> Iterator[Difference]:
    """Every path that differs, sorted by path; to the files as they are when ``new`` is None.

    The same content under a new name is a rename. Memory grows with what differs.
    """
    pairs = iter_pairs(repository, objects, old, new, paths)
    changed = [_difference(before, after) for before, after in pairs]
    yield from sorted(_join_renames(changed), key=lambda difference: difference.path)


def _difference(old: Side | None, new: Side | None) -> Difference:
    if old is None:
        return Difference(Change.ADDED, None, new)
    return Difference(Change.DELETED if new is None else Change.MODIFIED, old, new)


def _join_renames(changed: Sequence[Difference]) -> Iterator[Difference]:
    """Join what went and what came when it is the same content, each once."""
    gone: dict[bytes, list[Side]] = {}
    for difference in reversed(changed):
        if difference.old is not None and difference.new is None and difference.old.content:
            gone.setdefault(difference.old.content, []).append(difference.old)
    moved: set[bytes] = set()
    for difference in changed:
        new = difference.new
        if difference.change is Change.ADDED and new is not None and gone.get(new.content):
            old = gone[new.content].pop()
            moved.add(old.path)
            yield Difference(Change.RENAMED, old, new)
        elif difference.change is not Change.DELETED:
            yield difference
    for difference in changed:
        if difference.change is Change.DELETED and difference.path not in moved:
            yield difference


_Pair = tuple[Side | None, Side | None]


def iter_pairs(
    repository: Repository,
    objects: Objects | None,
    old: str,
    new: str | None,
    paths: Sequence[bytes],
) -> Iterator[_Pair]:
    versions = [old] if new is None else [old, new]
    fields = repository.git.iter_fields(
        *NO_FILTER, "diff", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff",
        "--ignore-submodules=dirty", "--no-relative", *versions, "--", *paths,
        environment={"GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip
    raw = ((facts[1:].split(b" "), next(fields)) for facts in fields)
    while block := [item for item in islice(raw, _BLOCK) if item[0][4] != b"U"]:
        before = _sides(repository, [(path, f[0], f[2]) for f, path in block])
        after = _sides(repository, [(path, f[1], f[3]) for f, path in block])
        for _, path in block:
            one, two = before.get(path), after.get(path)
            if two is not None and not two.oid:
                if one is not None and _is_same(repository, objects, one, two):
                    continue
                two = _look(repository, two)
            yield one, two


def _sides(
    repository: Repository, entries: Iterable[tuple[bytes, bytes, bytes]]
) -> dict[bytes, Side]:
    """What is at each path that exists on one side."""
    there = [entry for entry in entries if entry[1].strip(b"0")]
    files = list(with_keys(repository, there))
    plain = {f.oid for f in files if f.key is None and f.mode != SUBMODULE and f.oid.strip(b"0")}
    sizes = dict(repository.git.objects.iter_sizes(sorted(plain)))
    return {
        file.path: Side(
            file.path, file.mode, file.oid if file.oid.strip(b"0") else b"", file.key,
            sizes.get(file.oid) if file.key is None else file.key.size,
        )
        for file in files
    }  # fmt: skip


def _is_same(repository: Repository, objects: Objects | None, old: Side, new: Side) -> bool:
    """Whether a file that git found touched has the annexed content it had before."""
    if objects is None or old.key is None or new.mode != old.mode or old.mode == LINK:
        return False
    return is_unchanged(repository, objects, TrackedFile(old.path, old.mode, old.oid, old.key))


def _look(repository: Repository, side: Side) -> Side:
    """The same, of a file in the folder that git has not read."""
    path = os.path.join(repository.top, side.path)
    try:
        status = os.lstat(path)
    except OSError:
        return side
    key = key_in_folder(path, status)
    size = status.st_size if key is None else key.size
    return Side(side.path, side.mode, b"", key, None if side.mode == SUBMODULE else size)
