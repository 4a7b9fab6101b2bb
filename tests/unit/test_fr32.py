"""Padding: 127 bytes become 128."""

from __future__ import annotations

import pytest

from holdfast.core.errors import ProtocolError
from holdfast.wire.fr32 import Padder, Unpadder, groups_of, pad, unpad


def test_two_zero_bits_follow_every_254() -> None:
    ones = int.from_bytes(pad(b"\xff" * 127), "little")
    lane = (1 << 254) - 1
    assert ones == sum(lane << 256 * n for n in range(4))


def test_the_first_254_bits_stay_where_they_are() -> None:
    assert pad(bytes(range(127)))[:31] == bytes(range(31))


def test_what_is_padded_comes_back() -> None:
    payload = bytes((7 * n) % 256 for n in range(127 * 5))
    assert unpad(pad(payload)) == payload


def test_the_last_group_is_filled_up_with_zeros() -> None:
    padder = Padder()
    assert padder.feed(b"abc") == b""
    assert padder.finish() == pad(b"abc" + bytes(124))
    assert padder.finish() == b""


@pytest.mark.parametrize("place", [31, 63, 95, 127])
def test_bits_that_are_always_zero_may_not_be_one(place: int) -> None:
    padded = bytearray(128)
    padded[place] = 0x40
    with pytest.raises(ProtocolError):
        unpad(padded)


def test_part_of_a_group_is_refused() -> None:
    with pytest.raises(ProtocolError):
        unpad(bytes(127))
    unpadder = Unpadder()
    unpadder.feed(bytes(130))
    with pytest.raises(ProtocolError):
        unpadder.finish()


def test_a_range_lies_in_whole_groups() -> None:
    assert groups_of(0, 127) == range(0, 1)
    assert groups_of(126, 128) == range(0, 2)
    assert groups_of(127, 128) == range(1, 2)
