"""CARs, their indexes and DAG-CBOR: golden bytes, and what is refused. All values are from others."""

from __future__ import annotations

import pytest

from holdfast.core.errors import IntegrityError, LocalProtocolError, ProtocolError
from holdfast.wire.car import (
    HEADER_MAX,
    HEADER_SIZE,
    CarReader,
    decode_head,
    encode_head,
    encode_header,
    encode_section,
)
from holdfast.wire.car_index import INDEX_SORTED, decode_index, encode_index
from holdfast.wire.car_v2 import HEAD_SIZE, CarV2Head, decode_v2_head, encode_v2_head
from holdfast.wire.cid import Cid, make_cid, parse_cid_text, raw_cid
from holdfast.wire.dag_cbor import DEPTH_MAX, Link, decode_cbor, encode_cbor
from holdfast.wire.multihash import IDENTITY, Multihash
from holdfast.wire.varint import encode_varint

ONE_BYTE = bytes.fromhex(
    "3aa265726f6f747381d82a582500015512206e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617"
    "afa01d6776657273696f6e01"
    "25015512206e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d00"
)
"""What ipfs-car writes for a file of one zero byte."""
ONE_BYTE_INDEX = bytes.fromhex(
    "8108010000001200000000000000010000002800000028000000000000006e340b9cffb37a989ca544e6bb780a2c78"
    "901d3fb33738768511a30617afa01d3b00000000000000"
)


def test_a_car_of_one_byte_is_the_one_that_ipfs_car_writes() -> None:
    cid = raw_cid(b"\0")
    header = encode_header([cid])
    assert len(header) == HEADER_SIZE
    assert header + encode_section(cid, b"\0") == ONE_BYTE
    assert encode_head(cid, 1) == ONE_BYTE[HEADER_SIZE:-1]
    assert decode_head(ONE_BYTE, HEADER_SIZE) == (cid, 96, 97)


@pytest.mark.parametrize("step", [1, 7, 60, 1000])
def test_a_car_is_read_from_chunks_of_any_size(step: int) -> None:
    reader = CarReader(ONE_BYTE[at : at + step] for at in range(0, len(ONE_BYTE), step))
    assert reader.roots == [raw_cid(b"\0")]
    assert list(reader) == [(raw_cid(b"\0"), HEADER_SIZE, 96, b"\0")]


def test_a_car_that_is_cut_short_is_no_car() -> None:
    for size in range(len(ONE_BYTE)):
        if size != HEADER_SIZE:  # a CAR without blocks
            with pytest.raises(ProtocolError, match="offset"):
                list(CarReader([ONE_BYTE[:size]]))


def test_a_block_that_is_another_one_is_not_given() -> None:
    with pytest.raises(IntegrityError, match="offset 59"):
        list(CarReader([ONE_BYTE[:-1] + b"\1"]))
    assert [section.block for section in CarReader([ONE_BYTE[:-1] + b"\1"], check=False)] == [b"\1"]


def test_padding_is_taken_when_asked_and_only_zeros_are_padding() -> None:
    with pytest.raises(ProtocolError, match="no bytes at offset 97"):
        list(CarReader([ONE_BYTE + bytes(500)]))
    assert len(list(CarReader([ONE_BYTE, bytes(500), bytes(500)], padded=True))) == 1
    with pytest.raises(ProtocolError, match="no padding"):
        list(CarReader([ONE_BYTE, bytes(500), b"\0\1"], padded=True))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\0",
        encode_varint(HEADER_MAX + 1),
        encode_varint((1 << 63) - 1) + b"\xa2",
        b"\xff" * 20,
        bytes.fromhex("0aa16776657273696f6e02"),  # version 2
        bytes.fromhex("11a265726f6f7473806776657273696f6e02"),
        bytes.fromhex("11a265726f6f7473806776657273696f6ef5"),  # version true
        bytes.fromhex("12a265726f6f747381016776657273696f6e01"),  # a root that is a number
    ],
)
def test_what_begins_like_no_car_is_refused(start: bytes) -> None:
    with pytest.raises(ProtocolError):
        CarReader([start])


def test_a_section_that_claims_to_be_huge_is_refused_at_once() -> None:
    claimed = encode_varint((1 << 63) - 1) + raw_cid(b"")
    with pytest.raises(ProtocolError, match="at offset 59"):
        list(CarReader([ONE_BYTE[:HEADER_SIZE], claimed]))
    with pytest.raises(ProtocolError, match="at offset 2"):
        decode_head(b"??" + claimed, 2)


def test_a_car_of_version_2_says_where_its_parts_are() -> None:
    head = CarV2Head(HEAD_SIZE, 97, 148)
    raw = encode_v2_head(head)
    assert raw.hex() == (
        "0aa16776657273696f6e02" + "00" * 16 + "33" + "00" * 7 + "61" + "00" * 7 + "94" + "00" * 7
    )
    assert decode_v2_head(raw, 200) == head
    with pytest.raises(ProtocolError, match="cut short at offset 147"):
        decode_v2_head(raw, 147)


