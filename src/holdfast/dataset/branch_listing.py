"""All files of the git-annex branch, in one stream: for who needs a good part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple, TypeVar

from ..wire.gitobjects import Oid
from .git import Git, hex_oid

_BLOCK = 8192
_FEW = 256

Change = TypeVar("Change")


class Listed(NamedTuple):
    """One file of a tree; the object in git's hex."""

    path: bytes
    mode: bytes
    oid: bytes


def iter_listing(git: Git, tree: Oid) -> Iterator[Listed]:
    """Every file of a tree (or commit), sorted by path."""
    for field in iter_fields_of_tree(git, tree):
        facts, _, path = field.partition(b"\t")
        mode, _, oid = facts.split(b" ")
        yield Listed(path, mode, oid)


def iter_fields_of_tree(git: Git, tree: Oid) -> Iterator[bytes]:
    """Every file of a tree (or commit) as git lists it, ``MODE blob OBJECT<tab>PATH``."""
    return git.iter_fields("ls-tree", "-r", "-z", "--full-tree", hex_oid(tree))


def iter_joined(
    listing: Iterable[Listed], changes: Iterable[tuple[bytes, Change]]
) -> Iterator[tuple[bytes, Listed | None, Sequence[Change]]]:
    """Every path with what is listed of it and what changes it; both come sorted by path."""
    rest = (
        (path, [change for _, change in same])
        for path, same in groupby(changes, key=lambda change: change[0])
    )
    next_one = next(rest, None)
    for file in listing:
        while next_one is not None and next_one[0] < file.path:
            yield next_one[0], None, next_one[1]
            next_one = next(rest, None)
        if next_one is not None and next_one[0] == file.path:
            yield file.path, file, next_one[1]
            next_one = next(rest, None)
        else:
            yield file.path, file, ()
    if next_one is not None:
        yield next_one[0], None, next_one[1]
    for path, same in rest:
        yield path, None, same


def is_bulk(count: int, estimate: Callable[[], int]) -> bool:
    """Whether so many files, of about how many, are cheaper listed all than looked up each."""
    return count > _FEW and estimate() < 16 * count


_SHARED_SIZE = 256
_SHARED_COUNT = 16_384
"""So much of what was read is kept for all that read the ledger of one repository: 8 MB at most."""


class Blobs:
    """Contents of many files, of which many are the same; keeps what may come again."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._kept: dict[bytes, bytes] = {}

    def iter_contents(
        self, listing: Iterable[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Paths and contents, of paths and objects (hex), in order."""
        source = iter(listing)
        while block := list(islice(source, _BLOCK)):
            found = self.read([oid for _, oid in block])
            for path, oid in block:
                yield path, found[oid]

    def read(self, oids: Iterable[bytes]) -> dict[bytes, bytes]:
        """Contents by object, at least of these."""
        wanted = dict.fromkeys(oids)
        new = [oid for oid in wanted if oid not in self._kept]
        if len(self._kept) + len(new) > 4 * _BLOCK:
            self._kept.clear()
            new = list(wanted)
        if new:
            self._read(new)
        return self._kept

    def _read(self, oids: Sequence[bytes]) -> None:
        """Take contents from what was read for anybody before, then from git.

        What is shared is only added to, up to a bound, so that any thread may look.
        """
        shared = self._git.small_blobs
        asked = [oid for oid in oids if oid not in shared]
        self._kept.update((oid, shared[oid]) for oid in oids if oid in shared)
        for oid, answer in zip(asked, self._git.objects.iter_read(asked), strict=True):
            assert answer is not None, "git fsck tells which object is missing"
            content = self._kept[oid] = answer[1]
            if len(content) <= _SHARED_SIZE and len(shared) < _SHARED_COUNT:
                shared[oid] = content
