"""Where to try to get each key from, in which order, and why not elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple
from zlib import crc32

from ..core.key import Key
from ..core.place import Place, PlaceId, Trust

_KINDS_MAX = 1024
"""Places have keys in few combinations; with more of them some are thought of again."""


class SourceFacts(NamedTuple):
    """What a plan has to know of a place that can be read from.

    ``speculative`` places are tried for keys that they are not said to have, after all others
    (remote.NAME.annex-speculate-present). ``bulk`` ones can stream many keys at once.
    """

    place: Place
    cost: float
    bulk: bool = False
    speculative: bool = False


class Skipped(NamedTuple):
    """A place that is said to have a key and will not be asked, and why."""

    place: PlaceId
    why: str


class Attempts(NamedTuple):
    """The places to try for one key, best first."""

    key: Key
    order: tuple[PlaceId, ...]
    skipped: tuple[Skipped, ...] = ()


class Planner:
    """Orders the places to try for each of many keys.

    Cheap ones first, untrusted ones later, guesses last. Places that cost the same share the
    work: which is first depends on the key, and on nothing else.
    """

    def __init__(self, sources: Sequence[SourceFacts]) -> None:
        self._sources = sources
        self._kinds: dict[tuple[PlaceId, ...], _Kind] = {}
        """What is the same for all keys with the same holders."""

    def attempts(self, key: Key, holders: Collection[PlaceId]) -> Attempts:
        """The places to try for a key that these are said to have."""
        found = tuple(holders)
        kind = self._kinds.get(found)
        if kind is None:
            if len(self._kinds) >= _KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[found] = _kind(found, self._sources)
        if kind.order is not None:
            return Attempts(key, kind.order, kind.skipped)
        number = crc32(key)
        order: list[PlaceId] = []
        for group in kind.groups:
            first = number % len(group)
            order += group[first:] + group[:first]
        return Attempts(key, tuple(order), kind.skipped)


class _Kind(NamedTuple):
    """Places that cost the same, the cheapest first; their order where each is alone in that."""

    groups: list[list[PlaceId]]
    order: tuple[PlaceId, ...] | None
    skipped: tuple[Skipped, ...]


def _kind(holders: Collection[PlaceId], sources: Sequence[SourceFacts]) -> _Kind:
    live = {source.place.id: source for source in sources if source.place.trust is not Trust.DEAD}
    known = [source for source in live.values() if source.place.id in holders]
    guesses = [s for s in live.values() if s.speculative and s.place.id not in holders]
    groups = [*_by_cost(known), *_by_cost(guesses)]
    alone = all(len(group) == 1 for group in groups)
    dead = {source.place.id for source in sources} - live.keys()
    skipped = tuple(
        Skipped(
            place, "it is marked as dead" if place in dead else "it cannot be reached from here"
        )
        for place in sorted(holders)
        if place not in live
    )
    return _Kind(groups, tuple(group[0] for group in groups) if alone else None, skipped)


def _by_cost(sources: Iterable[SourceFacts]) -> Iterator[list[PlaceId]]:
    ordered = sorted(sources, key=lambda source: (*_rank(source), source.place.id))
    for _, equal in groupby(ordered, key=_rank):
        yield [source.place.id for source in equal]


def _rank(source: SourceFacts) -> tuple[float, bool]:
    return source.cost, source.place.trust is Trust.UNTRUSTED
