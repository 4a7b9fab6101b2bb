"""A set that spills to the disk gives what was put in: sorted, each once, however much it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdirb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.dataset import sorted_spill
from holdfast.dataset.sorted_spill import SortedSpill


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of few, and blocks of fewer, so that little is much."""
    monkeypatch.setattr(sorted_spill, "_RUN", 7)
    monkeypatch.setattr(sorted_spill, "_BLOCK", 3)


@given(items=st.lists(st.binary(max_size=4), max_size=60))
def test_what_was_taken_comes_back_sorted_and_once(items: list[bytes]) -> None:
    with SortedSpill(gettempdirb()) as spill:
        spill.update(items)
        assert list(spill) == sorted(set(items))
        assert list(spill) == sorted(set(items))
        assert bool(spill) == bool(items)


def test_more_may_be_taken_after_it_was_read() -> None:
    with SortedSpill(gettempdirb()) as spill:
        spill.update(b"%d" % n for n in range(20))
        first = list(spill)
        spill.add(b"5a")
        assert list(spill) == sorted([*first, b"5a"])


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    with SortedSpill(bytes(tmp_path)) as spill:
        spill.update(b"%d" % n for n in range(100))
        assert len(list(spill)) == 100
        assert list(tmp_path.iterdir()) == []
    assert list(tmp_path.iterdir()) == []
