"""What to do at a place so that it holds another tree: decided from what is known. Pure.

What lies under a name there is one of the ``claims``: what the trees that were exported there, or
were begun, have at it; or nothing, where an export was cut short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..core.key import Key
from ..dataset.export_tree import ExportedFile


@dataclass
class Claims:
    """The paths at which some tree that may be there differs from the wanted one."""

    wanted: dict[bytes, ExportedFile | None] = field(default_factory=dict)
    there: dict[bytes, list[ExportedFile]] = field(default_factory=dict)

    def add(self, before: ExportedFile | None, after: ExportedFile | None) -> None:
        """Take in one difference between a tree that may be there and the wanted one."""
        either = before or after
        if either is None:
            return
        self.wanted[either.path] = after
        known = self.there.setdefault(either.path, [])
        if before is not None and all(one.key != before.key for one in known):
            known.append(before)

    @property
    def gone(self) -> list[bytes]:
        """Paths that the wanted tree has not."""
        return sorted(path for path, wanted in self.wanted.items() if wanted is None)

    def keys(self) -> set[Key]:
        """Keys in git-annex that may lose a path there."""
        return {f.key for files in self.there.values() for f in files if not f.in_git}

    def is_seen(self, file: ExportedFile, size: int | None, sizes: Mapping[Key, int]) -> bool:
        """Whether a file of this size under its name can only be what is wanted there."""
        wanted = sizes.get(file.key)
        others = [sizes.get(f.key) for f in self.there.get(file.path, ()) if f.key != file.key]
        return size is not None and size == wanted and None not in others and size not in others


@dataclass(frozen=True)
class Rename:
    """Content that is there moves from one name to another."""

    old: bytes
    new: ExportedFile


def plan_renames(
    claims: Claims, absent: Iterable[ExportedFile], has: Collection[Key]
) -> Iterator[Rename]:
    """Which files, at paths where nothing is, are there under names that go; each name once.

    ``has`` are the keys the place is said to have. A name that is in the way of another, as a
    file where a folder should be, is not moved.
    """
    files = list(absent)
    blocking = in_the_way(claims)
    sources: dict[Key, list[bytes]] = {}
    for path in reversed(claims.gone):
        known = claims.there[path]
        if len(known) == 1 and path not in blocking and (known[0].in_git or known[0].key in has):
            sources.setdefault(known[0].key, []).append(path)
    for file in files:
        if not claims.there.get(file.path) and sources.get(file.key):
            yield Rename(sources[file.key].pop(), file)


def in_the_way(claims: Claims) -> set[bytes]:
    """Paths that go, and have to before others come: a folder takes their place, or a file."""
    coming = {path for path, wanted in claims.wanted.items() if wanted is not None}
    folders = {folder for path in coming for folder in folders_of(path)}
    gone = [path for path, wanted in claims.wanted.items() if wanted is None]
    return {
        path
        for path in gone
        if path in folders or any(folder in coming for folder in folders_of(path))
    }


def folders_of(path: bytes) -> Iterator[bytes]:
    """The folders a path lies in, the inner ones first."""
    while (end := path.rfind(b"/")) > 0:
        path = path[:end]
        yield path
