"""Leave to remove a copy: witnesses of other copies, the rules, the proof. Pure.

The rules are git-annex's (its "numcopies and mincopies" documentation, checked by experiment):
a trusted place counts unseen, an untrusted or dead one never counts, each place counts once, the
place being dropped from never counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from . import faults
from .key import Key
from .place import Place, PlaceId, Presence, Trust


class Hold(StrEnum):
    """How firmly a witnessed copy stays where it is."""

    LOCKED = "locked"
    TRUSTED = "trusted"
    SEEN = "seen"
    NONE = "none"


class CopyRules(NamedTuple):
    """How many copies must stay: numcopies in all, mincopies of them locked or trusted."""

    numcopies: int = 1
    mincopies: int = 1


def strictest(usual: CopyRules, asked: Iterable[tuple[int | None, int | None]]) -> CopyRules:
    """The rules for content of several files: of what each asks for, or has as usual, the most.

    ``asked`` are numcopies and mincopies of each file, None where it says nothing. Content of no
    file has the usual rules.
    """
    files = list(asked) or [(None, None)]
    return CopyRules(
        max(usual.numcopies if number is None else number for number, _ in files),
        max(usual.mincopies if least is None else least for _, least in files),
    )


class Witness(NamedTuple):
    """What one place answered when asked for a copy, just now."""

    key: Key
    place: Place
    answer: Presence
    hold: Hold = Hold.NONE
    remark: str = ""
    until: float | None = None
    """When a lock ends, whatever we do; see `core.abilities.Answer`."""

    def tell(self) -> str:
        """One phrase for the refusal: who was asked, and what it answered."""
        said = {
            Presence.PRESENT: "has it",
            Presence.ABSENT: "does not have it",
            Presence.UNKNOWN: "could not be asked",
        }[self.answer]
        if self.answer is Presence.PRESENT and self.place.trust is Trust.UNTRUSTED:
            said = "has it, but is not trusted"
        return f"{self.place.label}: {said}" + (f" ({self.remark})" if self.remark else "")


class DropProof(NamedTuple):
    """Leave to remove one copy of one key from one place, and why."""

    key: Key
    place: PlaceId
    witnesses: tuple[Witness, ...]
    rules: CopyRules

    @property
    def until(self) -> float | None:
        """When the first of the locks it rests on ends by itself; None when none does."""
        ends = [w.until for w in self.witnesses if w.hold is Hold.LOCKED and w.until is not None]
        return min(ends, default=None)


class Waiver(NamedTuple):
    """Leave to remove without proof: who forced it, and why."""

    key: Key
    place: PlaceId
    who: str
    why: str


def counts(witness: Witness) -> bool:
    """Whether a witness is a copy that counts."""
    if witness.place.trust in (Trust.DEAD, Trust.UNTRUSTED):
        return False
    trusted = witness.place.trust is Trust.TRUSTED and witness.hold is Hold.TRUSTED
    return witness.answer is Presence.PRESENT or (trusted and witness.answer is Presence.UNKNOWN)


def prove_drop(
    key: Key,
    place: PlaceId,
    witnesses: Iterable[Witness],
    rules: CopyRules,
    *,
    ours_is_locked: bool = True,
) -> DropProof:
    """Give leave to drop a key from a place, from what other places answered just now.

    ``ours_is_locked`` says that the copy to be dropped is in this repository and locked by us
    the whole time: then copies that were only seen are enough. Elsewhere mincopies of them have
    to be locked or trusted.

    Raises:
        PolicyError: Too few copies would stay; the reason names each place and its answer.
    """
    asked = [w for w in witnesses if w.key == key and w.place.id != place]
    # The firmest word of each place is the one that counts.
    ranked = sorted(filter(counts, asked), key=lambda w: w.hold in (Hold.LOCKED, Hold.TRUSTED))
    good = {w.place.id: w for w in ranked}
    firm = [w for w in good.values() if w.hold in (Hold.LOCKED, Hold.TRUSTED)]
    needed = max(rules.numcopies, rules.mincopies)
    if len(good) < needed:
        raise faults.TOO_FEW_COPIES(
            key=key.text, seen=len(good), needed=needed, answers=_answers(asked)
        )
    if not ours_is_locked and len(firm) < rules.mincopies:
        raise faults.NO_LOCKED_COPY(
            key=key.text, firm=len(firm), needed=rules.mincopies, answers=_answers(asked)
        )
    return DropProof(key, place, tuple(good.values()), rules)


def _answers(asked: Sequence[Witness]) -> str:
    if not asked:
        return "no other place is known to have it"
    return "; ".join(witness.tell() for witness in asked)
