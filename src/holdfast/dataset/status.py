"""How the work tree differs from the last version, in DataLad's words.

git compares for us, in one process and through no filter, so that it never starts a program for
each unlocked file; of those it finds touched we look at the content ourselves. Nothing is written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from enum import StrEnum
from heapq import merge
from itertools import chain, groupby
from typing import NamedTuple

from ..core.key import Key
from ..wire.pointer import POINTER_SIZE_MAX, key_of_link, key_of_pointer
from .annexed import LINK, SUBMODULE, TrackedFile, with_keys
from .git import NO_FILTER
from .objects import Objects
from .repository import Repository

_PATHSPEC_BYTES_MAX = 60_000


class State(StrEnum):
    """How a path differs from the last version."""

    CLEAN = "clean"
    UNTRACKED = "untracked"
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    CONFLICT = "conflict"


class Kind(StrEnum):
    """What is at a path."""

    FILE = "file"
    SYMLINK = "symlink"
    DIRECTORY = "directory"
    DATASET = "dataset"


class Untracked(StrEnum):
    """Which paths that git does not know are told of; the values are git's."""

    NO = "no"
    NORMAL = "normal"
    ALL = "all"


class PathStatus(NamedTuple):
    """One path: how it differs, what it is now (what it was, when it is gone), its content.

    Of a data set ``moved`` says that another version of it is there than belongs here, ``inside``
    that git sees changes in it. ``key`` is that of the content now, None when it is in git or not
    known without reading it; an annexed file counts as a file, locked or not.
    """

    path: bytes
    state: State
    kind: Kind
    key: Key | None = None
    size: int | None = None
    moved: bool = False
    inside: bool = False


def iter_status(
    repository: Repository,
    objects: Objects | None,
    paths: Sequence[bytes] = (),
    *,
    clean: bool = False,
    untracked: Untracked = Untracked.ALL,
    warnings: list[bytes] | None = None,
) -> Iterator[PathStatus]:
    """Every path that differs, sorted; with ``clean`` every path.

    ``objects`` is the content that is here, None where there is no annex. ``warnings`` takes what
    git warns of, all of it once every path was given. Memory grows with the number of tracked paths
    that differ.
    """
    changed = _iter_changed(repository, objects, paths, untracked, warnings)
    if not clean:
        yield from changed
        return
    waiting: Iterator[PathStatus | None] = chain(changed, (None,))
    change = next(waiting)
    for file in with_keys(repository, _iter_index(repository, paths)):
        while change is not None and change.path < file.path:
            yield change
            change = next(waiting)
        if change is not None and change.path == file.path:
            continue
        yield PathStatus(file.path, State.CLEAN, _kind_of_tracked(file), file.key, _size(file))
    while change is not None:
        yield change
        change = next(waiting)


def _size(file: TrackedFile) -> int | None:
    return file.key.size if file.key is not None else None


