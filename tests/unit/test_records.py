"""Records behave as frozen dataclasses do."""

from __future__ import annotations

import pytest

from holdfast.core.records import Record


class Point(Record):
    """Two numbers."""

    x: int
    y: int = 0


class Other(Record):
    """The same fields."""

    x: int
    y: int = 0


class Nothing(Record):
    """No fields."""


def test_equal_fields_make_equal_records_of_the_same_kind() -> None:
    assert Point(1) == Point(1, 0) == Point(x=1, y=0)
    assert len({Point(1), Point(1, 0), Other(1), Nothing(), Nothing()}) == 3
    assert Point(1) != Other(1)
    assert Point(1) != Point(2)


def test_fields_are_matched_and_shown_in_order() -> None:
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)
    assert repr(Point(3, 4)) == "Point(x=3, y=4)"
    assert repr(Nothing()) == "Nothing()"


def test_a_record_does_not_change() -> None:
    with pytest.raises(AttributeError, match="does not change"):
        Point(1).x = 2  # type: ignore[misc]


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 2})])
def test_wrong_fields_are_refused(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="takes x, y"):
        Point(*values, **named)
