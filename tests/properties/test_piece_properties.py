"""Pieces: any size in any parts by any kernel; garbage is refused and costs nothing."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IntegrityError, ProtocolError
from holdfast.kernel.compiled import HARDWARE
from holdfast.kernel.lanes import LANES, CopyLanes, Md5Hashes, Sha256Hashes
from holdfast.testing.kernels import compiled_library, every_kernel
from holdfast.wire import aggregate, fr32, piece_cid
from holdfast.wire.piece import PieceHasher, commit, read_piece
from holdfast.wire.possession import LeafProof, LeafProver, data_leaves, verify_leaf

POOL = hashlib.shake_256(b"pieces").digest(3 << 20)
EDGES = (
    0,
    1,
    126,
    127,
    128,
    254,
    255,
    65_023,
    65_024,
    65_025,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
)
SIZES = st.sampled_from(EDGES) | st.integers(0, 300_000)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted(min(place, len(data)) for place in places)
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=6))
def test_padding_in_parts_is_padding_at_once(payload: bytes, places: list[int]) -> None:
    padder, unpadder = fr32.Padder(), fr32.Unpadder()
    padded = b"".join([*map(padder.feed, cut(payload, places)), padder.finish()])
    assert padded == fr32.pad(payload + bytes(-len(payload) % 127))
    back = b"".join(map(unpadder.feed, cut(padded, places)))
    unpadder.finish()
    assert back == payload + bytes(-len(payload) % 127)


@pytest.mark.parametrize("name", [name for name in every_kernel() if name != "hashlib"])
@settings(max_examples=40, deadline=None)
@given(
    size=SIZES,
    start=st.integers(0, 1 << 20),
    places=st.lists(
        st.integers(0, 1 << 20) | st.integers(0, 1 << 14).map((64).__mul__), max_size=5
    ),
    by_md5=st.booleans(),
)
def test_kernels_agree_on_any_size_in_any_parts(
    name: str, size: int, start: int, places: list[int], by_md5: bool
) -> None:
    payload = POOL[start : start + size]
    kernel, hasher = every_kernel()[name], PieceHasher(every_kernel()[name])
    whole = kernel.running_md5() if by_md5 else kernel.running()
    expected = hashlib.md5(usedforsecurity=False) if by_md5 else hashlib.sha256()
    for number, part in enumerate(cut(payload, places)):
        if number % 2:
            hasher.update(part)
            continue
        expected.update(part)
        assert hasher.update_beside(part, part, whole) == hashlib.sha256(part).digest()
    assert whole.digest() == expected.digest()
    assert hasher.digest() == commit(payload)


@settings(max_examples=60, deadline=None)
@given(st.lists(SIZES, max_size=40), st.integers(1, LANES), st.integers(0, 2))
def test_hashes_of_files_copied_side_by_side_are_right(
    sizes: list[int], lanes: int, kind: int
) -> None:
    library = compiled_library()
    if library is None or kind not in library.kinds:
        return
    algorithm = "sha256" if kind == HARDWARE else "md5"
    copier = CopyLanes(Sha256Hashes(library) if kind == HARDWARE else Md5Hashes(library, kind))
    with ExitStack() as open_files:
        waiting, running = list(enumerate(sizes)), {}
        while waiting or running:
            for lane in sorted(set(range(lanes)) - set(running)):
                if waiting:
                    number, size = waiting.pop(0)
                    data = POOL[number * 1000 :][:size]
                    source, target = (open_files.enter_context(TemporaryFile()) for _ in "12")
                    source.write(data)
                    source.seek(0)
                    copier.begin(lane, source.fileno(), target.fileno())
                    running[lane] = data, target
            copier.step()
            for lane, (data, target) in list(running.items()):
                if copier.taken(lane).is_end:
                    assert copier.end(lane) == hashlib.new(algorithm, data).digest()
                    target.seek(0)
                    assert target.read() == data
                    del running[lane]


@given(st.integers(0, 200_000))
@settings(max_examples=20, deadline=None)
def test_a_cid_read_is_the_piece_written(size: int) -> None:
    piece = commit(POOL[:size])
    assert read_piece(piece.v2) == piece
    assert read_piece(piece.v1, piece.padded_size).root == piece.root


def refused_or(check: Callable[[], object]) -> object:
    try:
        return check()
    except ProtocolError:
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_cid_or_are_refused(data: bytes) -> None:
    for cid in (data, bytes.fromhex("01559120") + data, bytes.fromhex("0181e203922020") + data):
        found = refused_or(lambda cid=cid: piece_cid.read(cid))  # type: ignore[misc]
        if isinstance(found, piece_cid.ParsedPieceCid) and found.height is not None:
            assert found.padding is not None
            assert piece_cid.write_v2(found.root, found.height, found.padding) == cid


@given(st.text(max_size=200) | st.text("abcdefghijklmnopqrstuvwxyz234567", max_size=130))
def test_any_text_is_a_cid_or_is_refused(text: str) -> None:
    for each in (text, "b" + text):
        refused_or(lambda each=each: read_piece(each))  # type: ignore[misc]


@given(st.binary(max_size=700), st.sampled_from([1 << 10, 1 << 11, 1 << 20, 1 << 35]))
def test_any_bytes_are_an_index_or_are_refused(data: bytes, padded: int) -> None:
    refused_or(lambda: aggregate.read_index(data, padded))
    filled = data[:508].ljust(508, b"\0")
    for segment in aggregate.read_index(filled, 1 << 20):
        assert segment.offset + segment.padded_size <= 1 << 20


@given(st.binary(min_size=64, max_size=64))
def test_any_entry_is_read_or_does_not_count(entry: bytes) -> None:
    aggregate.read_entry(entry)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4000), st.data())
def test_a_proof_with_any_flipped_bit_is_refused(size: int, data: st.DataObject) -> None:
    payload = POOL[:size]
    piece = commit(payload)
    leaf = data.draw(st.integers(0, data_leaves(piece) - 1))
    proof = LeafProver(piece, b"").prove(leaf, payload).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(proof) - 1))
    touched = bytearray(proof)
    touched[bit // 8] ^= 1 << bit % 8
    with pytest.raises((IntegrityError, ProtocolError)):
        verify_leaf(piece, leaf, LeafProof.from_bytes(bytes(touched), piece))


def test_garbage_takes_no_memory() -> None:
    long_text = "b" + "a" * 5_000_000
    long_bytes = bytes(5_000_000)
    piece = commit(b"abc")
    tracemalloc.start()
    try:
        refused_or(lambda: read_piece(long_text))
        refused_or(lambda: piece_cid.read(bytes.fromhex("01559120") + b"\xff" * 8 + b"\x7f" * 40))
        refused_or(lambda: aggregate.read_index(long_bytes, 1 << 55))
        refused_or(lambda: LeafProof.from_bytes(long_bytes, piece))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
