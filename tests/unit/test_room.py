"""What is free, and what has to stay so."""

from holdfast.core.errors import PlaceFullError
from holdfast.dataset.room import Room


def test_content_that_would_eat_into_the_reserve_is_refused_with_the_numbers() -> None:
    room = Room(free=150, reserve=100)
    refusal = room.take("a.nii", 51)
    assert isinstance(refusal, PlaceFullError)
    assert refusal.code == "H213"
    assert "150 B are free, 51 B are needed and 100 B are kept" in refusal.why


def test_what_is_let_in_counts_for_the_next() -> None:
    room = Room(free=150, reserve=100)
    assert room.take("a", 30) is None
    assert room.take("b", 30) is not None
    assert room.take("c", 20) is None


def test_content_of_unknown_size_is_let_in() -> None:
    assert Room(free=0, reserve=100).take("a", None) is None
