"""After git has changed the folder: content takes the place of the pointers it wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from ..core.key import Key
from ..core.place import Place
from .annexed import TrackedFile, iter_unlocked
from .index_file import index_path, read_index
from .objects import objects_of
from .populate import WorkFiles
from .repository import Repository


def fill_all(repository: Repository) -> int:
    """Fill every unlocked file that has only its pointer, if its content is here; how many."""
    return _fill(repository, iter_unlocked(repository))


def fill_smudged(repository: Repository, smudged: Mapping[bytes, Key]) -> int:
    """Fill files that git has just written; how many.

    Does nothing while some git holds the index: that one may be waiting for us to end. Its hooks
    call `fill_all`.
    """
    if repository.uuid is None or os.path.lexists(index_path(repository) + b".lock"):
        return 0
    view = read_index(repository)
    if view is None:
        return 0
    files = []
    for path, key in sorted(smudged.items()):
        position = view.find(path)
        if position is not None:
            _, mode, oid, _, _ = view.row(position)
            files.append(TrackedFile(path, b"%06o" % mode, oid.hex().encode(), key))
    return _fill(repository, _named_still(repository, files))


def _named_still(repository: Repository, files: list[TrackedFile]) -> Iterable[TrackedFile]:
    """Those of these files whose blob in the index is the pointer that was smudged."""
    from ..wire.pointer import key_of_pointer

    answers = repository.git.objects.iter_read([file.oid for file in files])
    for file, answer in zip(files, answers, strict=True):
        if answer is not None and key_of_pointer(answer[1]) == file.key:
            yield file


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
