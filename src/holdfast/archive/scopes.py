"""Which scope a path of a data set is in: what shares a key in an encrypted archive. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate

from ..core import faults

DATASET = "."
"""The scope of all that is in no other."""


class Scopes:
    """Folders that globs name are scopes of their own; the same name is the same scope anywhere.

    In a glob ``*`` and ``?`` match within one name, and it has as many names as the path of the
    folder: ``sub-*``, ``derivatives/*/sub-*``. Files beside such folders are not in them.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        """None at all: one scope for everything.

        Raises:
            UsageError: A glob cannot be that of a folder.
        """
        self.globs = tuple(globs)
        self._patterns = [_compiled(glob) for glob in globs]

    def of(self, path: bytes) -> str:
        """The scope of a file, whose path is that in the data set."""
        *folders, _ = path.decode("utf-8", "surrogateescape").split("/")
        for names in self._patterns:
            if len(names) <= len(folders) and all(map(_matches, names, folders)):
                return folders[len(names) - 1]
        return DATASET


def _matches(pattern: re.Pattern[str], name: str) -> bool:
    return pattern.match(name) is not None


def _compiled(glob: str) -> list[re.Pattern[str]]:
    names = glob.rstrip("/").split("/")
    if not all(names) or names[-1] in (".", ".."):
        what = f"--encrypt-by {glob!r}: it is no path of folders in the data set"
        raise faults.BAD_USAGE(what=what, command="archive")
    return [re.compile(translate(name)) for name in names]
