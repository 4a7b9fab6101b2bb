"""UnixFS: golden blocks, reading by ranges and paths, and what hostile blocks come to."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest
from car_maker import CarMade, Leading, Tree, content, told

from holdfast.core.errors import IntegrityError, LocalProtocolError, NotFoundError, ProtocolError
from holdfast.wire.car import HEADER_SIZE, CarReader
from holdfast.wire.cid import Cid, cid_text, dag_pb_cid, make_cid, raw_cid
from holdfast.wire.dag_cbor import Link, encode_cbor
from holdfast.wire.dag_pb import decode_node, encode_link, join_node
from holdfast.wire.dag_walk import ByteRange, Scope, iter_scope, parse_byte_range
from holdfast.wire.file_layout import (
    LEAVES_MAX,
    Block,
    iter_blocks,
    leaf_at,
    leaf_offset,
    plan_file,
)
from holdfast.wire.folder_layout import Entry, build_folder, plan_folder
from holdfast.wire.multihash import IDENTITY, Multihash
from holdfast.wire.murmur3 import murmur3_x64_64
from holdfast.wire.tree_layout import TreeBuilder, TreeEntry, plan_tree
from holdfast.wire.unixfs import (
    FOLDER_DATA,
    PROFILE,
    Kind,
    Profile,
    Unixfs,
    decode_unixfs,
    encode_unixfs,
    shard_data,
    symlink_block,
)
from holdfast.wire.unixfs_folders import find_entry, iter_folder, iter_tree, resolve
from holdfast.wire.unixfs_reading import file_size, iter_file, load, symlink_target

SMALL = Profile("small", 4, 3, 200)
"""Files of many levels and folders of many shards, from little content."""

TREE: Tree = {
    b"README": content(3),
    b"empty": None,
    b"latest": Leading(b"sub-01/bold"),
    b"sub-01/bold": content(50),
    b"sub-01/events": b"",
    b"sub-01.txt": b"beside the folder of that name",
    b"\xc3\xbc": b"not ASCII",
    **{b"many/name-%03d" % number: b"%d" % number for number in range(300)},
}


def made(tree: Tree = TREE) -> tuple[CarMade, Cid]:
    car = CarMade(SMALL)
    return car, car.put_tree(tree)


class Counting:
    """Gives blocks, and remembers which were asked for."""

    def __init__(self, car: CarMade) -> None:
        self.car = car
        self.asked: list[Cid] = []

    def __call__(self, cid: Cid) -> bytes:
        self.asked.append(cid)
        return self.car.get(cid)


def put(blocks: dict[Cid, bytes], data: bytes) -> Cid:
    cid = dag_pb_cid(data)
    blocks[cid] = data
    return cid


def test_names_have_the_hash_that_others_give_them() -> None:
    assert f"{murmur3_x64_64(b'470.txt'):016x}" == "006e88df5847e67c"
    assert murmur3_x64_64(b"") == 0


def test_small_blocks_are_those_of_others() -> None:
    assert symlink_block(b"foo").hex() == "0a0708041203666f6f"
    folder = build_folder([])
    assert cid_text(folder.blocks[0].cid) == (
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    )
    one = build_folder([Entry(b"a", raw_cid(b"x"), 1)]).blocks[0]
    assert cid_text(one.cid) == "bafybeiafmzcm3ojrfhgr5kikbwcaqwwcktamef34f6mrjk7rc42nwls3m4"
    car = CarMade()
    root, tsize = car.put_file(content(1048577))
    assert cid_text(root) == "bafybeie7ie6zppwkivqfwx3hai3bwcr2emoepmvsyomudk4gcpwhhb35nq"
    assert (tsize, len(car.blocks[-1].data)) == (1048681, 104)


def test_a_folder_of_five_thousand_is_the_one_of_others() -> None:
    names = [b"sub-%06d_bold.nii.gz" % number for number in range(5000)]
    built = build_folder([Entry(name, raw_cid(b"\0"), 1) for name in names])
    assert len(built.blocks) == 413
    assert cid_text(built.blocks[-1].cid) == (
        "bafybeibcwk6qqi3xr5iuys2tw6gnyu3azywvhwceksdtdki4c4f4o2qime"
    )


@pytest.mark.parametrize("size", [0, 1, 4, 5, 12, 13, 36, 37, 40, 41, 108, 109, 1000])
def test_a_file_is_planned_as_it_is_made(size: int) -> None:
    car = CarMade(SMALL)
    root, tsize = car.put_file(content(size))
    plan = plan_file(size, SMALL)
    assert (plan.leaves + plan.nodes, plan.tsize) == (len(car.blocks), tsize)
    assert HEADER_SIZE + plan.length == car.size
    planned = list(iter_blocks(size, HEADER_SIZE, SMALL))
    assert [block.offset for block in planned] == [offset for _, offset in car.rows]
    assert [block.size for block in planned] == [len(block.data) for block in car.blocks]
    leaves = [block for block in planned if block.start is not None]
    for number, leaf in enumerate(leaves):
        assert HEADER_SIZE + leaf_offset(size, number, SMALL) == leaf.offset
        for distance in range(leaf.offset - HEADER_SIZE, leaf.offset - HEADER_SIZE + leaf.size):
            assert leaf_at(size, distance, SMALL) == number
        rest = list(iter_blocks(size, HEADER_SIZE, SMALL, first_leaf=number))
        assert rest == planned[planned.index(leaf) :]
    assert b"".join(iter_file(root, car.get)) == content(size)


def test_a_node_follows_the_first_leaf_after_its_own() -> None:
    kinds = [block.start is None for block in iter_blocks(7 * 4, 0, SMALL)]
    assert kinds == [False] * 4 + [True] + [False] * 3 + [True] * 3


def test_a_huge_file_is_planned_at_once_and_an_impossible_one_is_refused() -> None:
    plan = plan_file(1 << 50)
    assert plan.leaves == 1 << 30
    assert plan.nodes == (1 << 20) + (1 << 10) + 1
    assert leaf_offset(1 << 50, (1 << 30) - 1) < plan.length
    for size in (-1, (LEAVES_MAX << 20) + 1):
        with pytest.raises(LocalProtocolError):
            plan_file(size)


def test_a_tree_is_planned_as_it_is_made_and_every_folder_is_one_range() -> None:
    car, root = made()
    plans = {plan.path: plan for plan in plan_tree(told(TREE), profile=SMALL)}
    assert plans[b""].offset == HEADER_SIZE
    assert plans[b""].offset + plans[b""].length == car.size
    assert plans[b""].blocks == len(car.blocks)
    offsets = dict(car.rows)
    for path, plan in plans.items():
        cid = resolve(root, path.split(b"/") if path else [], car.get).cid
        assert plan.offset <= offsets[cid] < plan.offset + plan.length
    inside = [plans[path] for path in plans if path.startswith(b"many/")]
    many = plans[b"many"]
    assert min(plan.offset for plan in inside) == many.offset
    assert many.offset + many.length > max(plan.offset + plan.length for plan in inside)
    assert many.blocks > 301


@pytest.mark.parametrize(
    "paths",
    [
        [b"b", b"a"],
        [b"a", b"a"],
        [b"a", b"a/b"],
        [b"a/b", b"a"],
        [b"a/b", b"b", b"a/c"],
        [b"/a"],
        [b"a//b"],
        [b"a/"],
        [b""],
        [b".."],
        [b"a/../b"],
        [b"."],
        [b"nul\0"],
        [b"x" * 2000],
        [b"/".join([b"d"] * 300)],
        [b"sub-01.txt", b"sub-01/x"],
    ],
)
def test_paths_that_cannot_be_in_a_tree_are_refused(paths: list[bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        list(plan_tree([TreeEntry(path, Kind.FILE, 1) for path in paths]))
    with pytest.raises(LocalProtocolError):
        builder_of(paths)


def builder_of(paths: list[bytes]) -> None:
    builder = TreeBuilder()
    for path in paths:
        builder.reach(path)
        builder.add(raw_cid(b""), 0)
    builder.finish()


ONE_HASH = [
    b"collides-6455453#\xd8\xaeCE\xc5\xbc>n|he\xdf\xb2l@",
    b"collides-with-one-other-name-000",
]
"""Two names whose hashes are the same, as anybody can make them."""


def test_two_names_of_one_hash_can_be_in_a_small_folder_but_not_in_shards() -> None:
    assert len(set(map(murmur3_x64_64, ONE_HASH))) == 1
    names = sorted([*ONE_HASH, b"a", b"b", b"c"])
    assert len(plan_folder(names, [1] * 5).block_sizes) == 1
    with pytest.raises(LocalProtocolError, match="one hash"):
        plan_folder(names, [1] * 5, SMALL)
    with pytest.raises(LocalProtocolError, match="one hash"):
        build_folder([Entry(name, raw_cid(b""), 0) for name in names], SMALL)


def test_what_was_put_in_is_what_comes_out() -> None:
    car, root = made()
    found: dict[bytes, bytes | Leading | None] = {}
    for item in iter_tree(root, car.get):
        if item.kind is Kind.FILE:
            found[item.path] = b"".join(iter_file(item.cid, car.get))
        else:
            found[item.path] = Leading(item.target) if item.kind is Kind.SYMLINK else None
    assert found == {**TREE, b"sub-01": None, b"many": None}


def test_a_name_is_found_by_few_shards() -> None:
    car, root = made()
    many = resolve(root, [b"many"], car.get).cid
    shards = sum(1 for _ in iter_scope(many, [], car.get, Scope.ENTITY))
    assert shards > 20
    for number in range(300):
        get = Counting(car)
        entry, trail = find_entry(load(many, get), b"name-%03d" % number, get)
        assert entry is not None and entry.cid == raw_cid(b"%d" % number)
        assert [block.cid for block in trail] == get.asked
        assert len(trail) <= 3
    assert find_entry(load(many, car.get), b"name-300", car.get)[0] is None
    assert find_entry(load(many, car.get), b"", car.get)[0] is None


@pytest.mark.parametrize(
    "names", [[b"none"], [b"README", b"x"], [b"latest", b"bold"], [b"many", b"x"], [b"x"] * 999]
)
def test_what_is_not_there_is_not_found(names: list[bytes]) -> None:
    car, root = made()
    with pytest.raises(NotFoundError):
        resolve(root, names, car.get)


def test_a_range_of_a_file_asks_for_no_more_than_it_needs() -> None:
    car = CarMade(SMALL)
    data = content(100)
    root, _ = car.put_file(data)
    for start in range(0, 102, 3):
        for stop in range(0, 110, 7):
            get = Counting(car)
            assert b"".join(iter_file(root, get, start, stop)) == data[start:stop]
            first, last = start // 4, (min(stop, 100) - 1) // 4
            leaves = sum(1 for cid in get.asked if cid[1] == 0x55)
            assert leaves == (last - first + 1 if start < min(stop, 100) else 0)
            assert get.asked[0] == root
    assert file_size(root, car.get) == 100


def test_a_walk_is_depth_first_and_without_repeats_unless_asked() -> None:
    tree: Tree = {b"a/one": b"same", b"b": b"same" * 3, b"c": b"same"}
    car, root = made(tree)
    every = [block.cid for block in iter_scope(root, [], car.get, repeats=True)]
    folder, file = (resolve(root, [name], car.get).cid for name in (b"a", b"b"))
    same = raw_cid(b"same")
    assert every == [root, folder, same, file, same, same, same, same]
    assert [block.cid for block in iter_scope(root, [], car.get)] == [root, folder, same, file]
    with pytest.raises(ProtocolError, match="more than 5 blocks"):
        list(iter_scope(root, [], car.get, repeats=True, blocks_max=5))


def test_a_scope_begins_with_what_proves_the_path() -> None:
    car, root = made()
    folder, file = (
        resolve(root, [b"sub-01", *rest], car.get).cid for rest in ([], [b"bold"])
    )  # fmt: skip

    def walked(scope: Scope, byte_range: ByteRange | None = None) -> list[Cid]:
        names = [b"sub-01", b"bold"]
        return [block.cid for block in iter_scope(root, names, car.get, scope, byte_range)]

    proof = [block.cid for block in resolve(root, [b"sub-01", b"bold"], car.get).trail]
    assert (proof[0], proof[-1]) == (root, folder)
    assert walked(Scope.BLOCK) == [*proof, file]
    assert walked(Scope.ENTITY) == walked(Scope.ALL)
    parts = walked(Scope.ALL, ByteRange(0, 0))[len(proof) :]
    assert (parts[0], parts[-1]) == (file, raw_cid(content(4)))
    assert walked(Scope.ALL, ByteRange(50, None)) == [*proof, file]
    assert walked(Scope.ALL, ByteRange(0, None)) == walked(Scope.ENTITY)


def test_a_folder_as_an_entity_is_all_its_shards_and_none_of_its_files() -> None:
    car, root = made()
    whole = list(iter_scope(root, [b"many"], car.get, Scope.ENTITY))
    assert {decode_unixfs(decode_node(block.data).data or b"").kind for block in whole} == {
        Kind.SHARD
    }
    blocks = dict(whole)
    many = resolve(root, [b"many"], blocks.__getitem__).cid
    assert len(list(iter_folder(many, blocks.__getitem__))) == 300
    assert list(iter_scope(root, [b"many"], car.get, Scope.ALL, ByteRange(0, 5))) == whole


def test_links_in_cbor_are_followed_and_a_block_in_its_cid_is_not_sent() -> None:
    held = make_cid(0x55, Multihash(IDENTITY, b"held"))
    value = encode_cbor({"b": [Link(held)], "a": Link(raw_cid(b"one"))})
    top = Cid(b"\1\x71\x12\x20" + sha256(value).digest())
    blocks = {top: value, raw_cid(b"one"): b"one"}
    walked = [block.cid for block in iter_scope(top, [], blocks.__getitem__)]
    assert walked == [top, raw_cid(b"one")]
    assert [block.cid for block in iter_scope(top, [], blocks.__getitem__, Scope.ENTITY)] == [top]
    assert b"".join(iter_file(held, blocks.__getitem__)) == b"held"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0:*", (0, 100)),
        ("-10:*", (90, 100)),
        ("5:5", (5, 6)),
        ("10:-10", (10, 91)),
        ("-1000:3", (0, 4)),
        ("200:*", (200, 200)),
        ("90:1000", (90, 100)),
        ("-5:-1", (95, 100)),
        ("60:-60", (60, 60)),
    ],
)
def test_ranges_of_bytes_are_inclusive_and_may_count_from_the_end(
    text: str, wanted: tuple[int, int]
) -> None:
    assert parse_byte_range(text).within(100) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "1", "*:1", "*:*", "5:4", "-1:-5", "1:2:3", "+1:2", "1:٣", "9" * 30 + ":*", "0x1:2"],
)
def test_what_is_no_range_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_byte_range(text)


def test_a_wrong_block_is_never_used() -> None:
    car, root = made()
    for wrong in car.by_cid:
        if wrong[1] == 0x70:
            blocks = {**car.by_cid, wrong: car.by_cid[wrong] + b"\0"}
            with pytest.raises(IntegrityError):
                list(iter_scope(root, [], blocks.__getitem__))


def file_block(links: list[tuple[Cid, int]], size: int, kind: Kind = Kind.FILE) -> bytes:
    message = Unixfs(kind, None, size, [part for _, part in links])
    return join_node([encode_link(cid, b"", 1) for cid, _ in links], encode_unixfs(message))


def test_a_file_that_is_not_what_it_claims_is_refused() -> None:
    blocks = {raw_cid(b"four"): b"four"}
    leaf = raw_cid(b"four")
    wrong = [
        file_block([(leaf, 5)], 5),  # the leaf is shorter
        file_block([(leaf, 4)], 5),  # the sum is another
        file_block([(leaf, 4), (leaf, 0)], 4),  # a link to nothing
        file_block([(leaf, 4)] * 1025, 4100),  # too wide
        file_block([(leaf, 4)], 4, Kind.FOLDER),
        file_block([(leaf, 4)], 4, Kind.SYMLINK),
        join_node([encode_link(leaf, b"", 4)], encode_unixfs(Unixfs(Kind.FILE, None, 4))),
        join_node([], b""),
        b"",
        b"\x12\x00",
    ]
    for data in wrong:
        with pytest.raises(ProtocolError):
            list(iter_file(put(blocks, data), blocks.__getitem__))


def test_a_file_deeper_than_any_is_refused_and_costs_no_memory() -> None:
    blocks = {raw_cid(b"x"): b"x"}
    cid, size = raw_cid(b"x"), 1
    for _ in range(6):
        size *= 1024
        cid = put(blocks, file_block([(cid, size // 1024)] * 1024, size))
    assert file_size(cid, blocks.__getitem__) == 1 << 60
    assert next(iter_file(cid, blocks.__getitem__)) == b"x"
    assert b"".join(iter_file(cid, blocks.__getitem__, 1 << 59, (1 << 59) + 3)) == b"xxx"
    for _ in range(3):
        cid = put(blocks, file_block([(cid, size)], size))
    with pytest.raises(ProtocolError, match="levels"):
        list(iter_file(cid, blocks.__getitem__))


def named(names: list[bytes]) -> bytes:
    return join_node([encode_link(raw_cid(b""), name, 0) for name in names], FOLDER_DATA)


@pytest.mark.parametrize(
    "names",
    [
        [b".."], [b"."], [b""], [b"a/b"], [b"/etc"], [b"a\0"], [b"\xff"], [b"a", b"a"],
        [b"b", b"a"], [b"x" * 1021],
    ],
)  # fmt: skip
def test_names_that_could_not_be_files_are_refused(names: list[bytes]) -> None:
    blocks: dict[Cid, bytes] = {}
    cid = put(blocks, named(names))
    for read in (iter_folder, iter_tree):
        with pytest.raises(ProtocolError, match="names in a folder"):
            list(read(cid, blocks.__getitem__))


def shard_of(links: list[tuple[int, bytes, Cid]]) -> bytes:
    used = 0
    for bucket, _, _ in links:
        used |= 1 << bucket
    return join_node(
        [encode_link(cid, b"%02X" % bucket + name, 0) for bucket, name, cid in links],
        shard_data(used),
    )


def hostile_shards() -> Iterator[bytes]:
    leaf = raw_cid(b"")
    where = murmur3_x64_64(b"name-1") >> 56
    assert where == 0xD0, "a digit that is a letter"
    yield shard_of([(where ^ 1, b"name-1", leaf)])  # where its hash does not put it
    yield shard_of([(where, b"name-1", leaf), (where, b"name-1", leaf)])
    yield shard_of([(where, b"a/b", leaf)])
    yield shard_of([(where, b"", leaf)])  # a shard that is a file
    yield join_node([encode_link(leaf, b"%02xname-1" % where, 0)], shard_data(1 << where))
    yield join_node([encode_link(leaf, b"name-1", 0)], shard_data(1 << where))
    yield join_node([], shard_data(1 << where))
    for message in (
        Unixfs(Kind.SHARD, b"\0\1", None, (), 0x22, 256),
        Unixfs(Kind.SHARD, b"\1" + bytes(32), None, (), 0x22, 256),
        Unixfs(Kind.SHARD, b"\1", None, (), 0x22, 16),
        Unixfs(Kind.SHARD, b"\1", None, (), 0x12, 256),
        Unixfs(Kind.SHARD, None, None, (), None, None),
    ):
        yield join_node([encode_link(leaf, b"00", 0)], encode_unixfs(message))


@pytest.mark.parametrize("data", list(hostile_shards()))
def test_a_shard_that_does_not_fit_together_is_refused(data: bytes) -> None:
    blocks = {raw_cid(b""): b""}
    with pytest.raises(ProtocolError):
        list(iter_folder(put(blocks, data), blocks.__getitem__))


def test_shards_that_lead_on_and_on_are_found_out() -> None:
    blocks: dict[Cid, bytes] = {}
    for last in ([], [(7, b"name", raw_cid(b""))]):
        cid = put(blocks, shard_of(last))
        for _ in range(12):
            cid = put(blocks, shard_of([(bucket, b"", cid) for bucket in range(256)]))
        with pytest.raises(ProtocolError):
            list(iter_folder(cid, blocks.__getitem__))


def test_a_tree_that_names_more_than_there_could_be_is_left() -> None:
    blocks: dict[Cid, bytes] = {}
    cid = put(blocks, join_node([], FOLDER_DATA))
    for _ in range(40):
        links = [encode_link(cid, name, 0) for name in (b"a", b"b")]
        cid = put(blocks, join_node(links, FOLDER_DATA))
    with pytest.raises(ProtocolError, match="too large"):
        for _ in iter_tree(cid, blocks.__getitem__, entries_max=1000):
            pass
    for _ in range(300):
        cid = put(blocks, join_node([encode_link(cid, b"a", 0)], FOLDER_DATA))
    with pytest.raises(ProtocolError, match="too deep"):
        list(iter_tree(cid, blocks.__getitem__))


def test_blocks_of_others_are_read() -> None:
    """Leaves in dag-pb, version 0, times, and a link without a name or size."""
    leaf = join_node([], encode_unixfs(Unixfs(Kind.FILE, b"four", 4)))
    old = Cid(dag_pb_cid(leaf)[2:])
    link = bytes.fromhex("12240a22") + old
    data = encode_unixfs(Unixfs(Kind.FILE, b"own", 7, [4], mode=0o644))
    top = link + b"\x0a" + bytes((len(data),)) + data
    blocks = {old: leaf, dag_pb_cid(top): top}
    assert b"".join(iter_file(dag_pb_cid(top), blocks.__getitem__)) == b"ownfour"
    assert b"".join(iter_file(dag_pb_cid(top), blocks.__getitem__, 2, 4)) == b"nf"


def test_sizes_that_a_faulty_tool_wrote_are_refused() -> None:
    """ipfs-unixfs 13.1.1 writes so for a file of 2 GiB."""
    with pytest.raises(ProtocolError, match="offset 4"):
        decode_unixfs(bytes.fromhex("0802180000000000"))


def test_what_no_tree_can_hold_is_refused() -> None:
    for kind, size in (
        (Kind.SHARD, 1),
        (Kind.FILE, -1),
        (Kind.SYMLINK, 0),
        (Kind.SYMLINK, 1 << 17),
    ):
        with pytest.raises(LocalProtocolError):
            list(plan_tree([TreeEntry(b"a", kind, size)]))
    for target in (b"", bytes(1 << 17)):
        with pytest.raises(LocalProtocolError):
            symlink_block(target)


def test_a_symlink_tells_its_target() -> None:
    data = symlink_block(b"../x")
    assert symlink_target(Block(dag_pb_cid(data), data)) == b"../x"
    with pytest.raises(ProtocolError):
        symlink_target(Block(dag_pb_cid(b"\x0a\x02\x08\x01"), b"\x0a\x02\x08\x01"))


def test_a_car_is_read_back_by_its_index_of_blocks() -> None:
    car, root = made()
    blocks = {section.cid: section.block for section in CarReader(car.chunks(root))}
    assert blocks == car.by_cid
    assert PROFILE.name == "unixfs-v1-2025"
