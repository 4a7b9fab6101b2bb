"""Which content is here, and which of it no branch, tag or index uses any more."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ..core.key import Key
from ..wire.branch_paths import key_of_file_name
from ..wire.pointer import POINTER_SIZE_MAX, key_of_link, key_of_pointer
from .annexed import TrackedFile, iter_current, iter_tree, with_keys
from .git import NO_FILTER
from .objects import Objects
from .populate import matches
from .repository import Repository
from .scratch import using_scratch

_NOT_USERS = (b"refs/synced/",)


class Stored(NamedTuple):
    """Content in this repository: its key and its size in bytes."""

    key: Key
    size: int


def iter_stored(repository: Repository) -> Iterator[Stored]:
    """All content that is here, in whichever layout; a file is only looked at for its size."""
    for folder, key in _iter_key_folders(repository.annex_dir + b"/objects"):
        path = folder + b"/" + os.path.basename(folder)
        try:
            size = key.size if os.access(path, os.F_OK) else None
            if size is None:
                size = os.stat(path).st_size
        except FileNotFoundError:
            continue
        yield Stored(key, size)


def _iter_key_folders(root: bytes) -> Iterator[tuple[bytes, Key]]:
    for first in _names(root):
        for second in _names(root + b"/" + first):
            folder = root + b"/" + first + b"/" + second
            for name in _names(folder):
                key = key_of_file_name(name)
                if key is not None:
                    yield folder + b"/" + name, key


def _names(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def iter_unused_keys(repository: Repository, objects: Objects) -> Iterator[Key]:
    """Keys whose content is here and that nothing uses, sorted."""
    del objects
    unused = {stored.key for stored in iter_stored(repository)}
    for key in iter_used_keys(repository):
        if not unused:
            break
        unused.discard(key)
    if unused and not repository.bare:
        unused.difference_update(_iter_unstaged_content(repository, unused))
    yield from sorted(unused)


def iter_used_keys(repository: Repository) -> Iterator[Key]:
    """Keys in the index and at the tip of every branch and tag; some more than once.

    Of a tip only what differs from what was read before costs anything.
    """
    yield from _keys(repository, ((f.path, f.mode, f.oid) for f in iter_current(repository)))
    seen: set[tuple[bytes, bytes]] = set()
    for tip in _tips(repository):
        if repository.bare:
            entries = iter_tree(repository, (), tip.decode())
        else:
            entries = _iter_differing(repository, tip)
        new = (e for e in entries if e[1:] not in seen)
        yield from _keys(repository, _remember(new, seen))
    if not repository.bare:
        yield from _iter_unstaged_keys(repository)


def _iter_unstaged_keys(repository: Repository) -> Iterator[Key]:
    """Keys that files of the folder name and git does not know, or not yet so; ignored ones too."""
    fields = repository.git.iter_fields(
        *NO_FILTER, "ls-files", "--others", "--modified", "-z", "--"
    )
    for path in fields:
        key = _key_in_folder(os.path.join(repository.top, path))
        if key is not None:
            yield key


def _iter_unstaged_content(repository: Repository, unused: Collection[Key]) -> Iterator[Key]:
    """Those of these keys whose content an unlocked file has that was changed and not yet staged.

    `git diff` is enough for a changed file's content to get into the annex.
    """
    by_size: dict[int | None, list[Key]] = {}
    for key in unused:
        by_size.setdefault(key.size, []).append(key)
    for path in repository.git.iter_fields(*NO_FILTER, "ls-files", "--modified", "-z", "--"):
        full = os.path.join(repository.top, path)
        try:
            status = os.lstat(full)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            for key in by_size.get(status.st_size, ()):
                if matches(full, TrackedFile(path, b"", b"", key)):
                    yield key


def _key_in_folder(full: bytes) -> Key | None:
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            return key_of_link(os.readlink(full))
        if stat.S_ISREG(status.st_mode) and status.st_size <= POINTER_SIZE_MAX:
            with open(full, "rb") as file:
                return key_of_pointer(file.read())
    except OSError:
        return None
    return None


def _remember(
    entries: Iterable[tuple[bytes, bytes, bytes]], seen: set[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    for entry in entries:
        seen.add(entry[1:])
        yield entry


def _keys(repository: Repository, entries: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[Key]:
    for file in with_keys(repository, entries):
        if file.key is not None:
            yield file.key


def _tips(repository: Repository) -> list[bytes]:
    """The trees of HEAD and of all refs but the annex's own, each once."""
    listing = repository.git.run(
        "for-each-ref", "--format=%(refname)%00%(objecttype)%00%(tree)%00%(*objecttype)%00%(*tree)"
    )
    tips: dict[bytes, None] = {}
    head = repository.git.line("rev-parse", "--verify", "--quiet", "HEAD^{tree}")
    if head:
        tips[head] = None
    for line in listing.splitlines():
        ref, _, tree, _, tagged = line.split(b"\0")
        if ref.endswith(b"/git-annex") or ref.startswith(_NOT_USERS):
            continue
        if tree or tagged:
            tips[tree or tagged] = None
    return list(tips)


def _iter_differing(repository: Repository, tree: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """What a tree has that the index has not."""
    fields = repository.git.iter_fields(
        "diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev",
        "--ignore-submodules=all", tree, "--",
    )  # fmt: skip
    for facts in fields:
        path = next(fields)
        mode, _, oid, _, _ = facts.split(b" ")
        if mode[1:3] in (b"10", b"12"):
            yield path, mode[1:], oid


# what was left behind


def iter_leftovers(repository: Repository, objects: Objects, folder: bytes) -> Iterator[Stored]:
    """Keys in ``bad`` (damaged) or ``tmp`` (half fetched), but for those that are here whole."""
    path = repository.annex_dir + b"/" + folder
    found = []
    for name in _names(path):
        key = key_of_file_name(name)
        if key is not None and os.path.isfile(path + b"/" + name) and not objects.has(key):
            found.append(Stored(key, os.stat(path + b"/" + name).st_size))
    return iter(sorted(found))


class Numbered(NamedTuple):
    """A key that nothing needs, and the number `git annex dropunused` knows it by."""

    number: int
    key: Key


def write_numbers(repository: Repository, name: bytes, numbered: Iterable[Numbered]) -> None:
    """Write one of git-annex's lists of unused keys; those it had keep their time."""
    path = repository.annex_dir + b"/" + name
    times = _read_times(path)
    now = b"%fs" % time.time()
    lines = [b"%d %b %b\n" % (n, bytes(key), times.get(key, now)) for n, key in numbered]
    scratch = repository.annex_dir + b"/othertmp"
    with using_scratch(scratch):
        temporary = scratch + b"/%b.%d" % (name, os.getpid())
        with open(temporary, "wb") as file:
            file.writelines(lines)
        os.replace(temporary, path)


def _read_times(path: bytes) -> dict[bytes, bytes]:
    try:
        with open(path, "rb") as file:
            lines = [line.split(b" ", 1)[-1].rpartition(b" ") for line in file.read().splitlines()]
    except FileNotFoundError:
        return {}
    return {key: moment for key, _, moment in lines if key}