def _iter_index(
    repository: Repository, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    for field in repository.git.iter_fields("ls-files", "-s", "-z", *_specs(paths)):
        facts, _, path = field.partition(b"\t")
        mode, oid, stage = facts.split(b" ")
        if stage == b"0" and _wanted(path, paths):
            yield path, mode, oid


def _specs(paths: Sequence[bytes]) -> list[str | bytes]:
    """The paths as arguments; none, for all, when they are too many for a command line."""
    return ["--", *paths] if paths and sum(map(len, paths)) < _PATHSPEC_BYTES_MAX else []


def _wanted(path: bytes, paths: Sequence[bytes]) -> bool:
    if not paths or _specs(paths):
        return True
    return any(path == p or path.startswith(p + b"/") for p in paths)


# what git says


def _iter_changed(
    repository: Repository,
    objects: Objects | None,
    paths: Sequence[bytes],
    untracked: Untracked,
    warnings: list[bytes] | None,
) -> Iterator[PathStatus]:
    records = repository.git.iter_fields(
        *NO_FILTER, "-c", "core.quotePath=false", "status", "--porcelain=v2", "-z", "--no-renames",
        f"--untracked-files={untracked}", "--ignored=no", "--ignore-submodules=none",
        *_specs(paths), environment={"GIT_OPTIONAL_LOCKS": "0"}, warnings=warnings,
    )  # fmt: skip
    first: list[bytes] = []
    known: list[PathStatus] = []
    doubtful: list[tuple[bytes, bytes, bytes]] = []
    for record in records:
        if record[:1] == b"?":
            first.append(record)
            break
        path = record.split(b" ", 8 if record[:1] == b"1" else 10)[-1]
        if not _wanted(path, paths):
            continue
        if record[:1] == b"u":
            known.append(_look(repository, path, State.CONFLICT))
        else:
            _, change, sub, mode, index_mode, _, _, oid, _ = record.split(b" ", 8)
            if change == b".M" and index_mode[:2] == b"10":
                doubtful.append((path, index_mode, oid))
            else:
                known.append(_changed(repository, change, sub, mode, index_mode, path))
    for file in with_keys(repository, doubtful):
        if objects is None or not is_unchanged(repository, objects, file):
            known.append(_look(repository, file.path, State.MODIFIED))
    known.sort(key=_path)
    new = (_untracked(repository, record[2:]) for record in chain(first, records))
    found = merge(known, (s for s in new if _wanted(s.path, paths)), key=_path)
    # What was only taken out of the index is gone and new at once: it is there, so it is new.
    for _, same in groupby(found, key=_path):
        yield list(same)[-1]


def _path(status: PathStatus) -> bytes:
    return status.path


def _changed(
    repository: Repository, change: bytes, sub: bytes, mode: bytes, index_mode: bytes, path: bytes
) -> PathStatus:
    if b"D" in change:
        kind = _kind_of_mode(mode if mode.strip(b"0") else index_mode)
        return PathStatus(path, State.DELETED, kind)
    state = State.ADDED if change[:1] == b"A" else State.MODIFIED
    if sub[:1] == b"S":
        moved = change[:1] != b"." or sub[1:2] == b"C"
        return PathStatus(path, state, Kind.DATASET, moved=moved, inside=sub[2:] != b"..")
    return _look(repository, path, state)


def _untracked(repository: Repository, path: bytes) -> PathStatus:
    if not path.endswith(b"/"):
        return _look(repository, path, State.UNTRACKED)
    inside = os.path.lexists(os.path.join(repository.top, path, b".git"))
    kind = Kind.DATASET if inside else Kind.DIRECTORY
    return PathStatus(path.rstrip(b"/"), State.UNTRACKED, kind)


def _kind_of_mode(mode: bytes) -> Kind:
    if mode == SUBMODULE:
        return Kind.DATASET
    return Kind.SYMLINK if mode == LINK else Kind.FILE


def _kind_of_tracked(file: TrackedFile) -> Kind:
    return Kind.FILE if file.key is not None else _kind_of_mode(file.mode)


# what lies in the folder


def _look(repository: Repository, path: bytes, state: State) -> PathStatus:
    full = os.path.join(repository.top, path)
    try:
        status = os.lstat(full)
    except OSError:
        return PathStatus(path, state, Kind.FILE)
    if stat.S_ISDIR(status.st_mode):
        return PathStatus(path, state, Kind.DIRECTORY)
    key = key_in_folder(full, status)
    if key is not None:
        return PathStatus(path, state, Kind.FILE, key, key.size)
    kind = Kind.SYMLINK if stat.S_ISLNK(status.st_mode) else Kind.FILE
    return PathStatus(path, state, kind, None, status.st_size)


def key_in_folder(path: bytes, status: os.stat_result) -> Key | None:
    """The key that a link or pointer in the folder names, or None."""
    if stat.S_ISLNK(status.st_mode):
        return key_of_link(os.readlink(path))
    if not stat.S_ISREG(status.st_mode) or status.st_size > POINTER_SIZE_MAX:
        return None
    try:
        with open(path, "rb") as file:
            return key_of_pointer(file.read())
    except OSError:
        return None


def is_unchanged(repository: Repository, objects: Objects, file: TrackedFile) -> bool:
    """Whether an unlocked file that was touched still is what the index says.

    Costs reading it, unless it has the time of the content that is here.
    """
    from .populate import matches

    if file.key is None:
        return False
    path = os.path.join(repository.top, file.path)
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or _mode(repository, status, file) != file.mode:
        return False
    if key_in_folder(path, status) == file.key:
        return True
    if file.key.size is not None and status.st_size != file.key.size:
        return False
    return objects.looks_like(file.key, status) or matches(path, file)


def _mode(repository: Repository, status: os.stat_result, file: TrackedFile) -> bytes:
    if not repository.config.flag("core.filemode", default=True):
        return file.mode
    return b"100755" if status.st_mode & stat.S_IXUSR else b"100644"
