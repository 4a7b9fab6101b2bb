"""Where to try to get each key from, in which order, and why not elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from zlib import crc32

from ..core.key import Key
from ..core.place import Place, PlaceId, Trust


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a plan has to know of a place that can be read from.

    ``speculative`` places are tried for keys that they are not said to have, after all others
    (remote.NAME.annex-speculate-present). ``bulk`` ones can stream many keys at once.
    """

    place: Place
    cost: float
    bulk: bool = False
    speculative: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A place that is said to have a key and will not be asked, and why."""

    place: PlaceId
    why: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """The places to try for one key, best first."""

    key: Key
    order: tuple[PlaceId, ...]
    skipped: tuple[Skipped, ...] = ()


def plan_attempts(
    key: Key, holders: Collection[PlaceId], sources: Sequence[SourceFacts]
) -> Attempts:
    """Order the places to try for a key: cheap ones first, untrusted ones later, guesses last.

    Places that cost the same share the work: which is first depends on the key, and on nothing
    else.
    """
    live = {source.place.id: source for source in sources if source.place.trust is not Trust.DEAD}
    known = [source for source in live.values() if source.place.id in holders]
    guesses = [s for s in live.values() if s.speculative and s.place.id not in holders]
    ordered = [*_by_cost(key, known), *_by_cost(key, guesses)]
    dead = {source.place.id for source in sources} - live.keys()
    skipped = [
        Skipped(
            place, "it is marked as dead" if place in dead else "it cannot be reached from here"
        )
        for place in sorted(holders)
        if place not in live
    ]
    return Attempts(key, tuple(source.place.id for source in ordered), tuple(skipped))


def iter_plan(
    keys: Iterable[Key],
    holders_of: Mapping[Key, Collection[PlaceId]],
    sources: Sequence[SourceFacts],
) -> Iterator[Attempts]:
    """The attempts for each key, in order; one that no place is said to have gets guesses."""
    return (plan_attempts(key, holders_of.get(key, ()), sources) for key in keys)


def group_by_source(plan: Iterable[Attempts]) -> dict[PlaceId | None, list[Attempts]]:
    """The attempts by the place that is tried first; None has those with no place to try."""
    groups: dict[PlaceId | None, list[Attempts]] = {}
    for attempts in plan:
        groups.setdefault(attempts.order[0] if attempts.order else None, []).append(attempts)
    return groups


def _by_cost(key: Key, sources: Iterable[SourceFacts]) -> Iterator[SourceFacts]:
    ordered = sorted(sources, key=lambda source: (*_rank(source), source.place.id))
    for _, equal in groupby(ordered, key=_rank):
        group = list(equal)
        first = crc32(key) % len(group)
        yield from group[first:] + group[:first]


def _rank(source: SourceFacts) -> tuple[float, bool]:
    return source.cost, source.place.trust is Trust.UNTRUSTED
