"""CIDs, multihashes and varints: golden values, and what is refused."""

from __future__ import annotations

import pytest

from holdfast.core.errors import IntegrityError, LocalProtocolError, ProtocolError
from holdfast.wire.cid import (
    DAG_PB,
    RAW,
    check_block,
    cid_text,
    decode_cid,
    make_cid,
    parse_cid,
    parse_cid_text,
    raw_cid,
)
from holdfast.wire.multihash import IDENTITY, SHA2_256, Multihash, decode_multihash
from holdfast.wire.varint import VARINT_MAX, decode_varint, encode_varint, varint_size

HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
FOO_LINK = "QmTB8BaCJdCH5H3k7GrxJsxgDNmNYGGR71C58ERkivXoj5"


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (1 << 20, "808040"),
        (1 << 31, "8080808008"),
        (VARINT_MAX, "ffffffffffffffff7f"),
    ],
)
def test_a_number_has_one_varint(number: int, written: str) -> None:
    raw = bytes.fromhex(written)
    assert encode_varint(number) == raw
    assert varint_size(number) == len(raw)
    assert decode_varint(b"?" + raw + b"?", 1) == (number, 1 + len(raw))


@pytest.mark.parametrize("raw", ["", "80", "8000", "ff00", "80808080808080808000", "ff" * 10])
def test_a_varint_that_is_padded_too_long_or_cut_short_is_refused(raw: str) -> None:
    with pytest.raises(ProtocolError, match="at offset 2"):
        decode_varint(b"ab" + bytes.fromhex(raw), 2)


@pytest.mark.parametrize("number", [-1, VARINT_MAX + 1])
def test_what_no_varint_can_say_is_not_written(number: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode_varint(number)


def test_a_raw_block_has_the_cid_that_others_give_it() -> None:
    cid = raw_cid(b"hello world")
    assert cid_text(cid) == HELLO
    assert parse_cid_text(HELLO) == cid
    assert decode_cid(b"--" + cid + b"--", 2) == (cid, 38)
    assert make_cid(RAW, parse_cid(cid).multihash) == cid


def test_version_0_is_read_and_written_as_such() -> None:
    cid = parse_cid_text(FOO_LINK)
    assert parse_cid(cid)[:2] == (0, DAG_PB)
    assert cid_text(cid) == FOO_LINK
    check_block(cid, bytes.fromhex("0a0708041203666f6f"))


@pytest.mark.parametrize("base", "bzfu")
def test_every_base_comes_back(base: str) -> None:
    cid = raw_cid(b"hello world")
    assert parse_cid_text(cid_text(cid, base)) == cid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        HELLO[:-1],
        HELLO.upper(),
        "b" + HELLO[1:].upper(),
        HELLO + "a",
        HELLO[:-1] + "f",  # bits after the last byte
        "z" + FOO_LINK,
        "f01 55" + "12" * 40,
        "Qm" + "0" * 44,
        "z" + "l" * 40,
        "k2k4r8jl",
        "b" * 4000,
        "é" * 46,
        "u____",
    ],
)
def test_what_is_no_cid_as_it_is_written_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_cid_text(text)


def test_a_block_is_held_against_its_cid() -> None:
    with pytest.raises(IntegrityError):
        check_block(raw_cid(b"one"), b"two")
    with pytest.raises(ProtocolError, match="0x1e"):
        check_block(make_cid(RAW, Multihash(0x1E, bytes(32))), b"one")


def test_content_may_be_its_own_digest() -> None:
    cid = make_cid(RAW, Multihash(IDENTITY, b"short"))
    check_block(cid, b"short")
    with pytest.raises(IntegrityError):
        check_block(cid, b"other")


@pytest.mark.parametrize(
    ("code", "size"), [(SHA2_256, 20), (SHA2_256, 0), (IDENTITY, 129), (0x1011, 33), (0x99, 0)]
)
def test_a_digest_of_a_wrong_length_is_neither_read_nor_written(code: int, size: int) -> None:
    raw = encode_varint(code) + encode_varint(size) + bytes(size)
    with pytest.raises(ProtocolError, match="at offset 0"):
        decode_multihash(raw)
    with pytest.raises(LocalProtocolError):
        Multihash(code, bytes(size)).encode()


@pytest.mark.parametrize(
    "raw",
    ["", "01", "0155", "02551200", "0155122000", "1220" + "00" * 31, "015522080011223344556677"],
)
def test_a_cid_that_is_cut_or_of_no_use_is_refused(raw: str) -> None:
    with pytest.raises(ProtocolError, match="at offset"):
        parse_cid(bytes.fromhex(raw))
