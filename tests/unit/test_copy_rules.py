"""Leave to drop a copy: which witnesses count, and how many must."""

from __future__ import annotations

import pytest

from holdfast.core.errors import PolicyError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Presence, Trust
from holdfast.core.policy import CopyRules, Hold, Witness, counts, prove_drop, strictest

SCAN = Key(b"SHA256E-s3--aa.nii")
LAPTOP = PlaceId("laptop")
TAPE = Place(PlaceId("tape"), "tape")
CLOUD = Place(PlaceId("cloud"), "cloud")
ONE, TWO = CopyRules(), CopyRules(numcopies=2)


def has(place: Place, hold: Hold = Hold.SEEN, key: Key = SCAN) -> Witness:
    return Witness(key, place, Presence.PRESENT, hold)


def trusted_as(place: Place, trust: Trust) -> Place:
    return Place(place.id, place.name, trust)


def test_one_seen_copy_is_enough_for_a_locked_one_here() -> None:
    proof = prove_drop(SCAN, LAPTOP, [has(TAPE)], ONE)
    assert (proof.key, proof.place, proof.witnesses) == (SCAN, LAPTOP, (has(TAPE),))


def test_without_witnesses_nothing_is_dropped() -> None:
    with pytest.raises(PolicyError, match="0 other copies were seen, 1 must stay") as refused:
        prove_drop(SCAN, LAPTOP, [], ONE)
    assert refused.value.why == "no other place is known to have it"
    assert refused.value.exit_code == 4


def test_two_witnesses_of_one_place_count_once() -> None:
    with pytest.raises(PolicyError, match="1 other copies were seen, 2 must stay"):
        prove_drop(SCAN, LAPTOP, [has(TAPE), has(TAPE, Hold.LOCKED)], TWO)


def test_the_place_dropped_from_never_counts() -> None:
    with pytest.raises(PolicyError):
        prove_drop(SCAN, LAPTOP, [has(Place(LAPTOP), Hold.LOCKED)], ONE)


def test_a_witness_of_another_key_never_counts() -> None:
    with pytest.raises(PolicyError):
        prove_drop(SCAN, LAPTOP, [has(TAPE, key=Key(b"SHA256E-s3--bb.nii"))], ONE)


@pytest.mark.parametrize("trust", [Trust.DEAD, Trust.UNTRUSTED])
@pytest.mark.parametrize("hold", Hold)
def test_dead_and_untrusted_places_never_count(trust: Trust, hold: Hold) -> None:
    witness = has(trusted_as(TAPE, trust), hold)
    assert not counts(witness)
    with pytest.raises(PolicyError):
        prove_drop(SCAN, LAPTOP, [witness], ONE)


@pytest.mark.parametrize("answer", [Presence.ABSENT, Presence.UNKNOWN])
def test_a_place_that_does_not_say_yes_does_not_count(answer: Presence) -> None:
    with pytest.raises(PolicyError):
        prove_drop(SCAN, LAPTOP, [Witness(SCAN, TAPE, answer)], ONE)


def test_a_trusted_place_counts_unseen() -> None:
    place = trusted_as(TAPE, Trust.TRUSTED)
    witness = Witness(SCAN, place, Presence.UNKNOWN, Hold.TRUSTED)
    assert prove_drop(SCAN, LAPTOP, [witness], ONE, ours_is_locked=False).witnesses == (witness,)


def test_a_copy_elsewhere_needs_one_that_is_locked() -> None:
    with pytest.raises(PolicyError, match="0 locked copies, 1 must be"):
        prove_drop(SCAN, TAPE.id, [has(CLOUD)], ONE, ours_is_locked=False)
    held = [has(Place(LAPTOP), Hold.LOCKED)]
    assert prove_drop(SCAN, TAPE.id, held, ONE, ours_is_locked=False)


def test_mincopies_counts_locked_ones_only() -> None:
    rules = CopyRules(numcopies=2, mincopies=2)
    mixed = [has(CLOUD), has(Place(LAPTOP), Hold.LOCKED)]
    assert prove_drop(SCAN, TAPE.id, mixed, CopyRules(2, 1), ours_is_locked=False)
    with pytest.raises(PolicyError, match="1 locked copies, 2 must be"):
        prove_drop(SCAN, TAPE.id, mixed, rules, ours_is_locked=False)


def test_mincopies_counts_even_when_numcopies_is_less() -> None:
    with pytest.raises(PolicyError, match="1 other copies were seen, 3 must stay"):
        prove_drop(SCAN, LAPTOP, [has(TAPE)], CopyRules(numcopies=1, mincopies=3))


def test_a_refusal_tells_what_each_place_answered() -> None:
    asked = [
        Witness(SCAN, TAPE, Presence.UNKNOWN, remark="no route"),
        Witness(SCAN, CLOUD, Presence.ABSENT),
        has(Place(PlaceId("usb"), "usb", Trust.UNTRUSTED)),
    ]
    with pytest.raises(PolicyError) as refused:
        prove_drop(SCAN, LAPTOP, asked, ONE)
    assert refused.value.why == (
        "tape: could not be asked (no route); cloud: does not have it; usb: has it, but is not trusted"
    )


def test_the_firmer_witness_of_a_place_is_kept_whatever_the_order() -> None:
    for seen in ([has(TAPE, Hold.LOCKED), has(TAPE)], [has(TAPE), has(TAPE, Hold.LOCKED)]):
        assert prove_drop(SCAN, CLOUD.id, seen, ONE, ours_is_locked=False)


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        ([], CopyRules(2, 1)),
        ([(None, None)], CopyRules(2, 1)),
        ([(1, None)], CopyRules(1, 1)),
        ([(1, None), (None, None)], CopyRules(2, 1)),
        ([(1, None), (3, None)], CopyRules(3, 1)),
        ([(1, 2), (3, None)], CopyRules(3, 2)),
        ([(None, 2), (1, 3)], CopyRules(2, 3)),
    ],
)
def test_of_several_files_the_strictest_rules_count(
    asked: list[tuple[int | None, int | None]], rules: CopyRules
) -> None:
    assert strictest(CopyRules(numcopies=2, mincopies=1), asked) == rules
