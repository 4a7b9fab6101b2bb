"""Archive formats come back as they went; garbage raises one kind of error, and costs little."""

from __future__ import annotations

import io
from collections.abc import Callable
from hashlib import sha256

import pytest
from car_maker import CarMade, Leading, Tree, told
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import HoldError, IntegrityError, NotFoundError, ProtocolError
from holdfast.wire.car import HEADER_SIZE, CarReader, decode_head, encode_header, encode_section
from holdfast.wire.car_index import INDEX_SORTED, MULTIHASH_INDEX_SORTED, decode_index, encode_index
from holdfast.wire.car_v2 import CarV2Head, decode_v2_head, encode_v2_head
from holdfast.wire.cid import (
    Cid,
    cid_text,
    dag_pb_cid,
    decode_cid,
    make_cid,
    parse_cid,
    parse_cid_text,
    raw_cid,
)
from holdfast.wire.dag_cbor import Link, decode_cbor, encode_cbor
from holdfast.wire.dag_pb import PbLink, PbNode, decode_node, encode_node
from holdfast.wire.dag_walk import Scope, iter_scope, parse_byte_range
from holdfast.wire.file_layout import FileBuilder, iter_blocks, plan_file
from holdfast.wire.multihash import Multihash, decode_multihash
from holdfast.wire.tree_layout import plan_tree
from holdfast.wire.unixfs import Kind, Mtime, Profile, Unixfs, decode_unixfs, encode_unixfs
from holdfast.wire.unixfs_folders import find_entry, iter_folder, iter_tree, resolve
from holdfast.wire.unixfs_reading import iter_file, load
from holdfast.wire.varint import VARINT_MAX, decode_varint, encode_varint

NUMBERS = st.integers(0, VARINT_MAX)
HASHES = st.builds(Multihash, st.just(0x12), st.binary(min_size=32, max_size=32)) | st.builds(
    Multihash, st.sampled_from([0, 0x13, 0xB220]), st.binary(min_size=1, max_size=128)
)
V0 = st.binary(min_size=32, max_size=32).map(lambda digest: Cid(b"\x12\x20" + digest))
CIDS = V0 | st.builds(make_cid, NUMBERS, HASHES)
LINKS = st.builds(PbLink, CIDS, st.none() | st.binary(max_size=20), st.none() | NUMBERS)
NODES = st.builds(PbNode, st.lists(LINKS, max_size=4), st.none() | st.binary(max_size=40))
MTIMES = st.builds(
    Mtime, st.integers(-(1 << 63), VARINT_MAX), st.none() | st.integers(0, 999_999_999)
)
MAYBE = st.none() | NUMBERS
MESSAGES = st.builds(
    Unixfs,
    st.sampled_from(Kind),
    st.none() | st.binary(max_size=40),
    MAYBE,
    st.lists(NUMBERS, max_size=4),
    MAYBE,
    MAYBE,
    MAYBE,
    st.none() | MTIMES,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=30)
    | st.text(max_size=30)
    | CIDS.map(Link),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=5), below, max_size=4)
    ),
    max_leaves=6,
)
ROWS = st.lists(st.tuples(CIDS, NUMBERS), max_size=12)
HEADS = st.builds(
    lambda offset, size, gap, flags: CarV2Head(51 + offset, size, 51 + offset + size + gap, flags),
    *[st.integers(0, 1 << 40)] * 3,
    st.binary(min_size=16, max_size=16),
)
PROFILES = st.builds(
    Profile, st.just("small"), st.integers(1, 9), st.integers(3, 6), st.integers(60, 400)
)
NAMES = st.text("ab.-é𝄞 ~", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
CONTENTS = st.binary(max_size=60)
LEAVES = CONTENTS | st.builds(Leading, st.binary(min_size=1, max_size=20)) | st.none()


def flat(tree: dict[str, object], above: bytes = b"") -> dict[bytes, bytes | Leading | None]:
    """A tree of dictionaries as paths; folders are told too."""
    found: dict[bytes, bytes | Leading | None] = {}
    for name, what in tree.items():
        path = above + name.encode()
        if isinstance(what, dict):
            found[path] = None
            found |= flat(what, path + b"/")
        else:
            found[path] = what  # type: ignore[assignment]
    return found


TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=8),
    lambda below: st.dictionaries(NAMES, LEAVES | below, max_size=5),
    max_leaves=5,
).map(flat)


