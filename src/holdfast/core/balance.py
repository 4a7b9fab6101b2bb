"""Which places of a group take content, so that it is spread over all of them. Pure.

Two ways of choosing. By a hash: the key picks, and it picks the same places in every clone. By
fill: those that are least full, in proportion, before the content comes. Both pass over places
that have no space for it. How git-annex chooses was found by experiment with the program.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .key import Key
from .place import PlaceId


class Member(NamedTuple):
    """A place of a group, and what is known of its room.

    ``used`` is how many bytes it holds, None where nothing was ever heard of it; ``most`` how many
    it may hold, None without a limit.
    """

    place: PlaceId
    has: bool = False
    used: int | None = None
    most: int | None = None

    def takes(self, size: int) -> bool:
        """Whether content of that size has space, or has it already."""
        if self.most is None or self.used is None:
            return True
        return self.used + (0 if self.has else size) <= self.most


Pick = Callable[[Key, Sequence[Member], int], frozenset[PlaceId]]
"""Chooses so many of the members of a group for a key."""


def pick_by_hash(key: Key, members: Sequence[Member], count: int) -> frozenset[PlaceId]:
    """The places that the key picks, whatever is where."""
    if count <= 0:
        return frozenset()
    everyone = sorted(_raw(member.place) for member in members)
    size = key.size or 0
    able = sorted((m.place for m in members if m.takes(size)), key=_raw)
    if len(able) <= count:
        return frozenset(able)
    digest = hmac.digest(b"".join(everyone), key, "sha256")
    start = int.from_bytes(digest, "big")
    return frozenset(able[(start + step) % len(able)] for step in range(count))


def pick_by_fill(key: Key, members: Sequence[Member], count: int) -> frozenset[PlaceId]:
    """The places with the largest part of their space free, of those that have a limit.

    Of places as full as each other, the one with the larger UUID.
    """
    size = key.size or 0
    able: list[tuple[float, bytes, PlaceId]] = []
    for member in members:
        used, most = member.used or 0, member.most or 0
        if most > 0 and member._replace(used=used).takes(size):
            free = most - used + (size if member.has else 0)
            # Divided as git-annex does, for places that hardly differ.
            able.append((float(free) / float(most), _raw(member.place), member.place))
    able.sort(reverse=True)
    return frozenset(place for _, _, place in able[: max(0, count)])


def _raw(place: PlaceId) -> bytes:
    return place.encode("utf-8", "surrogateescape")
