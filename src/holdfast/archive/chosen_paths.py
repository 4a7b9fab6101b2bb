"""Which paths are wanted: all, or those that a glob names. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core import faults
from ..core.globs import compile_glob

_SPECIAL = re.compile(rb"[*?\[]")


class ChosenPaths:
    """Paths that match one of some globs (all without one); a folder's name means all below it."""

    def __init__(self, globs: Sequence[bytes]) -> None:
        """As git-annex has globs: ``*`` matches ``/`` too.

        Raises:
            UsageError: One of them is none.
        """
        try:
            self._matches = [compile_glob(glob) for glob in globs]
        except ValueError as error:
            raise faults.BAD_USAGE(what=f"--only: {error}", command="archive") from None
        self._globs = tuple(globs)
        self._folders = [glob.rstrip(b"/") + b"/" for glob in globs]
        self._starts = [
            _SPECIAL.split(glob, maxsplit=1)[0] if _SPECIAL.search(glob) else folder
            for glob, folder in zip(globs, self._folders, strict=True)
        ]
        self.are_all = not globs
        self.unmatched = dict.fromkeys(globs)
        """The globs that no path matched yet of which `has` was asked, in their order."""

    def has(self, path: bytes) -> bool:
        """Whether a file is wanted."""
        found = self.are_all
        for glob, folder, matches in zip(self._globs, self._folders, self._matches, strict=True):
            if path.startswith(folder) or matches(path):
                self.unmatched.pop(glob, None)
                found = True
        return found

    def may_be_below(self, folder: bytes) -> bool:
        """Whether a folder may hold something that is wanted; "" is the top."""
        if self.are_all or not folder:
            return True
        below = folder + b"/"
        return any(start.startswith(below) or below.startswith(start) for start in self._starts)
