"""After git has changed the folder: content takes the place of the pointers it wrote."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from ..core.key import Key
from ..core.place import Place
from ..wire.gitobjects import EXECUTABLE_MODE, FILE_MODE
from ..wire.pointer import key_of_pointer
from .annexed import TrackedFile, iter_unlocked
from .index_file import index_path, read_index
from .objects import objects_of
from .populate import WorkFiles
from .repository import Repository


def fill_all(repository: Repository) -> int:
    """Fill every unlocked file that has only its pointer, if its content is here; how many."""
    return _fill(repository, iter_unlocked(repository))


def fill_keys(repository: Repository, keys: Container[Key]) -> int:
    """Fill unlocked files that waited for content which has just come under another name.

    As `fill_smudged`, does nothing while some git holds the index.
    """
    files = (file for file in iter_unlocked(repository) if file.key in keys)
    return fill_files(repository, files)


def fill_smudged(repository: Repository, smudged: Mapping[bytes, Key]) -> int:
    """Fill files that git has just written; how many.

    Does nothing while some git holds the index: that one may be waiting for us to end. Its hooks
    call `fill_all`.
    """
    if repository.uuid is None or os.path.lexists(index_path(repository) + b".lock"):
        return 0
    objects = objects_of(repository, Place(repository.here, "here"))
    here = {path: key for path, key in sorted(smudged.items()) if objects.has(key)}
    if not here:
        return 0
    indexed = {file.path: file for file in _iter_as_indexed(repository, list(here))}
    work = WorkFiles(repository, objects)
    count = 0
    try:
        for path, key in here.items():
            file = indexed.get(path)
            # What a stash brings back is not what the index has; git shall see that it differs.
            agreed = file is not None and file.key == key
            if file is None or not agreed:
                file = TrackedFile(path, _mode(repository, path), b"", key)
            count += work.populate(file, refresh=agreed)
    finally:
        work.finish()
    return count


def fill_or_refresh(repository: Repository, paths: Sequence[bytes]) -> None:
    """Fill unlocked files that have only a pointer; of those filled already tell the index."""
    files = [file for file in _iter_as_indexed(repository, paths) if file.key and not file.locked]
    if not files:
        return
    work = WorkFiles(repository, objects_of(repository, Place(repository.here, "here")))
    try:
        for file in files:
            if not work.populate(file) and (seen := work.seen_content(file)):
                work.refresh(file, seen)
    finally:
        work.finish()


def _mode(repository: Repository, path: bytes) -> bytes:
    try:
        executable = os.lstat(os.path.join(repository.top, path)).st_mode & stat.S_IXUSR
    except OSError:
        return FILE_MODE
    return EXECUTABLE_MODE if executable else FILE_MODE


def _iter_as_indexed(repository: Repository, paths: Sequence[bytes]) -> Iterator[TrackedFile]:
    """What the index has at these paths, of those it has."""
    view = read_index(repository)
    if view is None:
        return
    found = []
    for path in paths:
        position = view.find(path)
        if position is not None:
            _, mode, oid, _, _ = view.row(position)
            found.append((path, b"%06o" % mode, oid.hex().encode()))
    answers = repository.git.objects.iter_read([oid for _, _, oid in found])
    for entry, answer in zip(found, answers, strict=True):
        key = key_of_pointer(answer[1]) if answer is not None else None
        yield TrackedFile(*entry, key)


def fill_files(repository: Repository, files: Iterable[TrackedFile]) -> int:
    """Fill these, as `fill_keys` does."""
    if repository.bare or os.path.lexists(index_path(repository) + b".lock"):
        return 0
    return _fill(repository, files)


def _fill(repository: Repository, files: Iterable[TrackedFile]) -> int:
    objects = objects_of(repository, Place(repository.here, "here"))
    with_content = [file for file in files if file.key is not None and objects.has(file.key)]
    if not with_content:
        return 0
    work = WorkFiles(repository, objects)
    try:
        return sum(work.populate(file) for file in with_content)
    finally:
        work.finish()