def _again(data: bytes) -> bytes:
    index = decode_index(data)
    rows: list[tuple[bytes, int]] = []
    for code, digest, offset in index:
        code = 0x13 if code is None else code
        rows.append((b"\1\x55" + encode_varint(code) + encode_varint(len(digest)) + digest, offset))
    return encode_index(rows, index.codec)


CODECS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], bytes]]] = {
    "varint": (
        NUMBERS.map(encode_varint),
        lambda raw: encode_varint(decode_varint(raw)[0]) + raw[decode_varint(raw)[1] :],
    ),
    "multihash": (
        HASHES.map(Multihash.encode),
        lambda raw: decode_multihash(raw)[0].encode() + raw[decode_multihash(raw)[1] :],
    ),
    "cid": (CIDS, lambda raw: decode_cid(raw)[0] + raw[decode_cid(raw)[1] :]),
    "dag-pb": (NODES.map(encode_node), lambda raw: encode_node(decode_node(raw))),
    "unixfs": (MESSAGES.map(encode_unixfs), lambda raw: encode_unixfs(decode_unixfs(raw))),
    "dag-cbor": (VALUES.map(encode_cbor), lambda raw: encode_cbor(decode_cbor(raw))),
    "car v2": (
        HEADS.map(encode_v2_head),
        lambda raw: encode_v2_head(decode_v2_head(raw)) + raw[51:],
    ),
    "car": (
        st.lists(st.binary(max_size=20), max_size=4).map(
            lambda blocks: b"".join(
                [
                    encode_header([raw_cid(b"")] * (len(blocks) % 3)),
                    *(encode_section(raw_cid(block), block) for block in blocks),
                ]
            )
        ),
        lambda raw: b"".join(
            [
                encode_header((car := CarReader([raw])).roots),
                *(encode_section(section.cid, section.block) for section in car),
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None)
@given(data=st.data())
def test_what_was_written_is_read_and_written_again(name: str, data: st.DataObject) -> None:
    made, again = CODECS[name]
    raw = data.draw(made)
    assert again(raw) == raw


def mutated(raw: bytes, data: st.DataObject) -> bytes:
    """A few bytes changed, put in, or taken out."""
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed)))
        new = data.draw(st.binary(max_size=3))
        changed[at : at + data.draw(st.integers(0, 3))] = new
    return bytes(changed)


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None)
@given(data=st.data())
def test_what_was_changed_is_refused_or_has_this_one_form(name: str, data: st.DataObject) -> None:
    made, again = CODECS[name]
    raw = mutated(data.draw(made), data)
    try:
        found = again(raw)
    except (ProtocolError, IntegrityError):
        return
    assert found == raw


@pytest.mark.parametrize("name", CODECS)
@settings(deadline=None)
@given(raw=st.binary(max_size=100))
def test_garbage_raises_one_kind_of_error(name: str, raw: bytes) -> None:
    try:
        assert CODECS[name][1](raw) == raw
    except (ProtocolError, IntegrityError):
        return


@settings(deadline=None)
@given(rows=ROWS, codec=st.sampled_from([INDEX_SORTED, MULTIHASH_INDEX_SORTED]), data=st.data())
def test_an_index_leads_to_every_row_and_a_changed_one_is_refused_or_sorted(
    rows: list[tuple[bytes, int]], codec: int, data: st.DataObject
) -> None:
    raw = encode_index(rows, codec)
    found = decode_index(raw)
    for cid, offset in rows:
        code = parse_cid(cid).multihash.code
        assert (offset in found.find(cid)) == (code != 0)
    assert encode_index(data.draw(st.permutations(rows)), codec) == raw
    changed = mutated(raw, data)
    try:
        rows_found = sorted(map(str, decode_index(changed)))
    except ProtocolError:
        return
    codes = {code for code, _, _ in decode_index(changed)}
    if codes <= {0x12, 0x13, 0xB220, None}:
        try:
            again = _again(changed)
        except ProtocolError:
            return  # digests of a length that their hash does not have
        assert sorted(map(str, decode_index(again))) == rows_found
        assert len(again) == len(changed)


@settings(deadline=None)
@given(cid=CIDS, base=st.sampled_from("bzfu"))
def test_a_cid_comes_back_from_every_base(cid: Cid, base: str) -> None:
    assert parse_cid_text(cid_text(cid, base)) == cid


@settings(deadline=None)
@given(text=st.text(max_size=80))
def test_a_text_that_is_no_cid_and_no_range_is_refused(text: str) -> None:
    for parse in (parse_cid_text, parse_byte_range):
        try:
            parse(text)
        except ProtocolError:
            continue


