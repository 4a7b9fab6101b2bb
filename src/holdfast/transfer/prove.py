"""Asking places for copies, just now, until the proof to drop is complete or nobody is left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ..core.abilities import Askable
from ..core.errors import HoldError, PolicyError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence, Trust
from ..core.policy import CopyRules, DropProof, Hold, Witness, counts, prove_drop

RulesOf = Callable[[Key], CopyRules]


def prove_many(
    keys: Sequence[Key],
    here: PlaceId,
    claims: Mapping[Key, Collection[PlaceId]],
    places: Sequence[Askable],
    trusted: Collection[Place],
    rules_of: RulesOf,
    unreached: Sequence[Witness] = (),
) -> dict[Key, DropProof | PolicyError]:
    """Proofs to drop keys from here, which is locked by us; or, for each, why not.

    Places are asked in the order given (cheapest first), each for all keys it is said to have, and
    no more once all proofs are complete. ``claims`` is what the ledger says; of places that it does
    not name for a key, those on this machine's file systems are looked at when the others were not
    enough.
    """
    seen: dict[Key, list[Witness]] = {key: [] for key in keys}
    for place in trusted:
        for key in keys:
            if place.id in claims.get(key, ()):
                seen[key].append(Witness(key, place, Presence.UNKNOWN, Hold.TRUSTED, "trusted"))
    for named in (True, False):
        for source in places:
            if source.place.id == here or source.place.trust is Trust.DEAD:
                continue
            if not named and not hasattr(source, "content_path"):
                continue
            wanted = [
                key
                for key in keys
                if (source.place.id in claims.get(key, ())) is named
                and not _enough(seen[key], here, rules_of(key))
            ]
            for witness in _ask(source, wanted):
                seen[witness.key].append(witness)
    results: dict[Key, DropProof | PolicyError] = {}
    for key in keys:
        missed = [
            Witness(key, w.place, w.answer, w.hold, w.remark)
            for w in unreached
            if w.place.id in claims.get(key, ())
        ]
        try:
            results[key] = prove_drop(key, here, [*seen[key], *missed], rules_of(key))
        except PolicyError as refusal:
            results[key] = refusal
    return results


def _enough(witnesses: Sequence[Witness], here: PlaceId, rules: CopyRules) -> bool:
    good = {w.place.id for w in witnesses if counts(w) and w.place.id != here}
    return len(good) >= max(rules.numcopies, rules.mincopies)


def _ask(source: Askable, keys: Sequence[Key]) -> list[Witness]:
    if not keys:
        return []
    try:
        answers = source.ask(keys)
    except HoldError as error:
        return [
            Witness(key, source.place, Presence.UNKNOWN, remark=error.why or error.what)
            for key in keys
        ]
    return [
        Witness(
            key, source.place, answer.presence,
            Hold.SEEN if answer.presence is Presence.PRESENT else Hold.NONE, answer.remark,
        )
        for key, answer in zip(keys, answers, strict=True)
    ]  # fmt: skip
