"""Where keys are tried to be had from, in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId, Trust
from holdfast.transfer.plan import Attempts, Planner, SourceFacts

NEAR, FAR, GUESS, GONE = (PlaceId(name) for name in ("near", "far", "guess", "gone"))
KEY = Key(b"SHA256-s1--a")


def plan_attempts(
    key: Key, holders: Collection[PlaceId], sources: Sequence[SourceFacts]
) -> Attempts:
    return Planner(sources).attempts(key, holders)


def facts(place: PlaceId, cost: float, **more: bool) -> SourceFacts:
    return SourceFacts(Place(place), cost, **more)


def test_cheap_places_come_first() -> None:
    sources = [facts(FAR, 200), facts(NEAR, 100)]
    assert plan_attempts(KEY, {NEAR, FAR}, sources).order == (NEAR, FAR)


def test_places_not_said_to_have_it_are_left_out_but_for_guesses_which_come_last() -> None:
    sources = [facts(GUESS, 1, speculative=True), facts(NEAR, 100), facts(FAR, 200)]
    assert plan_attempts(KEY, {FAR}, sources).order == (FAR, GUESS)


def test_a_place_that_cannot_be_reached_is_named() -> None:
    attempts = plan_attempts(KEY, {GONE}, [facts(NEAR, 100)])
    assert attempts.order == ()
    assert [(s.place, s.why) for s in attempts.skipped] == [
        (GONE, "it cannot be reached from here")
    ]


def test_a_dead_place_is_never_tried() -> None:
    dead = SourceFacts(Place(NEAR, trust=Trust.DEAD), 100, speculative=True)
    attempts = plan_attempts(KEY, {NEAR}, [dead])
    assert attempts.order == ()
    assert attempts.skipped[0].why == "it is marked as dead"


def test_of_equal_places_the_untrusted_comes_last() -> None:
    doubtful = SourceFacts(Place(PlaceId("a"), trust=Trust.UNTRUSTED), 100)
    assert plan_attempts(KEY, {"a", NEAR}, [doubtful, facts(NEAR, 100)]).order == (NEAR, "a")  # type: ignore[arg-type]


def test_equal_places_share_the_work() -> None:
    planner = Planner([facts(NEAR, 100), facts(FAR, 100)])
    orders = [planner.attempts(Key(b"SHA256-s1--%d" % n), {NEAR, FAR}).order for n in range(200)]
    assert all(sum(order[0] == place for order in orders) > 50 for place in (NEAR, FAR))
    assert all(sorted(order) == [FAR, NEAR] for order in orders)


def test_keys_with_no_place_to_try_have_no_order() -> None:
    assert plan_attempts(KEY, (), [facts(NEAR, 1)]).order == ()


PLACES = st.sampled_from([PlaceId(c) for c in "abcdef"])


@given(
    st.frozensets(PLACES),
    st.lists(st.tuples(PLACES, st.sampled_from([1.0, 2.0])), unique_by=lambda s: s[0]),
    st.randoms(),
)
def test_every_holder_is_tried_or_skipped_once_whatever_the_order_of_sources(
    holders: frozenset[PlaceId], listed: list[tuple[PlaceId, float]], random: object
) -> None:
    sources = [facts(place, cost) for place, cost in listed]
    attempts = plan_attempts(KEY, holders, sources)
    assert plan_attempts(KEY, holders, sources[::-1]) == attempts
    assert sorted([*attempts.order, *(s.place for s in attempts.skipped)]) == sorted(holders)
    costs = dict(listed)
    assert [costs[p] for p in attempts.order] == sorted(costs[p] for p in attempts.order)
