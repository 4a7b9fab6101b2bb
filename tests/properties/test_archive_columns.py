"""What is done for many files at once is what would be done for each of them."""

from __future__ import annotations

from hashlib import md5, sha256

from hypothesis import given
from hypothesis import strategies as st

from holdfast.archive.contents import is_right, not_right, wants_md5
from holdfast.archive.entries import Entry, FileRun, identities_of, identity_of, iter_in_runs
from holdfast.core.key import Key, object_path, object_paths
from holdfast.wire.archive_rows import RowKind
from holdfast.wire.cid import RAW_SHA256, Cid
from holdfast.wire.dag_pb import encode_link, encode_links, link_size, links_size
from holdfast.wire.file_layout import section_size, section_sizes
from holdfast.wire.varint import VARINT_MAX

NUMBERS = st.one_of(st.integers(0, VARINT_MAX), st.sampled_from([0, 91, 92, 127, 128, 1 << 14]))
LINKS = st.tuples(st.binary(min_size=32, max_size=32), st.binary(max_size=100), NUMBERS)


@given(st.lists(LINKS, max_size=6))
def test_links_in_columns_are_those_one_by_one(links: list[tuple[bytes, bytes, int]]) -> None:
    cids = [Cid(RAW_SHA256 + digest) for digest, _, _ in links]
    names, tsizes = [name for _, name, _ in links], [tsize for _, _, tsize in links]
    encoded = encode_links(cids, names, tsizes)
    assert encoded == list(map(encode_link, cids, names, tsizes))
    sizes = map(link_size, map(len, names), tsizes)
    assert links_size(names, tsizes) == sum(sizes) == sum(map(len, encoded))


@given(st.lists(st.integers(0, VARINT_MAX >> 1), max_size=6))
def test_sizes_of_sections_in_columns_are_those_one_by_one(sizes: list[int]) -> None:
    assert section_sizes(sizes) == list(map(section_size, sizes))


BACKENDS = [b"MD5", b"MD5E", b"SHA256", b"SHA256E", b"SHA1", b"WORM", b""]
ENDS = [b"", b".dat", b".", b"x", b"--x"]
FILES = st.tuples(
    st.sampled_from(BACKENDS), st.sampled_from(ENDS), st.binary(max_size=3), st.booleans()
)


@given(st.lists(FILES, max_size=8), st.sampled_from([None, b"MD5E", b"SHA256E"]))
def test_hashes_in_columns_are_held_against_keys_as_one_by_one(
    files: list[tuple[bytes, bytes, bytes, bool]], only: bytes | None
) -> None:
    keys, each = list[bytes | None](), list[tuple[bytes, bytes]]()
    for drawn, end, data, is_damaged in files:
        backend = drawn if only is None else only
        named = data + b"!" * is_damaged
        name = md5(named) if backend.startswith(b"MD5") else sha256(named)
        key = b"%b-s%d--%b%b" % (backend, len(data), name.hexdigest().encode(), end)
        keys.append(key if backend else None)
        each.append((sha256(data).digest(), md5(data).digest() if wants_md5(keys[-1]) else b""))
    found = not_right(keys, b"".join(one for one, _ in each), b"".join(one for _, one in each))
    pairs = enumerate(zip(keys, each, strict=True))
    assert found == [number for number, (key, hashes) in pairs if not is_right(key, *hashes)]


ENTRIES = st.builds(
    Entry,
    st.tuples(st.sampled_from([b"", b"a/", b"a/b/"]), st.binary(min_size=1, max_size=2)).map(
        lambda parts: parts[0] + parts[1].replace(b"/", b"-")
    ),
    st.sampled_from([None, *RowKind]),
    st.just(0o100644),
    st.integers(0, 9),
    st.sampled_from([None, b"MD5-s1--x"]),
    st.sampled_from(["", "0" * 40, "@README.txt", "~x"]),
)


@given(st.lists(st.tuples(ENTRIES, st.integers(1, 20)), max_size=8))
def test_runs_are_the_same_entries(some: list[tuple[Entry, int]]) -> None:
    entries = [entry for entry, times in some for _ in range(times)]
    again = list[Entry]()
    for one in iter_in_runs(entries):
        if isinstance(one, FileRun):
            begin = {source[:1] for source in one.sources}
            assert len(one.names) >= 8 and "@" not in begin
            assert begin == {"~"} or "~" not in begin, "age files and others are one run"
            again += one.entries()
            assert identities_of(one.kinds, one.keys, one.sources) == [
                identity_of(entry.path, entry.kind or RowKind.ANNEXED, entry.key, entry.source)
                for entry in one.entries()
            ]
        else:
            again.append(one)
    assert again == entries


KEYS = st.tuples(
    st.sampled_from([b"MD5E-s3--", b"URL--", b"SHA256-s9-S4-C2--", b"WORM-s1-m5--"]),
    st.binary(min_size=1, max_size=6).filter(lambda name: b"\n" not in name),
).map(b"".join)


@given(st.lists(KEYS, max_size=6))
def test_paths_of_content_in_columns_are_those_one_by_one(keys: list[bytes]) -> None:
    assert object_paths(keys) == [object_path(Key(key)) for key in keys]
