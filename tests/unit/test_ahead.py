"""Making the next bytes while those before are in use."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from holdfast.site.ahead import iter_ahead


def test_all_comes_in_order_and_faults_where_they_happen() -> None:
    def numbers() -> Iterator[int]:
        yield from range(100)
        raise LookupError("after all")

    found = []
    with pytest.raises(LookupError, match="after all"):
        for number in iter_ahead(numbers()):
            found.append(number)
    assert found == list(range(100))
    assert list(iter_ahead(iter(()))) == []


def test_no_more_than_two_are_made_before_they_are_asked_for() -> None:
    made = []
    enough = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 2:
                enough.set()
            yield number

    ahead = iter_ahead(numbers())
    assert next(ahead) == 0
    assert enough.wait(10)
    assert made == [0, 1, 2]
    ahead.close()


def test_who_stops_early_closes_the_source() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            yield from range(1 << 30)
        finally:
            closed.set()

    ahead = iter_ahead(numbers())
    assert next(ahead) == 0
    before = threading.active_count()
    ahead.close()
    assert closed.is_set()
    assert threading.active_count() == before - 1
