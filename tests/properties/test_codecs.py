"""Laws of the formats: what is written is read back, and merging keeps its promises."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from holdfast.core.clock import SECOND, Moment, advance, format_moment, parse_moment
from holdfast.core.key import (
    Key,
    decode_file_name,
    encode_file_name,
    hash_dir_lower,
    hash_dir_mixed,
)
from holdfast.core.place import PlaceId
from holdfast.wire import branch_paths, logs, metadata
from holdfast.wire.logs import LocationState
from holdfast.wire.pointer import key_of_link, key_of_pointer, link_target, pointer

numbers = st.none() | st.integers(0, 10**15)
backends = st.from_regex(rb"\A[A-Z0-9_]{1,8}\Z") | st.sampled_from([b"SHA256E", b"_X", b"XXH3"])
tricky = st.text("&%:/acs_-. é", max_size=12).map(str.encode)
key_names = (st.binary(max_size=30) | tricky).map(lambda raw: raw.replace(b"\n", b""))
keys: SearchStrategy[Key] = st.builds(
    lambda backend, name, size, mtime, chunk_size, chunk_number: Key.make(
        backend,
        name,
        size=size,
        mtime=mtime,
        chunk_size=chunk_size,
        chunk_number=chunk_number,
    ),
    backends, key_names, numbers, numbers, numbers, numbers,
)  # fmt: skip
path_keys = keys.map(lambda key: Key(key.replace(b"\0", b"").replace(b"\r", b"")))

moments = st.integers(-(10**6), 10**23).map(Moment)
places = st.sampled_from([PlaceId(f"{c}{c}-11") for c in "abcd"])
states = st.sampled_from(list(LocationState))
sorted_lines = st.builds(
    lambda moment, state, place: f"{format_moment(moment).decode()} {state} {place}\n".encode(),
    st.integers(0, 5).map(lambda s: Moment(s * SECOND)), states, places,
)  # fmt: skip
location_logs = st.lists(sorted_lines, max_size=6).map(b"".join)
line_texts = st.lists(st.sampled_from([b"a", b"b", b"c d", b"e"]), max_size=6)
any_logs = line_texts.map(lambda lines: b"".join(line + b"\n" for line in lines))
changes = st.builds(
    metadata.Change,
    st.sampled_from(["tag", "year", "Tag"]),
    st.sampled_from([b"", b"a", b"b c", b"!d"]),
    st.booleans(),
)


@given(keys)
def test_a_key_is_read_as_it_was_written(key: Key) -> None:
    assert Key.parse(key) == key
    assert Key.parse(key.text.encode("utf-8", "surrogateescape")) == key
    fields = {
        "size": key.size,
        "mtime": key.mtime,
        "chunk_size": key.chunk_size,
        "chunk_number": key.chunk_number,
    }
    assert Key.make(key.backend, key.name, **fields) == key


@given(keys)
def test_a_chunk_lies_where_its_whole_lies(key: Key) -> None:
    whole = Key.make(key.backend, key.name, size=key.size, mtime=key.mtime)
    assert key.unchunked == whole
    assert hash_dir_mixed(key) == hash_dir_mixed(whole)
    assert hash_dir_lower(key) == hash_dir_lower(whole)


@given(st.binary(max_size=30) | tricky)
def test_a_file_name_gives_its_bytes_back(raw: bytes) -> None:
    name = encode_file_name(raw)
    assert b"/" not in name
    assert decode_file_name(name) == raw


@given(path_keys, st.integers(0, 5))
def test_pointers_and_links_give_their_key_back(key: Key, depth: int) -> None:
    assert key_of_pointer(pointer(key)) == key
    assert key_of_pointer(pointer(key)[:-1]) == key
    assert key_of_link(link_target(key, depth)) == key


@given(st.binary(max_size=60) | tricky)
def test_reading_a_blob_never_fails(blob: bytes) -> None:
    key_of_pointer(blob)
    key_of_pointer(b"/annex/objects/" + blob)
    key_of_link(b"x/annex/objects/" + blob)


@given(keys, st.sampled_from([branch_paths.LOCATION, branch_paths.URL, branch_paths.METADATA]))
def test_branch_paths_and_journal_names_give_their_key_back(key: Key, suffix: bytes) -> None:
    path = branch_paths.key_log(key, suffix)
    assert branch_paths.parse_branch_path(path) == (key, suffix)
    assert branch_paths.branch_path_of_journal(branch_paths.journal_name(path)) == path


words = st.lists(st.sampled_from([b"a", b"trust.log", b"x_y", b"x__y", b"0_1"]), min_size=1)


@given(words.map(b"/".join))
def test_other_journal_names_give_their_path_back(path: bytes) -> None:
    assert branch_paths.branch_path_of_journal(branch_paths.journal_name(path)) == path


@given(moments)
def test_a_moment_is_read_as_it_was_written(moment: Moment) -> None:
    assert parse_moment(format_moment(moment)) == moment


@given(moments, moments)
def test_time_advances(now: Moment, before: Moment) -> None:
    assert advance(now, before) > before
    assert advance(now, before) >= now


@given(any_logs, any_logs)
def test_merging_is_commutative_on_what_is_read(ours: bytes, theirs: bytes) -> None:
    assert set(logs.union(ours, theirs).split()) == set(logs.union(theirs, ours).split())
    if ours != theirs:
        assert logs.union(ours, theirs) == logs.union(theirs, ours)


@given(any_logs, any_logs, any_logs)
def test_merging_is_associative(a: bytes, b: bytes, c: bytes) -> None:
    left = logs.union(logs.union(a, b), c)
    right = logs.union(a, logs.union(b, c))
    assert set(left.splitlines()) == set(right.splitlines())


@given(any_logs, any_logs)
def test_merging_again_changes_nothing(ours: bytes, theirs: bytes) -> None:
    assert logs.union(ours, ours) == ours
    merged = logs.union(ours, theirs)
    assert set(logs.union(merged, theirs).splitlines()) == set(merged.splitlines())
    assert {*ours.splitlines(), *theirs.splitlines()} == set(merged.splitlines())


@given(location_logs, places, states, st.integers(0, 9).map(lambda s: Moment(s * SECOND)))
def test_what_is_set_is_what_is_read(
    data: bytes, place: PlaceId, state: LocationState, now: Moment
) -> None:
    before = logs.parse_locations(data)
    after = logs.parse_locations(logs.set_location(data, place, state, now))
    assert after.pop(place)[1] is state
    before.pop(place, None)
    assert after == before


@given(location_logs, places, states)
def test_a_write_wins_over_all_it_knew_of_after_any_merge(
    data: bytes, place: PlaceId, state: LocationState
) -> None:
    written = logs.set_location(data, place, state, Moment(0))
    found = logs.parse_locations(logs.union(data, written))[place][1]
    if written is not data:
        assert found is state


@given(location_logs)
def test_the_fast_reader_agrees_with_the_full_one(data: bytes) -> None:
    full = [p for p, (_, s) in logs.parse_locations(data).items() if s is LocationState.PRESENT]
    assert list(logs.places_with(data)) == full


@given(st.binary(max_size=80))
def test_reading_a_log_never_fails(data: bytes) -> None:
    logs.places_with(data)
    logs.parse_map_log(data)
    logs.parse_uuid_log(data)
    logs.parse_copies(data)
    logs.parse_chunks(data)
    logs.parse_remotes(data)
    logs.parse_transitions(data)
    metadata.parse_metadata(data)


line_values = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20
)


@given(line_values, moments)
def test_a_value_by_place_is_read_as_it_was_written(value: str, now: Moment) -> None:
    written = logs.set_uuid_log(b"", PlaceId("u"), value.encode(), now)
    assert logs.parse_uuid_log(written)[PlaceId("u")].value == value.encode()
    assert logs.parse_uuid_log(written)[PlaceId("u")].moment == now


@given(line_values, moments)
def test_a_value_by_field_is_read_as_it_was_written(value: str, now: Moment) -> None:
    written = logs.set_map_log(b"90s z old\n", b"a", value.encode(), now)
    assert logs.parse_map_log(written)[b"a"].value == value.encode()
    assert logs.parse_map_log(written)[b"z"].value == b"old"


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z-]{1,8}\Z"), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_a_configuration_is_read_as_it_was_written(config: dict[str, str]) -> None:
    assert logs.decode_config(logs.encode_config(config)) == config


@given(
    st.lists(st.tuples(st.lists(changes, min_size=1, max_size=3), st.integers(0, 9)), max_size=4)
)
def test_metadata_written_step_by_step_is_what_was_said(
    steps: list[tuple[list[metadata.Change], int]],
) -> None:
    data, said = b"", set[tuple[str, bytes]]()
    for step, seconds in steps:
        data = metadata.set_metadata(data, step, Moment(seconds * SECOND))
        for change in step:
            word = change.field.lower(), change.value
            said = said | {word} if change.added else said - {word}
    found = metadata.parse_metadata(data)
    assert {(name.lower(), value) for name, values in found.items() for value in values} == said


metadata_lines = st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=5)


def metadata_log(lines: list[list[metadata.Change]], start: int) -> list[bytes]:
    """Lines at moments of their own, each as a program would write it."""
    return [
        b"%ds %b\n" % (start + 2 * i, metadata.encode_changes({(c.field.lower(), c.value): c for c in line}.values()))
        for i, line in enumerate(lines)
    ]  # fmt: skip


@given(metadata_lines, st.randoms(use_true_random=False))
def test_replay_does_not_depend_on_the_order_of_lines(
    lines: list[list[metadata.Change]], chance: random.Random
) -> None:
    written = metadata_log(lines, start=0)
    mixed = chance.sample(written, len(written))
    assert metadata.parse_metadata(b"".join(mixed)) == metadata.parse_metadata(b"".join(written))


@given(metadata_lines, metadata_lines)
def test_compaction_before_a_merge_changes_nothing_after_it(
    ours: list[list[metadata.Change]], theirs: list[list[metadata.Change]]
) -> None:
    a = b"".join(metadata_log(ours, start=0))
    b = b"".join(metadata_log(theirs, start=1))
    merged = metadata.parse_metadata(logs.union(metadata.compact(a), b))
    assert merged == metadata.parse_metadata(logs.union(a, b))
