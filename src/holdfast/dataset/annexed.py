"""Which files of a version are annexed, and under which keys; streamed, in the order of paths."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..wire.gitobjects import hash_object
from ..wire.pointer import POINTER_SIZE_MAX, key_of_link, key_of_pointer
from .repository import Repository

LINK, SUBMODULE = b"120000", b"160000"
_BLOCK = 4096


class TrackedFile(NamedTuple):
    """One file git tracks; ``key`` is None when its content is in git itself."""

    path: bytes
    mode: bytes
    oid: bytes
    key: Key | None

    @property
    def locked(self) -> bool:
        """Whether it is a symlink, not a pointer with content in its place."""
        return self.mode == LINK


def iter_tracked(
    repository: Repository, paths: Sequence[bytes] = (), version: str | None = None
) -> Iterator[TrackedFile]:
    """Every file below some paths, in the index or in a version; submodules are left out."""
    if version is None:
        return with_keys(repository, _iter_index(repository, paths))
    return with_keys(repository, iter_tree(repository, paths, version))


def iter_current(repository: Repository, paths: Sequence[bytes] = ()) -> Iterator[TrackedFile]:
    """The files of the work tree, as the index has them; of HEAD in a bare repository."""
    if not repository.bare:
        return iter_tracked(repository, paths)
    if repository.git.line("rev-parse", "--verify", "--quiet", "HEAD") is None:
        return iter(())
    return iter_tracked(repository, paths, "HEAD")


def iter_in_folder(repository: Repository, paths: Sequence[bytes] = ()) -> Iterator[TrackedFile]:
    """The annexed files of the index that something lies at in the work tree.

    A link in the folder that is the one in the index, as nearly all are, tells the key without
    git being asked for it.
    """
    rest = _iter_index(repository, paths)
    while block := list(islice(rest, _BLOCK)):
        links: dict[bytes, Key | None] = {}
        asked: list[tuple[bytes, bytes, bytes]] = []
        for entry in block:
            path, mode, oid = entry
            full = repository.top + b"/" + path
            if mode == LINK:
                target = _read_link(full)
                if target and _is_blob(repository, target, oid):
                    links[path] = key_of_link(target)
                    continue
            if os.path.lexists(full):
                asked.append(entry)
        others = {file.path: file.key for file in with_keys(repository, asked)} if asked else {}
        for path, mode, oid in block:
            key = links.get(path) or others.get(path)
            if key is not None:
                yield TrackedFile(path, mode, oid, key)


def _read_link(path: bytes) -> bytes:
    """What a link says; nothing when there is no link."""
    try:
        return os.readlink(path)
    except OSError:
        return b""


def _is_blob(repository: Repository, content: bytes, oid: bytes) -> bool:
    return hash_object(b"blob", content, repository.object_format).hex().encode() == oid


def with_keys(
    repository: Repository, entries: Iterable[tuple[bytes, bytes, bytes]]
) -> Iterator[TrackedFile]:
    """Find the keys of paths, modes and objects, in order; what is no file has none."""
    rest = iter(entries)
    while block := list(islice(rest, _BLOCK)):
        for (path, mode, oid), key in zip(block, keys_of(repository, block), strict=True):
            yield TrackedFile(path, mode, oid, key)


def keys_of(
    repository: Repository, entries: Collection[tuple[bytes, bytes, bytes]]
) -> list[Key | None]:
    """The key of each of some paths, modes and objects; None of what is no annexed file.

    Raises:
        HoldError: An object is missing.
    """
    keys = _keys_of(repository, entries)
    return [keys.get(oid if mode != LINK else b"@" + oid) for _, mode, oid in entries]


def iter_annexed(
    repository: Repository, paths: Sequence[bytes] = (), version: str | None = None
) -> Iterator[TrackedFile]:
    """As `iter_tracked`, annexed files only."""
    return (file for file in iter_tracked(repository, paths, version) if file.key is not None)


def iter_unlocked(repository: Repository) -> Iterator[TrackedFile]:
    """Every annexed file of the index whose content lies in its place."""
    regular = (entry for entry in _iter_index(repository, ()) if entry[1] != LINK)
    while block := list(islice(regular, _BLOCK)):
        keys = _keys_of(repository, block)
        for path, mode, oid in block:
            if oid in keys:
                yield TrackedFile(path, mode, oid, keys[oid])


def iter_all_keys(repository: Repository) -> Iterator[tuple[Key, bytes]]:
    """Every key any branch, tag or the index ever named, with one path; each key once.

    Reads the history of all refs but the git-annex branches, as changes.
    """
    seen: set[Key] = set()
    for file in iter_annexed(repository):
        if file.key is not None and file.key not in seen:
            seen.add(file.key)
            yield file.key, file.path
    for path, oid, mode in _iter_history(repository):
        for key in _keys_of(repository, [(path, mode, oid)]).values():
            if key not in seen:
                seen.add(key)
                yield key, path


def _iter_history(repository: Repository) -> Iterator[tuple[bytes, bytes, bytes]]:
    fields = repository.git.iter_fields(
        "log", "--all", "--exclude=*/git-annex", "--raw", "-z", "--no-renames", "--no-abbrev",
        "--format=", "-m", "--root",
    )  # fmt: skip
    seen: set[bytes] = set()
    for facts in fields:
        if not facts.startswith(b":"):
            continue
        path = next(fields)
        old_mode, mode, old, oid, _ = facts.split(b" ")
        for one_mode, one in ((old_mode[1:], old), (mode, oid)):
            if one_mode[:2] in (b"10", b"12") and one not in seen:
                seen.add(one)
                yield path, one, one_mode


def _iter_index(
    repository: Repository, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    for field in repository.git.iter_fields("ls-files", "-s", "-z", "--", *paths):
        facts, _, path = field.partition(b"\t")
        mode, oid, _ = facts.split(b" ")
        if mode != SUBMODULE:
            yield path, mode, oid


def iter_tree(
    repository: Repository, paths: Sequence[bytes], version: str
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Path, mode and object of the files in a version."""
    fields = repository.git.iter_fields("ls-tree", "-r", "-z", "--full-tree", version, "--", *paths)
    for field in fields:
        facts, _, path = field.partition(b"\t")
        mode, kind, oid = facts.split(b" ")
        if kind == b"blob":
            yield path, mode, oid


