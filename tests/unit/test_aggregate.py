"""Many pieces in one, and the proofs that they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.core.errors import IntegrityError, ProtocolError, UsageError
from holdfast.wire.aggregate import (
    Aggregate,
    Inclusion,
    index_start,
    read_entry,
    read_index,
    slots_of,
    verify,
)
from holdfast.wire.piece import Piece, commit

SIZES = (100, 1016, 5000, 60_000)
MIB = 1 << 20
FIRST_ENTRY = (
    "ffdc2bbc5b0cd98db16f6019bf93f23eb58e9e47b1203cbe5428185b9b4d1c2e"
    "00000000000000008000000000000000538e204804933a6594c551d73a69981d"
)


def generated(size: int) -> bytes:
    return (bytes((i * i + 7 * i) % 251 for i in range(251)) * (size // 251 + 1))[:size]


PIECES = [commit(generated(size)) for size in SIZES]
AGGREGATE = Aggregate(PIECES, MIB)


def test_four_pieces_in_a_mebibyte_are_what_others_make_of_them() -> None:
    wanted = "bafkzcibcaah7k65g2cslxzpxfehwv2klp3cbiqxlfkvu4m4rfoplazzevdtnyfi"
    assert AGGREGATE.piece.v2 == wanted
    assert [segment.offset for segment in AGGREGATE.segments] == [0, 1024, 8192, 65536]
    assert AGGREGATE.segments[0].entry().hex() == FIRST_ENTRY


def test_the_payload_laid_out_has_the_same_commitment() -> None:
    payload = bytearray(MIB // 128 * 127)
    for segment, size in zip(AGGREGATE.segments, SIZES, strict=True):
        payload[segment.payload_start : segment.payload_start + size] = generated(size)
    start, index = AGGREGATE.index_payload()
    payload[start:] = index
    assert commit(payload) == AGGREGATE.piece


def test_the_index_reads_back() -> None:
    _, index = AGGREGATE.index_payload()
    assert read_index(index, MIB) == AGGREGATE.segments


def test_an_entry_that_was_touched_does_not_count() -> None:
    entry = AGGREGATE.segments[1].entry()
    for place in range(len(entry)):
        touched = bytearray(entry)
        touched[place] ^= 1
        assert read_entry(bytes(touched)) is None
    assert read_entry(bytes(64)) is None


def test_an_index_of_another_size_is_refused() -> None:
    for size in (0, 1, 126, 507, 509, 100_000):
        with pytest.raises(ProtocolError):
            read_index(bytes(size), MIB)


def test_slots_by_size() -> None:
    assert (slots_of(MIB), index_start(MIB)) == (8, 1_048_064)
    assert slots_of(32 << 30) == 262_144
    assert index_start(32 << 30) == (32 << 30) - (16 << 20)
    with pytest.raises(ProtocolError):
        index_start(256)


def test_pieces_that_do_not_fit_are_refused() -> None:
    half = Piece(bytes(32), 14, 0)
    assert half.padded_size == MIB // 2
    Aggregate([half], MIB)
    with pytest.raises(UsageError):
        Aggregate([half, half], MIB)
    with pytest.raises(UsageError):
        Aggregate([PIECES[0]] * 9, MIB)


@pytest.mark.parametrize("number", range(len(SIZES)))
def test_a_proof_tells_where_a_piece_lies(number: int) -> None:
    proof = AGGREGATE.prove(number)
    assert verify(proof, PIECES[number], AGGREGATE.piece) == AGGREGATE.segments[number]


def flipped(path: tuple[bytes, ...], place: int) -> tuple[bytes, ...]:
    node = bytes((path[place][0] ^ 1,)) + path[place][1:]
    return (*path[:place], node, *path[place + 1 :])


def test_proofs_that_were_touched_are_refused() -> None:
    proof, part, whole = AGGREGATE.prove(2), PIECES[2], AGGREGATE.piece
    for place in range(len(proof.path)):
        with pytest.raises(IntegrityError):
            verify(replace(proof, path=flipped(proof.path, place)), part, whole)
    for place in range(len(proof.entry_path)):
        touched = replace(proof, entry_path=flipped(proof.entry_path, place))
        with pytest.raises(IntegrityError):
            verify(touched, part, whole)
    wrong: list[Inclusion] = [
        replace(proof, index=0),
        replace(proof, index=-1),
        replace(proof, index=1 << 60),
        replace(proof, entry_index=proof.entry_index + 1),
        replace(proof, entry_index=0),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=()),
        replace(proof, entry_path=(*proof.entry_path, bytes(32))),
        replace(proof, path=(b"short", *proof.path[1:])),
    ]
    for touched in wrong:
        with pytest.raises((IntegrityError, ProtocolError)):
            verify(touched, part, whole)


def test_a_proof_is_of_one_piece_in_one_other() -> None:
    proof = AGGREGATE.prove(2)
    for part, whole in ((PIECES[1], AGGREGATE.piece), (PIECES[2], PIECES[2]._replace(height=15))):
        with pytest.raises((IntegrityError, ProtocolError)):
            verify(proof, part, whole)


def test_a_piece_that_no_entry_names_is_not_counted() -> None:
    hidden = Aggregate(PIECES[:3], MIB)
    other = Aggregate(PIECES, MIB).prove(3)
    with pytest.raises(IntegrityError):
        verify(other, PIECES[3], hidden.piece)


def test_a_sector_of_many_pieces_is_known_by_its_roots_alone() -> None:
    piece = Piece(commit(b"x").root, 18, 0)
    sector = Aggregate([piece] * 2000, 32 << 30)
    assert verify(sector.prove(1999), piece, sector.piece).offset == 1999 << 23
