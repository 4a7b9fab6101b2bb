"""What differs between the last version, git's index and the folder; one sorted stream.

git looks for us (it is fast, and knows all ignore rules), but through no filter: whether an
unlocked file really changed is found out by whoever reads it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from ..core import faults
from ..wire.gitobjects import Oid
from .git import NO_FILTER, from_hex
from .repository import Repository

SUBMODULE_MODE = b"160000"
_PATHSPEC_BYTES_MAX = 60_000
_CLOSED_FOLDER = re.compile(rb"warning: could not open directory '(.*?)/?': Permission denied")
_CLOSED_FILE = re.compile(rb"(?:error: )?(.*/.*): Permission denied")


class IndexState(NamedTuple):
    """What the index holds at a path."""

    mode: bytes
    oid: Oid


class Change(NamedTuple):
    """One path that is not as the last version has it.

    ``in_head`` and ``in_index`` say what they hold, None when nothing. ``in_folder`` is False
    when the folder has nothing at the path, True when what it has must be looked at, None when
    the folder agrees with the index.
    """

    path: bytes
    in_head: IndexState | None
    in_index: IndexState | None
    in_folder: bool | None


_Found = Iterator[tuple[bytes, int, bytes]]
"""Paths, sorted; which of the three looks found each; and what it says of it."""


class Scan:
    """One look at a repository, at all of it or below some paths (relative to its top)."""

    def __init__(self, repository: Repository, paths: Sequence[bytes] = ()) -> None:
        self._repository = repository
        self._paths = [p for p in paths if p] if b"" not in paths else []
        specs: list[str | bytes] = ["--", *self._paths]
        self._few = sum(map(len, self._paths)) < _PATHSPEC_BYTES_MAX
        self._specs = specs if self._few else ["--"]
        self._warnings: list[bytes] = []

    def iter_changes(self, *, untracked: bool = True) -> Iterator[Change]:
        """Every path that differs, sorted; git begins to look at once.

        Raises:
            ConflictError: A merge is not finished.
        """
        streams = [self._modified()]
        if untracked:
            streams.append(self._untracked())
        streams.append(self._staged())
        return self._join_all(streams)

    def _join_all(self, streams: Sequence[_Found]) -> Iterator[Change]:
        for path, group in groupby(merge(*streams), key=lambda item: item[0]):
            if self._wanted(path):
                yield _join(path, {source: facts for _, source, facts in group})

    def _wanted(self, path: bytes) -> bool:
        if self._few or not self._paths:
            return True
        return any(path == p or path.startswith(p + b"/") for p in self._paths)

    def _staged(self) -> _Found:
        repository = self._repository
        base = "HEAD"
        if repository.git.line("rev-parse", "--verify", "--quiet", "HEAD") is None:
            empty = repository.git.run("hash-object", "-t", "tree", "--stdin", data=b"")
            base = empty.strip().decode()
        fields = repository.git.iter_fields(
            "diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev",
            "--ignore-submodules=dirty", base, *self._specs,
        )  # fmt: skip
        return ((next(fields), _STAGED, facts) for facts in fields)

    def _modified(self) -> _Found:
        fields = self._repository.git.iter_fields(
            *NO_FILTER, "diff-files", "--raw", "-z", "--no-renames", "--no-abbrev",
            "--ignore-submodules=dirty", *self._specs, warnings=self._warnings,
        )  # fmt: skip
        return _without_conflicts(fields)

    def _untracked(self) -> _Found:
        fields = self._repository.git.iter_fields(
            "ls-files", "--others", "--exclude-standard", "-z", *self._specs,
            warnings=self._warnings,
        )  # fmt: skip
        # A repository inside this one is printed with a slash, and sorts as if it had one.
        return ((path.rstrip(b"/"), _UNTRACKED, b"") for path in fields)

    @property
    def unreadable(self) -> set[bytes]:
        """Folders that git could not look into, known once all changes were given."""
        return folders_not_read(self._warnings)


def folders_not_read(warnings: Iterable[bytes]) -> set[bytes]:
    """The folders that git warned it could not look into, or at what is in them."""
    folders: set[bytes] = set()
    for line in warnings:
        if found := _CLOSED_FOLDER.fullmatch(line):
            folders.add(found[1])
        elif found := _CLOSED_FILE.fullmatch(line):
            folders.add(os.path.dirname(found[1]))
    return folders


def _without_conflicts(fields: Iterator[bytes]) -> _Found:
    last = b""
    for facts in fields:
        path = next(fields)
        if facts.endswith(b" U"):
            raise faults.UNMERGED(path=os.fsdecode(path))
        if path != last:
            yield path, _MODIFIED, facts
        last = path


_STAGED, _MODIFIED, _UNTRACKED = range(3)


def _join(path: bytes, facts: dict[int, bytes]) -> Change:
    head: IndexState | None = None
    index: IndexState | None = None
    folder: bool | None = None
    if _MODIFIED in facts:
        mode, _, oid, _, status = facts[_MODIFIED].split(b" ")
        index = head = _state(mode.lstrip(b":"), oid)
        folder = status[:1] != b"D"
    else:
        folder = True if _UNTRACKED in facts else None
    if _STAGED in facts:
        old_mode, new_mode, old, new, _ = facts[_STAGED].split(b" ")
        head = _state(old_mode.lstrip(b":"), old)
        index = _state(new_mode, new)
    if folder is None and index is None:
        folder = False
    return Change(path, head, index, folder)


def _state(mode: bytes, oid: bytes) -> IndexState | None:
    return IndexState(mode, from_hex(oid)) if mode.strip(b"0") else None


class Ignored(NamedTuple):
    """A path that git ignores, and the line that says so."""

    path: bytes
    source: bytes
    line: bytes
    pattern: bytes


def ignored_paths(repository: Repository, paths: Sequence[bytes]) -> list[Ignored]:
    """Those of these paths that git ignores, and knows nothing below."""
    asked = [p for p in paths if p and os.path.lexists(os.path.join(repository.top, p))]
    if not asked:
        return []
    # It takes no literal paths; behind a dot nothing in them means anything.
    _, told, _ = repository.git.ask(
        "check-ignore", "--verbose", "-z", "--stdin",
        data=b"".join(b"./" + path + b"\0" for path in asked),
        environment={"GIT_LITERAL_PATHSPECS": "0"},
    )  # fmt: skip
    fields = iter(told.split(b"\0")[:-1])
    found = [
        Ignored(path.removeprefix(b"./"), source, line, pattern)
        for source, line, pattern, path in zip(fields, fields, fields, fields, strict=True)
    ]
    return [
        one
        for one in found
        if not one.pattern.startswith(b"!")
        and not repository.git.run("ls-files", "-z", "--", one.path)
    ]


def missing_paths(repository: Repository, paths: Sequence[bytes]) -> list[bytes]:
    """Those of these paths that neither the folder nor the index knows."""
    absent = [p for p in paths if p and not os.path.lexists(os.path.join(repository.top, p))]
    return [
        path
        for path in absent
        if not repository.git.run("ls-files", "-z", "--", path)
        and not repository.git.run("ls-tree", "-z", "HEAD", "--", path)
    ]
