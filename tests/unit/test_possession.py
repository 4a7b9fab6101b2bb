"""Who can prove that a piece is still there, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from holdfast.core.errors import IntegrityError, ProtocolError
from holdfast.wire.piece import PLAIN, UNIT_HEIGHT, Piece, PieceHasher, commit
from holdfast.wire.possession import (
    POLL_BLOCK,
    LeafProof,
    LeafProver,
    Poll,
    PollHasher,
    VoteTree,
    challenged_leaf,
    data_leaves,
    differing_blocks,
    verify_leaf,
)

SEED = bytes(range(32))


def generated(size: int) -> bytes:
    return (bytes((i * i + 7 * i) % 251 for i in range(251)) * (size // 251 + 1))[:size]


def prover_of(payload: bytes) -> tuple[Piece, LeafProver]:
    hasher = PieceHasher(keep=UNIT_HEIGHT)
    hasher.update(payload)
    piece = hasher.digest()
    return piece, LeafProver(piece, hasher.kept)


@pytest.mark.parametrize("size", [1, 127, 5000, 32_512, 32_513, 65_024, 65_025, 400_000])
def test_every_leaf_asked_for_can_be_proved(size: int) -> None:
    payload = generated(size)
    piece, prover = prover_of(payload)
    for number in range(12):
        leaf = challenged_leaf(piece, SEED, number)
        start, stop = prover.unit_of(leaf)
        proof = prover.prove(leaf, payload[start:stop])
        verify_leaf(piece, leaf, proof)
        assert LeafProof.from_bytes(proof.to_bytes(), piece) == proof


def test_known_challenges_ask_for_known_leaves() -> None:
    piece, _ = prover_of(generated(5000))
    assert data_leaves(piece) == 158
    assert [challenged_leaf(piece, SEED, n) for n in range(4)] == [157, 3, 120, 62]


def test_proofs_that_were_touched_are_refused() -> None:
    payload = generated(100_000)
    piece, prover = prover_of(payload)
    leaf = challenged_leaf(piece, SEED, 1)
    start, stop = prover.unit_of(leaf)
    proof = prover.prove(leaf, payload[start:stop])
    whole = proof.to_bytes()
    for place in range(0, len(whole), 7):
        touched = bytearray(whole)
        touched[place] ^= 0x10
        with pytest.raises(IntegrityError):
            verify_leaf(piece, leaf, LeafProof.from_bytes(bytes(touched), piece))
    for index in (leaf ^ 1, leaf + 2):
        with pytest.raises((IntegrityError, ProtocolError)):
            verify_leaf(piece, index, proof)
    for index in (-1, data_leaves(piece), 1 << 80):
        with pytest.raises(ProtocolError):
            verify_leaf(piece, index, proof)
    for wrong in (
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, bytes(32))),
        replace(proof, leaf=proof.path[0] + proof.path[1]),
    ):
        with pytest.raises(ProtocolError):
            verify_leaf(piece, leaf, wrong)


def test_a_node_above_does_not_pass_for_a_leaf() -> None:
    payload = generated(5000)
    piece, prover = prover_of(payload)
    proof = prover.prove(0, payload)
    leaves = PLAIN.nodes(proof.leaf + proof.path[0])
    with pytest.raises(ProtocolError):
        verify_leaf(piece, 0, LeafProof(leaves, proof.path[1:]))


@pytest.mark.parametrize("size", [0, 1, 31, 32 * 8, 32 * 10, 10_000])
def test_bytes_of_another_length_are_no_proof(size: int) -> None:
    piece, _ = prover_of(generated(5000))
    with pytest.raises(ProtocolError):
        LeafProof.from_bytes(bytes(size), piece)


def test_payload_that_changed_proves_nothing() -> None:
    payload = generated(100_000)
    _, prover = prover_of(payload)
    start, stop = prover.unit_of(5)
    damaged = bytearray(payload[start:stop])
    damaged[-1] ^= 1
    with pytest.raises(IntegrityError):
        prover.prove(5, damaged)


def test_unit_roots_of_another_piece_are_refused() -> None:
    piece, _ = prover_of(generated(400_000))
    for roots in (b"", bytes(32), bytes(32 * 7)):
        with pytest.raises(IntegrityError):
            LeafProver(piece, roots)


def test_nobody_is_asked_for_a_leaf_of_nothing() -> None:
    with pytest.raises(ProtocolError):
        challenged_leaf(commit(b""), SEED, 0)
    with pytest.raises(ProtocolError):
        challenged_leaf(commit(b"x"), b"short", 0)


# polls

ASKER, VOTER = b"a" * 32, b"v" * 32
PAYLOAD = generated(5 * POLL_BLOCK + 17)
PIECE = Piece(b"\0" * 32, 19, (127 << 17) - len(PAYLOAD))
POLL = Poll(PIECE, ASKER, VOTER)


def votes(payload: bytes, poll: Poll = POLL, step: int = 700_001) -> VoteTree:
    hasher = PollHasher(poll)
    for start in range(0, len(payload), step):
        hasher.update(payload[start : start + step])
    return hasher.finish()


def asking(tree: VoteTree, asked: list[tuple[int, int]]) -> object:
    def ask(level: int, wanted: Sequence[int]) -> list[bytes]:
        asked.extend((level, index) for index in wanted)
        return [tree.vote(level, index) for index in wanted]

    return ask


def test_the_same_payload_votes_the_same_however_it_comes() -> None:
    assert votes(PAYLOAD).root == votes(PAYLOAD, step=1 << 20).root
    assert votes(PAYLOAD).root == votes(PAYLOAD, step=len(PAYLOAD)).root


def test_a_poll_cannot_be_answered_from_an_earlier_one() -> None:
    for other in (Poll(PIECE, VOTER, VOTER), Poll(PIECE, ASKER, ASKER)):
        assert votes(PAYLOAD, other).root != votes(PAYLOAD).root


@pytest.mark.parametrize("places", [[0], [3 * POLL_BLOCK], [len(PAYLOAD) - 1], [5, 4 * POLL_BLOCK]])
def test_a_flipped_bit_is_found_in_its_mebibyte(places: list[int]) -> None:
    damaged = bytearray(PAYLOAD)
    for place in places:
        damaged[place] ^= 1
    asked: list[tuple[int, int]] = []
    found = list(differing_blocks(votes(PAYLOAD), asking(votes(bytes(damaged)), asked)))  # type: ignore[arg-type]
    assert found == [place // POLL_BLOCK for place in places]
    assert len(asked) <= 1 + 2 * 3 * len(places)


def test_equal_votes_need_one_question() -> None:
    asked: list[tuple[int, int]] = []
    assert list(differing_blocks(votes(PAYLOAD), asking(votes(PAYLOAD), asked))) == []  # type: ignore[arg-type]
    assert asked == [(3, 0)]


def test_answers_that_contradict_each_other_are_refused() -> None:
    tree = votes(PAYLOAD)

    def ask(level: int, wanted: Sequence[int]) -> list[bytes]:
        return [bytes(32) if level == 3 else tree.vote(level, index) for index in wanted]

    with pytest.raises(ProtocolError):
        list(differing_blocks(tree, ask))


@pytest.mark.parametrize("answer", [[], [b"short"], [bytes(32), bytes(32)]])
def test_answers_of_another_form_are_refused(answer: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        list(differing_blocks(votes(PAYLOAD), lambda _level, _wanted: answer))


def test_less_payload_than_the_piece_has_is_no_vote() -> None:
    with pytest.raises(IntegrityError):
        votes(PAYLOAD[:-1])


def test_an_empty_payload_has_one_vote() -> None:
    tree = votes(b"", Poll(commit(b""), ASKER, VOTER))
    assert len(tree.rows) == 1
    with pytest.raises(ProtocolError):
        tree.vote(0, 1)
    with pytest.raises(ProtocolError):
        Poll(PIECE, b"", VOTER)
