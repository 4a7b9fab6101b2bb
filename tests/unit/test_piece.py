"""Piece commitments and their CIDs, by values that others publish."""

from __future__ import annotations

import pytest

from holdfast.core.errors import HoldError, ProtocolError
from holdfast.wire import merkle, piece_cid
from holdfast.wire.piece import (
    PLAIN,
    SIZE_MAX,
    UNIT_HEIGHT,
    UNIT_SIZE,
    Piece,
    PieceHasher,
    commit,
    height_of,
    read_piece,
)

PUBLISHED = [
    (b"", "bafkzcibcp4bdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"),
    (bytes(127), "bafkzcibcaabdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"),
    (bytes(128), "bafkzcibcpybwiktap34inmaex4wbs6cghlq5i2j2yd2bb2zndn5ep7ralzphkdy"),
    (
        b"\0" * 127 + b"\1" * 127 + b"\2" * 127 + b"\3" * 127,
        "bafkzcibcaaces3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi",
    ),
]
ZEROS_32_GIB = "bafkzcibcaapao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq"


@pytest.mark.parametrize(("payload", "text"), PUBLISHED)
def test_published_pieces_are_ours(payload: bytes, text: str) -> None:
    piece = commit(payload)
    assert piece.v2 == text
    assert read_piece(text) == piece
    assert piece.size == len(payload)


def test_version_1_of_the_same_tree() -> None:
    assert commit(b"").v1 == "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy"
    assert commit(bytes(127)).v1 == commit(b"").v1


def test_a_sector_of_zeros_is_known_without_hashing_it() -> None:
    piece = Piece.of_root(merkle.ZEROS[30], 34_091_302_912)
    assert piece.v2 == ZEROS_32_GIB
    assert (piece.padded_size, piece.padding) == (32 << 30, 0)


@pytest.mark.parametrize(
    ("size", "height"), [(0, 2), (1, 2), (127, 2), (128, 3), (1_040_384, 15), (1_048_576, 16)]
)
def test_one_byte_over_a_power_doubles_the_tree(size: int, height: int) -> None:
    assert height_of(size) == height


def test_version_1_needs_the_padded_size() -> None:
    text = commit(bytes(127)).v1
    with pytest.raises(ProtocolError, match="not of that form"):
        read_piece(text)
    assert read_piece(text, 128) == commit(bytes(127))
    for wrong in (0, 64, 127, 129, -128, 1 << 70):
        with pytest.raises(ProtocolError):
            read_piece(text, wrong)


def test_a_padded_size_that_disagrees_is_refused() -> None:
    with pytest.raises(ProtocolError):
        read_piece(PUBLISHED[1][1], 256)


def test_a_piece_may_be_in_a_tree_that_is_higher_than_it_has_to_be() -> None:
    small = commit(b"x" * 100)
    root = merkle.node(small.root, merkle.ZEROS[2])
    text = piece_cid.to_text(piece_cid.write_v2(root, 3, 154))
    assert read_piece(text).size == 100


def mutations(cid: bytes) -> list[bytes]:
    return [
        cid[:-1],
        cid + b"\0",
        cid[:4] + bytes((cid[4] + 1,)) + cid[5:],
        cid[:-1] + b"\xff",
        b"",
        b"\1\x55\x12\x20" + bytes(32),
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_no_piece_cid_is_refused(version: int) -> None:
    piece = commit(b"abc")
    cid = piece_cid.from_text(piece.v1 if version == 1 else piece.v2)
    for wrong in mutations(cid):
        with pytest.raises(ProtocolError):
            piece_cid.read(wrong)


def test_a_cid_has_one_form_only() -> None:
    root = bytes(32)
    head = bytes.fromhex("01559120")
    long_padding = head + b"\x23" + b"\x80\x00" + b"\x02" + root
    too_high = head + b"\x22" + b"\x00" + bytes((51,)) + root
    too_low = head + b"\x22" + b"\x00" + bytes((1,)) + root
    all_padding = head + b"\x23" + b"\xfe\x01" + b"\x03" + root
    endless = head + b"\x2b" + b"\x80" * 10 + b"\x02" + root
    for wrong in (long_padding, too_high, too_low, all_padding, endless):
        with pytest.raises(ProtocolError):
            piece_cid.read(wrong)


@pytest.mark.parametrize(
    "text", ["", "b", "z" + "2" * 40, "B" + "A" * 61, "b" + "1" * 61, "b" + "a" * 10_000_000, "bab"]
)
def test_texts_that_are_none_are_refused_cheaply(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_piece(text)


def test_upper_case_and_stray_bits_are_another_form() -> None:
    text = commit(b"abc").v2
    other_last = text[:-1] + chr(ord(text[-1]) + 1)
    for wrong in (text.upper(), other_last + "a", " " + text, text + "\n"):
        with pytest.raises(HoldError):
            read_piece(wrong)


def test_rows_are_kept_at_the_height_that_was_asked_for() -> None:
    payload = bytes(range(256)) * 254 * 5 + b"more"
    hasher = PieceHasher(keep=UNIT_HEIGHT)
    hasher.update(payload)
    piece = hasher.digest()
    assert len(hasher.kept) == 32 * -(-len(payload) // UNIT_SIZE)
    rows = merkle.rows_above(hasher.kept, UNIT_HEIGHT, piece.height)
    assert rows[-1] == piece.root
    higher = PieceHasher(keep=UNIT_HEIGHT + 1)
    higher.update(payload)
    assert higher.digest() == piece
    assert higher.kept == rows[1]


def test_roots_made_elsewhere_are_taken_in() -> None:
    payload = bytes(range(251)) * 1000
    whole = len(payload) - len(payload) % UNIT_SIZE
    hasher = PieceHasher()
    hasher.update(payload[:UNIT_SIZE])
    hasher.add_roots(PLAIN.roots(payload[UNIT_SIZE:whole]), whole - UNIT_SIZE)
    hasher.update(payload[whole:])
    assert hasher.digest() == commit(payload)


def test_a_very_long_payload_keeps_little() -> None:
    hasher = PieceHasher()
    units = 3_000_000
    for _ in range(units // 1000):
        hasher.add_roots(merkle.ZEROS[UNIT_HEIGHT] * 1000, UNIT_SIZE * 1000)
    assert sum(map(len, hasher._rows)) < 32 * 1024 * 30
    assert hasher.digest().root == merkle.ZEROS[height_of(UNIT_SIZE * units)]


def test_no_piece_is_larger_than_the_highest_tree() -> None:
    with pytest.raises(AssertionError):
        height_of(SIZE_MAX + 1)
