"""Content is spread over the places of a group as git-annex does it; checked with the program."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from holdfast.core.balance import Member, pick_by_fill, pick_by_hash
from holdfast.core.expressions import NO, UNKNOWN, YES, Facts, Verdict, evaluate, parse
from holdfast.core.key import Key
from holdfast.core.numbers import read_number
from holdfast.core.place import Place, PlaceId, Trust

MANY = [Member(PlaceId(str(number))) for number in range(1, 501)]
TEST = Key(b"WORM--test")
SCAN = Key(b"SHA256E-s100--98ea.dat")
A, B, C, D = (PlaceId(name) for name in "abcd")


@pytest.mark.parametrize(
    ("count", "picked"),
    [(1, ["332"]), (3, ["332", "333", "334"]), (0, []), (-1, [])],
)
def test_a_key_picks_the_same_places_everywhere(count: int, picked: Sequence[str]) -> None:
    assert sorted(pick_by_hash(TEST, MANY, count)) == picked
    assert sorted(pick_by_hash(TEST, MANY[::-1], count)) == picked


def test_when_as_many_are_asked_for_as_there_are_all_are_picked() -> None:
    assert len(pick_by_hash(TEST, MANY, 500)) == len(pick_by_hash(TEST, MANY, 900)) == 500
    assert pick_by_hash(TEST, [], 1) == frozenset()


@pytest.mark.parametrize(
    ("member", "takes"),
    [
        (Member(A), True),
        (Member(A, used=None, most=50), True),
        (Member(A, used=900, most=1000), True),
        (Member(A, used=901, most=1000), False),
        (Member(A, used=1000, most=1000, has=True), True),
        (Member(A, used=1001, most=1000, has=True), False),
        (Member(A, used=0, most=0), False),
    ],
)
def test_a_full_place_is_not_picked(member: Member, takes: bool) -> None:
    assert member.takes(100) is takes
    assert pick_by_hash(SCAN, [member, Member(B)], 2) == ({A, B} if takes else {B})


def test_the_least_full_in_proportion_is_picked() -> None:
    small, large = Member(A, used=25, most=500), Member(B, used=60, most=1000)
    assert pick_by_fill(SCAN, [small, large], 1) == {A}
    assert pick_by_fill(SCAN, [small._replace(used=35), large], 1) == {B}
    assert pick_by_fill(SCAN, [small, large], 2) == {A, B}


def test_what_a_place_has_of_the_content_does_not_make_it_full() -> None:
    has, has_not = Member(A, has=True, used=140, most=1000), Member(B, used=50, most=1000)
    assert pick_by_fill(SCAN, [has, has_not], 1) == {A}


def test_of_places_as_full_as_each_other_the_larger_uuid_is_picked() -> None:
    empty = [Member(place, used=0, most=most) for place, most in zip((A, B, C), (9000, 500, 700), strict=True)]  # fmt: skip
    assert pick_by_fill(SCAN, empty, 1) == {C}
    assert pick_by_fill(SCAN, empty, 2) == {B, C}


def test_places_that_hardly_differ_are_told_apart_as_far_as_git_annex_can() -> None:
    def picked(most: int, more: int) -> frozenset[PlaceId]:
        members = [Member(p, used=2900, most=most + d) for p, d in ((A, 0), (B, 2 * more), (C, 0))]
        return pick_by_fill(SCAN, members, 1)

    assert picked(10**9, 1) == {B}
    assert picked(10**12, 1) == {C}


def test_a_place_without_a_limit_or_that_may_hold_nothing_is_never_picked_by_fill() -> None:
    nothing = Key(b"SHA256E-s0--e3b0")
    members = [Member(A), Member(B, used=0, most=0), Member(C, used=9, most=-5)]
    assert pick_by_fill(nothing, members, 3) == frozenset()
    assert pick_by_hash(nothing, members, 3) == {A, B}


def test_a_place_nothing_was_heard_of_is_empty_when_picked_by_fill() -> None:
    assert pick_by_fill(SCAN, [Member(A, used=1, most=900), Member(B, most=900)], 1) == {B}
    assert pick_by_fill(SCAN, [Member(B, most=50)], 1) == frozenset()


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("2x", 2), ("-3", -3), ("0x1F", 31), ("0o17", 15), ("0b1", 0), ("0xg", 0), ("007", 7), ("2_0", 2),
     ("", None), ("x", None), ("1.5", None), ("2e0", None), ("+2", None), ("-", None)],
)  # fmt: skip
def test_a_number_is_read_as_far_as_it_goes(text: str, number: int | None) -> None:
    assert read_number(text) == number


class Scan(Facts):
    """A file that a, which asks, b and the untrusted d have or not; a, b and c are the lab."""

    def __init__(self, has: str, place: PlaceId = A) -> None:
        self._has = has
        self._place = place

    def key(self) -> Key:
        return SCAN

    def place(self) -> PlaceId:
        return self._place

    def present(self) -> bool:
        return self._place in self._has

    def holders(self) -> Collection[Place]:
        trust = {"d": Trust.UNTRUSTED}
        return [Place(PlaceId(n), trust=trust.get(n, Trust.SEMITRUSTED)) for n in self._has]

    def group(self, name: str) -> Sequence[Member]:
        return [Member(place) for place in (A, B, C)] if name == "lab" else []

    def numcopies(self) -> int:
        return 2


def picked_of_lab(count: int) -> frozenset[PlaceId]:
    return pick_by_hash(SCAN, [Member(place) for place in (A, B, C)], count)


(FIRST,) = picked_of_lab(1)
(SECOND,) = picked_of_lab(2) - {FIRST}
(LAST,) = {A, B, C} - {FIRST, SECOND}


@pytest.mark.parametrize(
    ("text", "place", "has", "verdict"),
    [
        ("fullybalanced=lab", FIRST, "", YES),
        ("fullybalanced=lab", SECOND, "", NO),
        ("fullybalanced=lab", SECOND, SECOND, NO),
        ("fullybalanced=lab:2", SECOND, "", YES),
        ("fullybalanced=lab:0", FIRST, "", NO),
        ("fullybalanced=lab", D, "", NO),
        ("fullybalanced=nosuch", FIRST, "", NO),
        ("balanced=lab", FIRST, "", YES),
        ("balanced=lab", SECOND, SECOND, YES),
        ("balanced=lab", FIRST, SECOND, NO),
        ("balanced=lab:2", FIRST, SECOND, YES),
        ("balanced=lab", D, "d", YES),
        ("fullybalanced=lab:lackingcopies", SECOND, "", YES),
        ("fullybalanced=lab:lackingcopies", LAST, "", NO),
        ("fullybalanced=lab:lackingcopies", SECOND, LAST, YES),
        ("fullybalanced=lab:lackingcopies", SECOND, "d", YES),
        ("fullybalanced=lab:lackingcopies", SECOND, "e", NO),
        ("fullybalanced=lab:lackingcopies", FIRST, "e", YES),
        ("fullybalanced=lab:lackingcopies", FIRST, "ef", NO),
        ("fullysizebalanced=lab", FIRST, "", NO),
        ("sizebalanced=lab", FIRST, FIRST, YES),
    ],
)
def test_a_term_matches_where_content_is_to_be(
    text: str, place: PlaceId, has: str, verdict: Verdict
) -> None:
    assert evaluate(parse(text), Scan(has, place)) is verdict


def test_a_term_is_unknown_where_the_group_or_the_copies_are() -> None:
    class Groupless(Scan):
        def group(self, name: str) -> None:  # type: ignore[override]
            return None

    class Lost(Scan):
        def holders(self) -> None:  # type: ignore[override]
            return None

    assert evaluate(parse("fullybalanced=lab"), Groupless("", FIRST)) is UNKNOWN
    assert evaluate(parse("balanced=lab"), Lost("", FIRST)) is UNKNOWN
    assert evaluate(parse("fullybalanced=lab:lackingcopies"), Lost("", FIRST)) is UNKNOWN
    assert evaluate(parse("fullybalanced=lab"), Lost("", FIRST)) is YES
