"""Git's formats come back as they went, and garbage raises one kind of error."""

from __future__ import annotations

import contextlib
import io
import struct

from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import ProtocolError
from holdfast.wire.gitindex import (
    CacheTree,
    IndexEntry,
    IndexView,
    StatFacts,
    encode_cache_tree,
    parse_cache_tree,
    write_index,
)
from holdfast.wire.gitobjects import (
    FILE_MODE,
    SHA1,
    SHA256,
    SYMLINK_MODE,
    TREE_MODE,
    Commit,
    ObjectFormat,
    Oid,
    encode_commit,
    encode_tree,
    hash_object,
    iter_tree,
    parse_commit,
)

FORMATS = st.sampled_from([SHA1, SHA256])
U32 = st.integers(0, 0xFFFFFFFF)
PATHS = st.binary(min_size=1, max_size=40).filter(lambda path: b"\0" not in path)
NAMES = PATHS.filter(lambda name: b"/" not in name and name not in (b".", b"..", b".git"))
LINES = st.binary(max_size=30).filter(lambda line: not {0, 10} & set(line))


def oids(fmt: ObjectFormat) -> st.SearchStrategy[Oid]:
    return st.binary(min_size=fmt.digest_size, max_size=fmt.digest_size).map(Oid)


def entries(fmt: ObjectFormat) -> st.SearchStrategy[IndexEntry]:
    return st.builds(
        IndexEntry,
        PATHS,
        U32,
        oids(fmt),
        st.builds(StatFacts, *[U32] * 9),
        st.integers(0, 3),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    )


def cache_trees(fmt: ObjectFormat) -> st.SearchStrategy[CacheTree]:
    def node(children: st.SearchStrategy[dict[bytes, CacheTree]]) -> st.SearchStrategy[CacheTree]:
        known = st.builds(CacheTree, st.integers(0, 2**31), oids(fmt), children)
        return known | st.builds(CacheTree, children=children)

    return st.recursive(
        node(st.just({})), lambda below: node(st.dictionaries(NAMES, below, max_size=4))
    )


def as_index(found: list[IndexEntry], fmt: ObjectFormat) -> bytes:
    out = io.BytesIO()
    write_index(out, fmt, None, [(entry.path, entry.encode()) for entry in found])
    return out.getvalue()


def place(entry: IndexEntry) -> tuple[bytes, int]:
    return entry.path, entry.stage


@given(st.data(), FORMATS)
def test_a_tree_comes_back(data: st.DataObject, fmt: ObjectFormat) -> None:
    modes = st.sampled_from([FILE_MODE, SYMLINK_MODE, TREE_MODE])
    wanted = data.draw(st.dictionaries(NAMES, st.tuples(modes, oids(fmt))))
    raw = encode_tree([(mode, name, oid) for name, (mode, oid) in wanted.items()])
    found = list(iter_tree(raw, fmt))
    assert {name: (mode, oid) for mode, name, oid in found} == wanted
    assert encode_tree(found[::-1]) == raw


@given(
    st.builds(
        Commit,
        oids(SHA1),
        st.lists(oids(SHA1)).map(tuple),
        LINES,
        LINES,
        st.binary().filter(lambda message: b"\0" not in message),
        st.none() | LINES,
        st.lists(
            st.tuples(
                st.sampled_from([b"gpgsig", b"mergetag"]),
                st.lists(LINES, min_size=1).map(b"\n".join),
            )
        ).map(tuple),
    )
)
def test_a_commit_comes_back(commit: Commit) -> None:
    raw = encode_commit(
        commit.tree,
        commit.parents,
        commit.author,
        commit.committer,
        commit.message,
        commit.encoding,
        commit.extra,
    )
    assert parse_commit(raw) == commit


@given(st.data(), FORMATS)
def test_an_index_comes_back(data: st.DataObject, fmt: ObjectFormat) -> None:
    wanted = data.draw(st.lists(entries(fmt), unique_by=place)).copy()
    wanted.sort(key=place)
    view = IndexView(as_index(wanted, fmt), fmt)
    assert list(view.iter_entries()) == wanted
    assert [view.raw(position) for position in range(len(view))] == [e.encode() for e in wanted]