def _keys_of(
    repository: Repository, block: Iterable[tuple[bytes, bytes, bytes]]
) -> dict[bytes, Key]:
    """Keys by object; those of symlinks marked by an ``@``, since the same bytes may be a file.

    Raises:
        HoldError: An object is missing: what it was, and whether it has a key, nobody can tell.
    """
    links = {oid for _, mode, oid in block if mode == LINK}
    # Changed files of the folder have no object yet: git writes zeros for theirs.
    regular = (oid for _, mode, oid in block if mode not in (LINK, SUBMODULE))
    files = {oid for oid in regular if oid.strip(b"0")}
    found: dict[bytes, Key] = {}
    reader = repository.git.objects
    for oid, content in zip(links, reader.iter_read(links), strict=True):
        if content is None:
            raise _missing(oid)
        key = key_of_link(content[1])
        if key is not None:
            found[b"@" + oid] = key
    sizes = dict(reader.iter_sizes(files))
    for oid in files - sizes.keys():
        raise _missing(oid)
    small = [oid for oid, size in sizes.items() if size <= POINTER_SIZE_MAX]
    for oid, content in zip(small, reader.iter_read(small), strict=True):
        key = key_of_pointer(content[1]) if content is not None else None
        if key is not None:
            found[oid] = key
    return found


def _missing(oid: bytes) -> HoldError:
    message = f"object {oid.decode()} is missing or damaged; git fsck tells more"
    return faults.GIT_FAILED(command="cat-file", message=message)
