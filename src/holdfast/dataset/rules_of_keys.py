"""How many copies of content must stay: as many as the strictest of the files that use it asks for.

As git-annex has it: those are the files of the index, whichever of them was named; what none of
them uses has the data set's own numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from ..core.key import Key
from ..core.policy import CopyRules, strictest
from .annexed import iter_annexed
from .repository import Repository
from .rules import Rules


class RulesOfKeys:
    """The rules of one data set about copies, as its files are now."""

    def __init__(
        self, repository: Repository, usual: CopyRules, *, number_is_given: bool = False
    ) -> None:
        """Take the rules of the data set; a number of copies given for a call tops the files'."""
        self._repository = repository
        self._usual = usual
        self._number_is_given = number_is_given
        self._rules = Rules(repository)
        self._known: dict[Key, CopyRules] = {}

    def prepare(self) -> None:
        """Find out now whether files differ in what they ask for, and if so of all."""
        if self._differ:
            self._files  # noqa: B018

    def of(self, key: Key) -> CopyRules:
        """What must stay of a key's copies; found out once."""
        if not self._differ:
            return self._usual
        if key not in self._known:
            self._known[key] = strictest(self._usual, self._asked(key))
        return self._known[key]

    def _asked(self, key: Key) -> Iterator[tuple[int | None, int | None]]:
        for path in self.files_of(key):
            number, least = self._rules.copies(path)
            yield (None if self._number_is_given else number), least

    def files_of(self, key: Key) -> Sequence[bytes]:
        """The files that use a key; of the whole data set, which is read once."""
        return self._files.get(key, ())

    @cached_property
    def _differ(self) -> bool:
        return not self._repository.bare and self._rules.copies_differ

    @cached_property
    def _files(self) -> dict[Key, list[bytes]]:
        found: dict[Key, list[bytes]] = {}
        if not self._repository.bare:
            for file in iter_annexed(self._repository):
                assert file.key is not None
                found.setdefault(file.key, []).append(file.path)
        return found
