"""List content here that nothing uses."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..core.key import Key
from ..core.outcome import Outcome, Report, Status, complete
from ..dataset.usage import (
    Numbered,
    Stored,
    iter_leftovers,
    iter_unused_keys,
    write_numbers,
)
from .datasets import Dataset


def iter_unused(dataset: Dataset) -> Iterator[Outcome]:
    """List what no branch, tag or index uses, what fsck put aside, what was fetched in part.

    Each is known by its number to `git annex dropunused`, which is told where we may write.
    """
    repository, objects = dataset.repository, dataset.objects
    unused = (_stored(dataset, key) for key in iter_unused_keys(repository, objects))
    kinds: tuple[tuple[str, bytes, Iterable[Stored]], ...] = (
        ("unused", b"unused", unused),
        ("bad", b"badunused", iter_leftovers(repository, objects, b"bad")),
        ("tmp", b"tmpunused", iter_leftovers(repository, objects, b"tmp")),
    )
    number = 0
    for kind, name, found in kinds:
        numbered: list[Numbered] = []
        sizes: list[int] = []
        for stored in found:
            number += 1
            numbered.append(Numbered(number, stored.key))
            sizes.append(stored.size)
        if os.access(repository.annex_dir, os.W_OK):
            write_numbers(repository, name, numbered)
        for (at, key), size in zip(numbered, sizes, strict=True):
            facts = {"number": at, "kind": kind}
            yield Outcome("unused", Status.OK, "", key, size, facts=facts)


def _stored(dataset: Dataset, key: Key) -> Stored:
    size = key.size
    if size is None:
        path = dataset.objects.content_path(key)
        size = os.stat(path).st_size if path is not None else 0
    return Stored(key, size)


def unused(dataset: Dataset) -> Report:
    """List what nothing uses; see `iter_unused`."""
    return complete(iter_unused(dataset))
