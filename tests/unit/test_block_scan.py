"""Sections are found one after the other, and again behind what is damaged."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Iterator

import pytest

from holdfast.archive.block_scan import SectionAt, iter_sections, root_of
from holdfast.archive.cid_index import CidIndex, Standing
from holdfast.core.errors import HoldError
from holdfast.wire.car import HEADER_SIZE, encode_header, encode_section
from holdfast.wire.cid import Cid, dag_pb_cid, raw_cid

SIZES = (0, 1, 90, 127 - 36, 128 - 36, 5000, 70_000, 1 << 20, 300, 3, 1 << 20, 40)


class _Held:
    """A piece in memory that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.name, self.size, self.data = "piece", len(data), data
        self.read = 0

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        assert 0 <= offset <= offset + length <= self.size
        self.read += length
        yield self.data[offset : offset + length]


def _piece() -> tuple[bytes, list[SectionAt]]:
    chance = random.Random(1)
    out, found = bytearray(encode_header([dag_pb_cid(b"root")])), []
    for size in SIZES:
        block = chance.randbytes(size)
        cid = raw_cid(block)
        section = encode_section(cid, block)
        found.append(SectionAt(cid, len(out), len(out) + len(section) - size, size))
        out += section
    return bytes(out), found


def _scan(data: bytes) -> tuple[list[SectionAt], list[HoldError]]:
    told = list[HoldError]()
    piece = _Held(data)
    return list(iter_sections(piece, HEADER_SIZE, piece.size, told.append)), told


def test_all_sections_are_found_and_of_large_blocks_only_the_begin_is_read() -> None:
    data, wanted = _piece()
    piece = _Held(data)
    assert list(iter_sections(piece, HEADER_SIZE, piece.size, pytest.fail)) == wanted
    assert piece.read < 500_000 < piece.size
    assert root_of(piece) == dag_pb_cid(b"root")


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_behind_any_head_that_is_damaged_all_others_are_found(number: int) -> None:
    data, wanted = _piece()
    hit = wanted[number]
    for place in range(hit.offset, hit.start):
        for bit in (0, 3, 7):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            found, _ = _scan(bytes(changed))
            others = [one for one in wanted if one is not hit]
            assert set(others) <= {*found}, (place, bit)


def test_bytes_that_are_gone_or_added_cost_the_sections_they_are_in() -> None:
    data, wanted = _piece()
    cut = wanted[6].start + 100
    found, told = _scan(data[:cut] + data[cut + 1000 :])
    assert len(told) == 1
    assert {one.cid for one in wanted} - {one.cid for one in found} <= {wanted[6].cid}


def test_a_piece_that_is_cut_off_has_all_up_to_the_cut() -> None:
    data, wanted = _piece()
    for cut in (HEADER_SIZE, wanted[3].offset + 1, wanted[7].start, wanted[-1].start + 39):
        found, _ = _scan(data[:cut])
        assert found == [one for one in wanted if one.start + one.size <= cut]


def test_bytes_made_to_look_like_sections_everywhere_end_soon() -> None:
    head = b"\xfd\xff\x7f" + raw_cid(b"")
    piece = _Held(bytes(HEADER_SIZE) + b"x" + head * 20_000 + bytes(1000))
    told = list[HoldError]()
    for count, _ in enumerate(iter_sections(piece, HEADER_SIZE, piece.size, told.append)):
        assert count < 20_000
    assert piece.read < 2 << 30


def test_an_index_finds_all_places_of_a_cid(tmp_path: os.PathLike[str]) -> None:
    items = [Standing(raw_cid(b"%d" % (n % 500)), n, n * 7, 9, n) for n in range(1000)]
    items.append(Standing(Cid(b"short"), 0, 0, 0, 0))
    index = CidIndex(iter(items), os.fsencode(tmp_path))
    assert len(index) == 1000
    for number in range(500):
        found = index.find(raw_cid(b"%d" % number))
        assert [one.piece for one in found] == [number, number + 500]
    assert not index.find(raw_cid(b"other")) and not index.find(Cid(b""))
    assert not os.listdir(tmp_path)


def test_an_index_of_very_many_sections_takes_little_memory(tmp_path: os.PathLike[str]) -> None:
    section = encode_section(raw_cid(b"x"), b"x")
    count = 200_000
    piece = _Held(bytes(HEADER_SIZE) + section * count)
    tracemalloc.start()
    try:
        found = iter_sections(piece, HEADER_SIZE, piece.size, pytest.fail)
        index = CidIndex(
            (Standing(one.cid, 0, one.offset, 37, 1) for one in found), os.fsencode(tmp_path)
        )
        assert len(index) == count
        assert len(index.find(raw_cid(b"x"))) == 8
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