@given(st.data())
def test_a_merge_is_what_a_dictionary_would_give(data: st.DataObject) -> None:
    """Whatever is replaced, added and deleted, and whatever stages there were."""
    old = sorted(data.draw(st.lists(entries(SHA1), unique_by=place)), key=place)
    some = st.sampled_from([entry.path for entry in old]) | PATHS if old else PATHS
    new = data.draw(st.dictionaries(some, st.none() | entries(SHA1)))
    changes = {
        path: entry and IndexEntry(path, entry.mode, entry.oid, entry.stat)
        for path, entry in sorted(new.items())
    }
    wanted = [entry for entry in old if entry.path not in changes]
    wanted += [entry for entry in changes.values() if entry is not None]
    out = io.BytesIO()
    view = IndexView(as_index(old, SHA1), SHA1)
    write_index(
        out, SHA1, view, ((path, entry and entry.encode()) for path, entry in changes.items())
    )
    assert out.getvalue() == as_index(sorted(wanted, key=place), SHA1)


@given(st.data(), st.lists(PATHS, unique=True))
def test_bisect_finds_the_first_place(data: st.DataObject, known: list[bytes]) -> None:
    known.sort()
    blank = [IndexEntry(path, 0, Oid(bytes(20)), StatFacts()) for path in known]
    view = IndexView(as_index(blank, SHA1), SHA1)
    path = data.draw(st.sampled_from(known) | PATHS if known else PATHS)
    wanted = sum(other < path for other in known)
    assert view.bisect(path) == wanted
    assert view.bisect(path, data.draw(st.integers(0, wanted))) == wanted


@given(st.data(), FORMATS)
def test_a_cache_tree_comes_back(data: st.DataObject, fmt: ObjectFormat) -> None:
    root = data.draw(cache_trees(fmt))
    assert parse_cache_tree(encode_cache_tree(root), fmt) == root


@given(st.binary(), FORMATS)
def test_garbage_is_no_object(raw: bytes, fmt: ObjectFormat) -> None:
    with contextlib.suppress(ProtocolError):
        iter_tree(raw, fmt)
    with contextlib.suppress(ProtocolError):
        parse_commit(raw)
    with contextlib.suppress(ProtocolError):
        parse_cache_tree(raw, fmt)
    with contextlib.suppress(ProtocolError):
        parse_cache_tree(b"\0" + raw, fmt)


@given(st.sampled_from([2, 3, 4]), st.integers(0, 4) | U32, st.binary(max_size=400), FORMATS)
def test_garbage_is_no_index(version: int, count: int, body: bytes, fmt: ObjectFormat) -> None:
    """Even when its header and checksum are right."""
    raw = b"DIRC" + struct.pack(">II", version, count) + body
    read_all(raw + fmt.hasher(raw).digest(), fmt)


@given(st.data(), FORMATS, st.sampled_from([2, 3, 4]))
def test_a_damaged_index_raises_or_reads(
    data: st.DataObject, fmt: ObjectFormat, version: int
) -> None:
    """A few bytes are other than they were, the checksum is left out."""
    good = as_index(sorted(data.draw(st.lists(entries(fmt), unique_by=place)), key=place), fmt)
    raw = bytearray(good[: -fmt.digest_size])
    raw[7] = version
    at = st.integers(0, len(raw) - 1)
    for position, byte in data.draw(st.lists(st.tuples(at, st.integers(0, 255)), max_size=4)):
        raw[position] = byte
    read_all(bytes(raw) + bytes(fmt.digest_size), fmt)


def read_all(raw: bytes, fmt: ObjectFormat) -> None:
    with contextlib.suppress(ProtocolError):
        view = IndexView(raw, fmt)
        assert len(list(view.iter_entries())) == len(list(view.iter_paths())) == len(view)
        write_index(io.BytesIO(), fmt, view, [(b"m", None)])
        view.find(b"m")
        if view.cache_tree is not None:
            parse_cache_tree(view.cache_tree, fmt)


@given(st.binary(), FORMATS)
def test_a_name_depends_on_kind_and_bytes(data: bytes, fmt: ObjectFormat) -> None:
    oid = hash_object(b"blob", data, fmt)
    assert len(oid) == fmt.digest_size
    assert oid != hash_object(b"tree", data, fmt)
