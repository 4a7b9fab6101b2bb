"""Asking places for copies, just now, until the proof to drop is complete or nobody is left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

from ..core.abilities import Answer, Askable, Lockable
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
    rules = {key: rules_of(key) for key in keys}
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
                and not _enough(seen[key], here, rules[key])
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
            results[key] = prove_drop(key, here, [*seen[key], *missed], rules[key])
        except PolicyError as refusal:
            results[key] = refusal
    return results


def blind_places(readers: Iterable[Askable]) -> dict[PlaceId, Lockable]:
    """Those places whose `ask` does not see that content is about to be removed."""
    found = (cast("Lockable", r) for r in readers if hasattr(r, "sees_removal"))
    return {place.place.id: place for place in found if not place.sees_removal}


@contextmanager
def promised(
    proof: DropProof, blind: Mapping[PlaceId, Lockable]
) -> Iterator[DropProof | PolicyError]:
    """A proof that holds for the length of a block, or why it cannot.

    As many of the ``blind`` places, whose `ask` does not see a removal, as the proof rests on have
    to promise to keep their copy meanwhile.
    """
    sure = [w for w in proof.witnesses if w.place.id not in blind]
    with ExitStack() as stack:
        for witness in proof.witnesses:
            if _enough(sure, proof.place, proof.rules):
                break
            if witness.place.id in blind:
                answer = stack.enter_context(blind[witness.place.id].lock_content(proof.key))
                sure.append(_promise(witness, answer))
        try:
            found: DropProof | PolicyError = prove_drop(proof.key, proof.place, sure, proof.rules)
        except PolicyError as refusal:
            found = refusal
        yield found


def _promise(witness: Witness, answer: Answer) -> Witness:
    if answer.presence is Presence.PRESENT:
        return witness._replace(hold=Hold.LOCKED, until=answer.until)
    remark = answer.remark or "it will not promise to keep it, so it may be removing it"
    return witness._replace(answer=Presence.UNKNOWN, hold=Hold.NONE, remark=remark)


class AskedToPromise:
    """A place that is asked by having it promise to keep each copy for a moment."""

    def __init__(self, place: Lockable) -> None:
        self.place = place.place
        self._place = place

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Which of these it has, and is not about to remove."""
        return [self._ask(key) for key in keys]

    def _ask(self, key: Key) -> Answer:
        with self._place.lock_content(key) as answer:
            return answer


def _enough(witnesses: Sequence[Witness], here: PlaceId, rules: CopyRules) -> bool:
    needed = max(rules.numcopies, rules.mincopies)
    if len(witnesses) < needed:
        return False
    return len({w.place.id for w in witnesses if counts(w) and w.place.id != here}) >= needed


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
