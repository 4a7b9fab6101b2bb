"""Which files plain `git add` puts into the annex: more careful than `git annex add`.

Without a rule that speaks of it, what was annexed stays annexed, also under another name, and all
else goes into git: nobody who only knows git shall be surprised.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..core.key import Key
from .repository import Repository
from .rules import Rules
from .seen_index import SeenIndex


class AddedByGit:
    """The answers for one repository."""

    def __init__(
        self,
        repository: Repository,
        rules: Rules,
        index: SeenIndex,
        key_of: Callable[[bytes], Key | None],
    ) -> None:
        """Take the rules, the index, and a way to the key that a blob of it names."""
        self._rules = rules
        self._index = index
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
        oid = self._index.find_moved(status) if status.st_size else None
        return oid is not None and self._key_of(oid) is not None
