"""Which files ``--auto`` is about: those that policy would have brought here, or let go.

As git-annex decides it. Content is brought when this place wants it, or when there are fewer
copies than numcopies asks for. It may go when no file that uses it is wanted here and there are
enough copies without ours; whether those are really there is for the proof to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from ..core.key import Key
from ..core.place import PlaceId, Trust
from ..dataset.annexed import TrackedFile
from ..dataset.content_facts import Content, seen_here
from ..dataset.rules_of_keys import RulesOfKeys
from ..dataset.wanting import Wanting
from .datasets import Dataset

_BLOCK = 8192


def iter_to_get(dataset: Dataset, files: Iterable[TrackedFile]) -> Iterator[TrackedFile]:
    """Those of some annexed files whose content is not here and should be."""
    auto = Auto(dataset)
    return auto.expecting(auto.choose(files, auto.should_come, present=False))


def iter_to_drop(
    dataset: Dataset, files: Iterable[TrackedFile], numcopies: int | None = None
) -> Iterator[TrackedFile]:
    """Those of some annexed files whose content is here and need not be.

    ``numcopies`` stands in for the configured number of copies.
    """
    auto = Auto(dataset, numcopies)
    return auto.choose(files, auto.may_go, present=True)


def iter_to_send(
    dataset: Dataset, files: Iterable[TrackedFile], place: PlaceId, *, lacking: bool = True
) -> Iterator[TrackedFile]:
    """Those of some annexed files whose content is here, and should be in another place too.

    With ``lacking``, so should what has fewer copies than numcopies asks for.
    """
    auto = Auto(dataset, place=place)
    fits = auto.should_come if lacking else auto.is_wanted
    return auto.expecting(auto.choose(files, fits, present=True))


class Auto:
    """What policy would have for one place."""

    def __init__(
        self,
        dataset: Dataset,
        numcopies: int | None = None,
        place: PlaceId | None = None,
        wanting: Wanting | None = None,
    ) -> None:
        """``place`` is whose wishes count, ours when none is named; a wanting can be shared."""
        self._dataset = dataset
        self._numcopies = numcopies
        self._here = dataset.here
        self._place = place or dataset.here
        self._wanting = wanting or Wanting(dataset.repository, dataset.ledger)
        trust = dataset.ledger.trust
        self._untrusted = {place for place, level in trust.items() if level is Trust.UNTRUSTED}
        self._users = RulesOfKeys(dataset.repository, dataset.ledger.copy_rules())

    def choose(
        self, files: Iterable[TrackedFile], fits: Callable[[Content], bool], *, present: bool
    ) -> Iterator[TrackedFile]:
        """The files that fit, in order; places are looked up for a block of them at once."""
        has = self._dataset.objects.has
        source = (file for file in files if file.key is not None and has(file.key) is present)
        while block := list(islice(source, _BLOCK)):
            places = self._dataset.ledger.locations([_key(file) for file in block])
            for file in block:
                key = _key(file)
                said = seen_here(places[key], self._here, present=present)
                if fits(Content(key, file.path, said)):
                    yield file

    def expecting(self, files: Iterable[TrackedFile]) -> Iterator[TrackedFile]:
        """Files that are about to come to the place: what is chosen after them has less space.

        A file whose content comes with another one counts again: less may be brought than fits,
        never more.
        """
        for file in files:
            self.expect(_key(file))
            yield file

    def expect(self, key: Key) -> None:
        """Count content that is about to come to the place."""
        self._wanting.grounds.expect(self._place, key)

    def should_come(self, content: Content) -> bool:
        """Whether content that is not in the place is wanted there, or lacks copies."""
        if self._place in content.places:
            return False
        return self._copies(content) < self._needed(content) or self.is_wanted(content)

    def is_wanted(self, content: Content) -> bool:
        """Whether content that is not in the place is wanted there."""
        if self._place in content.places:
            return False
        return self._wanting.wants(self._place, content)

    def may_go(self, content: Content) -> bool:
        """Whether content in the place is wanted for none of its files, and enough copies stay."""
        if self._copies(content) < self._needed(content):
            return False
        if not self.has_rules:
            return True
        paths = dict.fromkeys((content.path, *self._users.files_of(content.key)))
        return not any(
            self._wanting.wants_to_keep(self._place, content._replace(path=path)) for path in paths
        )

    @property
    def has_rules(self) -> bool:
        """Whether the place says at all what it wants."""
        return bool(self._wanting.rules(self._place))

    def _copies(self, content: Content) -> int:
        """How many trusted copies there are said to be in places other than that one."""
        return len(set(content.places) - self._untrusted - {self._place})

    def _needed(self, content: Content) -> int:
        if self._numcopies is not None:
            return self._numcopies
        assert content.path is not None
        return self._wanting.grounds.numcopies_of(content.path)


def _key(file: TrackedFile) -> Key:
    assert file.key is not None
    return file.key
