"""Pieces, aggregates and challenges are what other tools make of the same bytes: golden values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.kernels import every_kernel
from holdfast.wire import merkle
from holdfast.wire.aggregate import Aggregate, Inclusion, index_start, slots_of
from holdfast.wire.piece import UNIT_HEIGHT, PieceHasher, commit, read_piece
from holdfast.wire.possession import LeafProver, challenged_leaf, data_leaves, verify_leaf

pytestmark = pytest.mark.shared

_PERIOD = bytes((i * i + 7 * i) % 251 for i in range(251))


def generated(size: int) -> bytes:
    return (_PERIOD * (size // len(_PERIOD) + 1))[:size]


@pytest.fixture(scope="module")
def vectors(shared_folder: Path) -> Any:
    path = shared_folder / "fixtures" / "archive" / "vectors.json"
    if not path.is_file():
        pytest.skip(f"no golden values at {path}; set HOLDFAST_SHARED to the folder of fixtures")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", list(every_kernel()))
def test_pieces(vectors: Any, name: str) -> None:
    for case in vectors["files"]:
        if name == "hashlib" and case["size"] > 4_000_000:
            continue
        piece = commit(generated(case["size"]), every_kernel()[name])
        said = {
            "v1": piece.v1,
            "v2": piece.v2,
            "root": piece.root.hex(),
            "height": piece.height,
            "padding": piece.padding,
            "padded_size": piece.padded_size,
        }
        assert said == case["piece"]
        assert read_piece(case["piece"]["v2"]) == piece


def test_small_archives(vectors: Any) -> None:
    found = 0
    for case in vectors["files"]:
        car = case["car"]
        if car.get("car_v1_hex"):
            assert commit(bytes.fromhex(car["car_v1_hex"])).v1 == car["car_piece_v1"]
            found += 1
    assert found


def test_trees_of_zeros(vectors: Any) -> None:
    for height, root in vectors["zero_comm"].items():
        assert merkle.ZEROS[int(height)].hex() == root


def test_an_aggregate_and_its_proofs(vectors: Any) -> None:
    case = vectors["segments"]
    pieces = [commit(generated(segment["size"])) for segment in case["segments"]]
    made = Aggregate(pieces, case["padded_deal"])
    assert slots_of(case["padded_deal"]) == case["slots"]
    assert index_start(case["padded_deal"]) == case["index_start"]
    assert (made.piece.v1, made.piece.v2) == (case["deal_piece_v1"], case["deal_piece_v2"])
    for number, wanted in enumerate(case["segments"]):
        segment = made.segments[number]
        assert (segment.offset, segment.padded_size) == (wanted["offset"], wanted["padded"])
        assert segment.entry().hex() == wanted["entry"]
        sub, index = wanted["subtree_proof"], wanted["index_proof"]
        assert made.prove(number) == Inclusion(
            sub["index"], nodes(sub["path"]), index["index"], nodes(index["path"])
        )


def nodes(path: list[str]) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, path))


def test_challenges(vectors: Any) -> None:
    case = vectors["possession"]
    payload = generated(case["size"])
    hasher = PieceHasher(keep=UNIT_HEIGHT)
    hasher.update(payload)
    piece = hasher.digest()
    prover = LeafProver(piece, hasher.kept)
    assert (piece.root.hex(), piece.height) == (case["root"], case["height"])
    assert data_leaves(piece) == case["data_leaves"]
    for wanted in case["challenges"]:
        leaf = challenged_leaf(piece, bytes.fromhex(case["seed"]), wanted["j"])
        proof = prover.prove(leaf, payload)
        assert leaf == wanted["leaf_index"]
        assert proof.leaf.hex() == wanted["leaf"]
        assert proof.path == nodes(wanted["path"])
        verify_leaf(piece, leaf, proof)


def test_published_pieces(vectors: Any) -> None:
    for _, text in vectors["published"]["frc_0069"]:
        assert read_piece(text).v2 == text
