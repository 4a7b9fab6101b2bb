"""Where a place keeps a key: below git-annex's hash directories, or under names of a tree. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..core import faults
from ..core.backends import is_verifiable
from ..core.key import Key, object_path, object_path_lower
from .special import PathsOf, SpecialRemote


class Placing:
    """The paths below the top of a place where a key's content may lie, the likely one first."""

    def __init__(self, label: str, paths_of: PathsOf | None, *, mixed: bool = True) -> None:
        """``paths_of`` is given for a place that holds a tree of files.

        ``mixed`` says that content of long ago may be below mixed hash directories.
        """
        self._label = label
        self._paths_of = paths_of
        self._mixed = mixed

    def candidates(self, key: Key) -> Sequence[bytes]:
        """Where content may lie; nowhere when the tree has no such file."""
        if self._paths_of is None:
            lower = object_path_lower(key)
            return (lower, object_path(key)) if self._mixed else (lower,)
        # A file of a tree may be changed by anybody: only its hash tells whether it is the one.
        if not is_verifiable(key.backend):
            return ()
        return [path for path in self._paths_of(key) if is_plain(path)]

    def final(self, key: Key) -> bytes:
        """Where content goes.

        Raises:
            UsageError: The place holds a tree.
        """
        self.check_holds_keys()
        return object_path_lower(key)

    def check_holds_keys(self) -> None:
        """Refuse what can be done only where content lies by its key.

        Raises:
            UsageError: The place holds a tree.
        """
        if self._paths_of is not None:
            raise faults.HOLDS_A_TREE(place=self._label)


def placing_of(remote: SpecialRemote, *, mixed: bool = True) -> Placing:
    """How a special remote keeps content."""
    return Placing(remote.place.label, remote.paths_of, mixed=mixed)


def is_plain(path: bytes) -> bool:
    """Whether a path, which came with somebody's tree, stays below the top and is no odd name."""
    return not {b"", b".", b".."}.intersection(path.split(b"/"))