@pytest.mark.parametrize(
    "head", [(50, 97, 148), (51, 98, 148), (51, 1 << 63, 0), (51, 97, 20), (1 << 63, 1, 0)]
)
def test_parts_that_overlap_or_lie_out_of_reach_are_refused(head: tuple[int, int, int]) -> None:
    offset, size, index = head
    with pytest.raises(LocalProtocolError):
        encode_v2_head(CarV2Head(offset, size, index))
    raw = bytearray(encode_v2_head(CarV2Head(51, 0)))
    for at, number in zip((27, 35, 43), head, strict=True):
        raw[at : at + 8] = number.to_bytes(8, "little")
    with pytest.raises(ProtocolError, match="offset 27"):
        decode_v2_head(bytes(raw))


def test_an_index_is_the_one_that_go_car_writes() -> None:
    held = make_cid(0x55, Multihash(IDENTITY, b"held"))
    assert encode_index([(raw_cid(b"\0"), HEADER_SIZE), (held, 0)]) == ONE_BYTE_INDEX
    found = decode_index(ONE_BYTE_INDEX)
    assert found.find(raw_cid(b"\0")) == [HEADER_SIZE]
    assert found.find(raw_cid(b"\1")) == []
    assert len(found) == 1


def test_a_cid_that_holds_its_content_is_in_no_index() -> None:
    """Although another hash may have a digest of the same bytes."""
    rows = [(make_cid(0x55, Multihash(0x13, b"held")), 7)]
    held = make_cid(0x55, Multihash(IDENTITY, b"held"))
    for codec in (0x0401, INDEX_SORTED):
        assert decode_index(encode_index(rows, codec)).find(held) == []


def test_an_index_leads_to_every_place_of_a_block() -> None:
    rows = [(raw_cid(bytes((number % 50,))), 1000 - number) for number in range(100)]
    for codec in (0x0401, INDEX_SORTED):
        found = decode_index(encode_index(rows, codec))
        assert len(found) == 100
        for number in range(50):
            assert found.find(raw_cid(bytes((number,)))) == [950 - number, 1000 - number]


@pytest.mark.parametrize(
    ("at", "new"),
    [(2, b"\2"), (2, b"\xff\xff\xff\xff"), (6, b"\0"), (14, b"\0"), (18, b"\7"), (22, b"\x29"), (69, b"\xff")],
)  # fmt: skip
def test_an_index_that_does_not_fit_together_is_refused(at: int, new: bytes) -> None:
    raw = ONE_BYTE_INDEX[:at] + new + ONE_BYTE_INDEX[at + len(new) :]
    with pytest.raises(ProtocolError, match="offset"):
        decode_index(raw)


def test_an_index_of_another_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match="kind 0x1"):
        decode_index(b"\1" + ONE_BYTE_INDEX[2:])
    with pytest.raises(ProtocolError, match="more after"):
        decode_index(ONE_BYTE_INDEX + b"\0")


def test_maps_are_written_by_length_and_bytes_of_their_keys() -> None:
    assert encode_cbor({"bb": 1, "c": 2, "aaa": 3}).hex() == "a361630262626201636161610" + "3"
    hello = parse_cid_text("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e")
    assert encode_cbor({"link": Link(hello)}).hex() == (
        "a1646c696e6bd82a58250001551220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    )


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "1800",  # 0 in two bytes
        "190017",
        "1a0000ffff",
        "1b00000000ffffffff",
        "3800",
        "5f40ff",  # no length
        "9fff",
        "bfff",
        "f93c00",  # 16 bits
        "fa3f800000",
        "fb7ff8000000000000",  # NaN
        "fb7ff0000000000000",
        "f7",  # undefined
        "f800",
        "e0",
        "ff",
        "c001",  # another tag
        "d82a4100",
        "d82a4101",
        "d82a4001",
        "d82a5825010155" + "00" * 34,
        "a2616201616101",  # out of order
        "a2616101616101",  # twice
        "a2626161016162" + "01",
        "a10101",  # a key that is a number
        "61ff",  # no UTF-8
        "63edb080",
        "0000",  # more after it
        "9bffffffffffffffff",
        "9b7fffffffffffffff00",
        "bb7fffffffffffffff",
        "5b7fffffffffffffff00",
        "1c",
        "81" * (DEPTH_MAX + 2) + "00",
    ],
)
def test_what_we_would_not_write_we_do_not_read(raw: str) -> None:
    with pytest.raises(ProtocolError, match="at offset"):
        decode_cbor(bytes.fromhex(raw))


def test_what_has_no_one_form_is_not_written() -> None:
    deep: list[object] = []
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    for value in (float("nan"), float("inf"), 1 << 64, -(1 << 64) - 1, "\ud800", {1: 2}, {1}, deep):
        with pytest.raises(LocalProtocolError):
            encode_cbor(value)  # type: ignore[arg-type]


def test_a_link_in_a_header_may_be_of_version_0() -> None:
    old = parse_cid_text("QmTB8BaCJdCH5H3k7GrxJsxgDNmNYGGR71C58ERkivXoj5")
    assert CarReader([encode_header([old, Cid(raw_cid(b""))])]).roots == [old, raw_cid(b"")]
    assert CarReader([encode_header([])]).roots == []
