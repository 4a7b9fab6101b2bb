"""CIDs, CARs and indexes are what independent implementations make of the same content."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from car_maker import CarMade, Leading, content, told

from holdfast.wire.car import HEADER_SIZE, CarReader, encode_head
from holdfast.wire.car_index import decode_index, encode_index
from holdfast.wire.car_v2 import HEAD_SIZE, CarV2Head, encode_v2_head
from holdfast.wire.cid import Cid, cid_text, raw_cid
from holdfast.wire.file_layout import FileBuilder, iter_blocks, plan_file
from holdfast.wire.folder_layout import Entry, build_folder, plan_folder
from holdfast.wire.tree_layout import plan_tree
from holdfast.wire.unixfs import Profile
from holdfast.wire.unixfs_folders import resolve

pytestmark = pytest.mark.shared

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def vectors() -> Any:
    shared = Path(os.environ.get("HOLDFAST_SHARED") or PROJECT.parent / "shared")
    file = shared / "fixtures" / "archive" / "vectors.json"
    if not file.is_file():
        pytest.skip(f"no golden file at {file}; set HOLDFAST_SHARED to the folder it is in")
    return json.loads(file.read_text(encoding="utf-8"))


def digest_of(chunks: Iterator[bytes]) -> str:
    hasher = sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def check_car(car: CarMade, root: Cid, case: Any) -> None:
    """The CAR and its version 2 are, byte for byte, the ones told; both read back."""
    assert (len(car.blocks), car.size) == (case["blocks"], case["car_v1_len"])
    assert digest_of(car.chunks(root)) == case["car_v1_sha256"]
    head = encode_v2_head(CarV2Head(HEAD_SIZE, car.size, HEAD_SIZE + car.size))
    index = encode_index(car.rows)
    assert digest_of(iter([head, *car.chunks(root), index])) == case["car_v2_sha256"]
    reader = CarReader(car.chunks(root))
    assert reader.roots == [root]
    found = decode_index(index)
    for section, (cid, offset) in zip(reader, car.rows, strict=True):
        assert (section.cid, section.offset) == (cid, offset)
        assert offset in found.find(cid)


def test_files_have_the_cids_and_cars_of_others(vectors: Any) -> None:
    for case in vectors["files"]:
        car = CarMade()
        root, tsize = car.put_file(content(case["size"]))
        assert (cid_text(root), tsize) == (case["cid"], case["tsize"])
        plan = plan_file(case["size"])
        assert (plan.tsize, HEADER_SIZE + plan.length) == (tsize, car.size)
        check_car(car, root, case["car"])
        if small := case["car"].get("car_v1_hex"):
            assert b"".join(car.chunks(root)).hex() == small
        if small := case["car"].get("car_v2_index_hex"):
            assert encode_index(car.rows).hex() == small


def test_layouts_of_many_levels_have_the_cids_of_others(vectors: Any) -> None:
    for case in vectors["layouts"]:
        profile = Profile("small", case["chunk"], case["width"], 1 << 18)
        car = CarMade(profile)
        root, tsize = car.put_file(content(case["size"]))
        assert (cid_text(root), tsize) == (case["cid"], case["tsize"])
        planned = iter_blocks(case["size"], HEADER_SIZE, profile)
        for plan, (cid, offset), block in zip(planned, car.rows, car.blocks, strict=True):
            head = len(encode_head(cid, len(block.data)))
            assert (plan.offset, plan.head_size, plan.size) == (offset, head, len(block.data))


def test_a_tree_has_the_car_of_others(vectors: Any) -> None:
    entries = vectors["tree"]["entries"]
    tree: dict[bytes, bytes | Leading | None] = {}
    for entry in entries:
        made = {"dir": None, "file": content(entry.get("size", 0))}
        leading = Leading(entry.get("target", "").encode())
        tree[entry["path"].encode()] = made.get(entry["type"], leading)
    car = CarMade()
    root = car.put_tree(tree)
    assert cid_text(root) == vectors["tree"]["root"]
    check_car(car, root, vectors["tree"]["car"])
    plans = {plan.path.decode(): plan for plan in plan_tree(told(tree))}
    assert plans[""].offset + plans[""].length == car.size
    for entry in entries:
        assert plans[entry["path"]].tsize == entry["tsize"]
        found = resolve(root, [name.encode() for name in entry["path"].split("/") if name], car.get)
        assert cid_text(found.cid) == entry["cid"]


def test_a_folder_of_many_becomes_the_shards_of_others(vectors: Any) -> None:
    for case in vectors["hamt"]:
        leaf = content(case["content_size"])
        names = [(case["name_pattern"] % number).encode() for number in range(case["files"])]
        built = build_folder([Entry(name, raw_cid(leaf), len(leaf)) for name in names])
        assert cid_text(built.blocks[-1].cid) == case["root"]
        assert (built.tsize, len(built.blocks)) == (case["tsize"], case["nodes"])
        plan = plan_folder(names, [len(leaf)] * len(names))
        assert plan.block_sizes == [len(block.data) for block in built.blocks]
        assert plan.tsize == built.tsize


def keystream(seed: str) -> Callable[[int], bytes]:
    """The next bytes of kubo's test content."""
    pytest.importorskip("cryptography", reason="kubo's test content is a ChaCha20 key stream")
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    key = sha256(seed.encode()).digest()
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    return lambda size: stream.update(bytes(size))


def test_files_have_the_cids_that_kubo_publishes(vectors: Any) -> None:
    published = vectors["published"]["kubo_unixfs_v1_2025"]["cases"]
    cases = [(seed, size, cid) for seed, size, _, cid in published if seed.endswith("seed")]
    assert len(cases) == 4
    for seed in sorted({seed for seed, _, _ in cases}):
        wanted = {size: cid for name, size, cid in cases if name == seed}
        builders = {size: FileBuilder(size) for size in wanted}
        read = keystream(seed)
        for at in range(0, max(wanted), 1 << 20):
            chunk = read(1 << 20)
            for size, builder in builders.items():
                if at < size:
                    builder.add(sha256(chunk[: size - at]).digest())
        assert {size: cid_text(builder.root) for size, builder in builders.items()} == wanted


def test_a_folder_becomes_shards_where_kubo_says(vectors: Any) -> None:
    rule = vectors["published"]["kubo_unixfs_v1_2025"]["hamt"]
    for last, wanted in rule["cases"]:
        read = keystream(rule["seed"])
        names = [
            bytes(rule["alphabet"].encode()[byte % 39] for byte in read(size))
            for size in [rule["name_len"]] * (rule["files"] - 1) + [last]
        ]
        leaf = rule["content"].encode()
        built = build_folder([Entry(name, raw_cid(leaf), len(leaf)) for name in sorted(names)])
        assert cid_text(built.blocks[-1].cid) == wanted