@settings(deadline=None)
@given(size=st.integers(0, 1000), profile=PROFILES)
def test_a_file_is_planned_as_it_is_made(size: int, profile: Profile) -> None:
    builder = FileBuilder(size, profile)
    sizes: list[int] = []
    leaves = -(-size // profile.chunk_size) or 1
    for number in range(leaves):
        sizes.append(min(profile.chunk_size, size - number * profile.chunk_size))
        made = builder.add(sha256(b"%d" % number).digest())
        sizes += [len(block.data) for block in made]
    planned = list(iter_blocks(size, HEADER_SIZE, profile))
    assert [block.size for block in planned] == sizes
    plan = plan_file(size, profile)
    assert (plan.leaves, plan.leaves + plan.nodes) == (leaves, len(sizes))
    last = planned[-1]
    assert HEADER_SIZE + plan.length == last.offset + last.head_size + last.size
    assert plan.tsize == builder.tsize == sum(sizes)


@settings(deadline=None)
@given(tree=TREES, profile=PROFILES)
def test_a_tree_is_planned_as_it_is_made_and_comes_back(tree: Tree, profile: Profile) -> None:
    car = CarMade(profile)
    root = car.put_tree(tree)
    plans = list(plan_tree(told(tree), profile=profile))
    assert plans[-1].offset + plans[-1].length == car.size
    assert plans[-1].blocks == len(car.blocks)
    sections = {section.offset: section for section in CarReader(car.chunks(root))}
    for plan in plans:
        cid = resolve(root, plan.path.split(b"/") if plan.path else [], car.get).cid
        inside = [s for at, s in sections.items() if plan.offset <= at < plan.offset + plan.length]
        assert len(inside) == plan.blocks
        assert inside[-1].cid == cid
    found = {
        item.path: Leading(item.target)
        if item.kind is Kind.SYMLINK
        else b"".join(iter_file(item.cid, car.get))
        if item.kind is Kind.FILE
        else None
        for item in iter_tree(root, car.get)
    }
    assert found == dict(tree)


@settings(deadline=None)
@given(data=st.data(), profile=PROFILES, content=st.binary(min_size=1, max_size=400))
def test_every_range_of_a_file_is_read_from_its_blocks(
    data: st.DataObject, profile: Profile, content: bytes
) -> None:
    car = CarMade(profile._replace(chunk_size=profile.chunk_size * 8))
    root, _ = car.put_file(content)
    start, stop = data.draw(st.integers(0, 410)), data.draw(st.integers(0, 410))
    assert b"".join(iter_file(root, car.get, start, stop)) == content[start:stop]


@settings(deadline=None)
@given(tree=TREES, profile=PROFILES, data=st.data())
def test_no_block_that_anybody_made_breaks_a_reader(
    tree: Tree, profile: Profile, data: st.DataObject
) -> None:
    """Blocks are changed, and so are the CIDs by which their parents name them."""
    car = CarMade(profile)
    root = car.put_tree(tree)
    wanted = data.draw(st.sampled_from(sorted(car.by_cid)))
    block = mutated(car.by_cid[wanted], data)
    named = dag_pb_cid(block) if wanted[1] == 0x70 else raw_cid(block)
    blocks = {named: block}
    for cid, old in car.blocks:
        new = old.replace(wanted, named) if cid != wanted else block
        wanted_now = dag_pb_cid(new) if cid[1] == 0x70 else raw_cid(new)
        blocks[wanted_now] = new
        if cid == root:
            root = wanted_now
    sinks: list[Callable[[], object]] = [
        lambda: [list(iter_file(item.cid, get)) for item in iter_tree(root, get)],
        lambda: list(iter_folder(named, get)),
        lambda: list(iter_file(named, get, 3, 9)),
        lambda: find_entry(load(named, get), b"name", get),
        *(lambda scope=scope: list(iter_scope(root, [], get, scope)) for scope in Scope),
    ]

    def get(cid: Cid) -> bytes:
        if cid not in blocks:
            raise NotFoundError("no such block")
        return blocks[cid]

    for sink in sinks:
        try:
            sink()
        except (ProtocolError, IntegrityError, NotFoundError) as error:
            assert isinstance(error, HoldError)


@settings(deadline=None)
@given(raw=st.binary(max_size=300), step=st.integers(1, 50))
def test_a_car_of_garbage_is_refused_however_it_comes(raw: bytes, step: int) -> None:
    stream = io.BytesIO(raw)
    try:
        list(CarReader(iter(lambda: stream.read(step), b""), padded=True))
        decode_head(raw)
    except (ProtocolError, IntegrityError):
        return
