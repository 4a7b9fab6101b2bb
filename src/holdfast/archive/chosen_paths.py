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
        self._folders = [glob.rstrip(b"/") + b"/" for glob in globs]
        self._starts = [_SPECIAL.split(glob, maxsplit=1)[0].rstrip(b"/") for glob in globs]
        self.are_all = not globs

    def has(self, path: bytes) -> bool:
        """Whether a file is wanted."""
        if self.are_all or any(path.startswith(folder) for folder in self._folders):
            return True
        return any(matches(path) for matches in self._matches)

    def may_be_below(self, folder: bytes) -> bool:
        """Whether a folder may hold something that is wanted; "" is the top."""
        if self.are_all or not folder:
            return True
        return any(start.startswith(folder) or folder.startswith(start) for start in self._starts)
