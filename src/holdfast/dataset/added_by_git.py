"""Which files plain `git add` puts into the annex: more careful than `git annex add`.

Without a rule that speaks of it, what was annexed stays annexed, also under another name, and all
else goes into git: nobody who only knows git shall be surprised.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..core.errors import ProtocolError
from ..core.key import Key
from .index_file import read_index
from .repository import Repository
from .rules import Rules


class AddedByGit:
    """The answers for one repository."""

    def __init__(self, repository: Repository, rules: Rules, key_of: Callable[[bytes], Key | None]):
        """Take the rules, and a way to the key that a blob of the index names."""
        self._repository = repository
        self._rules = rules
        self._key_of = key_of
        config = repository.config
        self._only_what_was = not config.flag("annex.gitaddtoannex", default=True)

    def is_annexed(
        self, path: bytes, size: int, status: os.stat_result | None, *, was_annexed: bool
    ) -> bool:
        """Whether a file belongs into the annex; ``status`` is its lstat, if it lies in the folder.

        Raises:
            UsageError: A rule cannot be read, or not decided here.
        """
        if not self._only_what_was and self._rules.has_rule(path):
            return self._rules.is_annexed(path, size)
        return was_annexed or (status is not None and self._is_moved(status))

    def _is_moved(self, status: os.stat_result) -> bool:
        """Whether a file is an annexed one that lay at another path when git last looked."""
        try:
            view = read_index(self._repository)
        except ProtocolError:
            return False
        if view is None or not status.st_size:
            return False
        seconds, rest = divmod(status.st_mtime_ns, 10**9)
        low = 0xFFFFFFFF
        wanted = (seconds & low, rest, status.st_ino & low, status.st_size & low)
        for _, mode, oid, facts, _ in view.iter_rows():
            if (facts[2], facts[3], facts[5], facts[8]) == wanted and mode >> 12 == 0o10:
                return self._key_of(oid.hex().encode()) is not None
        return False
