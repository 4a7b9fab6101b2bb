"""A bucket never lets more pass than its rate, and keeps nobody waiting for ever."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.rates import Bucket

RATES = st.floats(0.5, 1e9)
BURSTS = st.floats(0.0, 10.0)
ASKED = st.lists(st.tuples(st.integers(0, 1 << 24), st.floats(0.0, 100.0)), min_size=1, max_size=60)


def _moments(bucket: Bucket, asked: list[tuple[int, float]]) -> list[tuple[int, float, float]]:
    """Sizes, when they were asked for, and when they may pass; time only goes on."""
    now, found = 0.0, []
    for size, later in asked:
        now += later
        found.append((size, now, bucket.take(size, now)))
    return found


@given(RATES, BURSTS, ASKED)
def test_in_any_time_no_more_passes_than_the_rate_and_one_burst(
    rate: float, burst: float, asked: list[tuple[int, float]]
) -> None:
    moments = _moments(Bucket(rate, burst), asked)
    for first, (_, _, begins) in enumerate(moments):
        passed = 0
        for size, _, moment in moments[first + 1 :]:
            passed += size
            # What the first one has is paid at its own moment, so all that follow are within.
            assert passed <= (rate * (moment - begins + burst)) * (1 + 1e-6) + 1


@given(RATES, BURSTS, ASKED)
def test_moments_come_in_the_order_of_asking_and_no_later_than_all_asked_before_needs(
    rate: float, burst: float, asked: list[tuple[int, float]]
) -> None:
    moments = _moments(Bucket(rate, burst), asked)
    for (_, _, before), (_, _, after) in pairwise(moments):
        assert after >= before
    total = sum(size for size, _, _ in moments)
    for _, now, moment in moments:
        assert now <= moment <= now + total / rate + 1e-3


@given(RATES, st.integers(1, 1 << 20), st.integers(2, 8), st.integers(5, 30))
def test_lanes_that_ask_again_when_they_were_served_get_equal_parts(
    rate: float, size: int, lanes: int, rounds: int
) -> None:
    bucket = Bucket(rate, 0.0)
    ready = [0.0] * lanes
    served = [0] * lanes
    for _ in range(rounds * lanes):
        lane = min(range(lanes), key=ready.__getitem__)
        ready[lane] = bucket.take(size, ready[lane])
        served[lane] += 1
    assert max(served) - min(served) <= 1
