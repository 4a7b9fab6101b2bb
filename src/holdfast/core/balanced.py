"""The terms that spread content over the places of a group: ``balanced=GROUP[:N]`` and the like.

``fullybalanced`` and ``fullysizebalanced`` match in the places that are picked for content.
``balanced`` and ``sizebalanced`` leave content where it is: they match where it is present, and
otherwise in a picked place while the group has fewer than N copies. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from .balance import Member, Pick
from .facts import NO, UNKNOWN, YES, Facts, Verdict
from .numbers import read_number
from .place import Trust


class Balanced:
    """One of these terms; ``wanted`` None stands for as many copies as are lacking."""

    __slots__ = ("group", "pick", "settled", "wanted")

    def __init__(self, group: str, wanted: int | None, pick: Pick, *, settled: bool) -> None:
        self.group = group
        self.wanted = wanted
        self.pick = pick
        self.settled = settled

    def __call__(self, facts: Facts) -> Verdict:
        """Whether the place that asks is to have the content."""
        present = facts.present() if self.settled else False
        if present:
            return YES
        place, key, members = facts.place(), facts.key(), facts.group(self.group)
        if present is None or place is None or key is None or members is None:
            return UNKNOWN
        if all(member.place != place for member in members):
            return NO
        count = self._wanted(facts, members)
        copies = _copies(facts, members) if self.settled else 0
        if count is None or copies is None:
            return UNKNOWN
        if self.settled and copies >= count:
            return NO
        return YES if place in self.pick(key, members, count) else NO

    def _wanted(self, facts: Facts, members: Sequence[Member]) -> int | None:
        """How many places of the group are to have it."""
        if self.wanted is not None:
            return self.wanted
        wanted, holders = facts.numcopies(), facts.holders()
        if wanted is None or holders is None:
            return None
        inside = {member.place for member in members}
        doubtful = (Trust.UNTRUSTED, Trust.DEAD)
        others = [p for p in holders if p.id not in inside and p.trust not in doubtful]
        return wanted - len(others)


def read_balanced(pick: Pick, value: str, *, settled: bool) -> Balanced:
    """Read the value of such a term: ``GROUP``, ``GROUP:N`` or ``GROUP:lackingcopies``.

    Raises:
        ValueError: It is none of these.
    """
    group, *rest = value.split(":")
    if len(rest) > 1:
        raise ValueError(f"{value!r} is no group with a number")
    if rest == ["lackingcopies"]:
        return Balanced(group, None, pick, settled=settled)
    count = read_number(rest[0]) if rest else 1
    if count is None:
        raise ValueError(f"{rest[0]!r} is no number of places")
    return Balanced(group, count, pick, settled=settled)


def _copies(facts: Facts, members: Sequence[Member]) -> int | None:
    """How many copies the group has."""
    holders = facts.holders()
    if holders is None:
        return None
    inside = {member.place for member in members}
    return sum(p.id in inside and p.trust is not Trust.DEAD for p in holders)
