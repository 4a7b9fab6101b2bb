"""What makes rewriting a ledger quick gives what the plain way gives."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.core.clock import SECOND, Moment
from holdfast.core.place import PlaceId
from holdfast.dataset.branch_listing import Listed, iter_joined
from holdfast.dataset.tree_builder import TreeBuilder
from holdfast.dataset.trees import TreeEditor
from holdfast.wire import logs
from holdfast.wire.gitobjects import FILE_MODE, SHA1, Oid
from holdfast.wire.location_changes import LocationChange
from holdfast.wire.logs import LocationState

NOW = Moment(50 * SECOND)
OURS, THEIRS = "our-place", "their-place"

stamps = st.sampled_from([b"1s", b"49.9s", b"50s", b"50", b"50.5s", b"51s", b"-3s", b"1e9s"])
infos = st.sampled_from([OURS, THEIRS, OURS + "2", "", "x " + OURS]).map(str.encode)
ends = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b""])
lines = st.builds(
    lambda stamp, state, info, end: b"%b %b %b%b" % (stamp, state, info, end),
    stamps, st.sampled_from([b"1", b"0", b"X", b"?"]), infos, ends,
)  # fmt: skip
some_logs = st.lists(st.lists(lines, max_size=4).map(b"".join), min_size=1, max_size=8)

names = st.sampled_from([b"a", b"a.b", b"a0", b"b", b"ab"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
oids = st.integers(0, 3).map(lambda n: Oid(bytes([n]) * 20))


@given(some_logs, st.sampled_from(list(LocationState)))
@example([b"1s 1 their-place\n60s 0 our-place\n", b"1s 1 their-place\n"], LocationState.PRESENT)
@example([b"1s 0 our-place\n2s X our-place\n", b"2s X our-place\n"], LocationState.PRESENT)
def test_one_change_to_many_logs_is_that_change_to_each(
    many: list[bytes], state: LocationState
) -> None:
    change = LocationChange(PlaceId(OURS), state, NOW)
    for log in many:
        assert change(log) == logs.set_location(log, PlaceId(OURS), state, NOW)


def test_what_is_no_news_gives_the_log_itself() -> None:
    log = b"1s 1 our-place\n"
    assert LocationChange(PlaceId(OURS), LocationState.PRESENT, NOW)(log) is log


@given(st.dictionaries(paths, oids))
@example({b"a": Oid(b"1" * 20), b"a/b": Oid(b"2" * 20), b"a.b": Oid(b"3" * 20)})
def test_a_tree_made_from_nothing_is_the_one_an_editor_makes(files: dict[bytes, Oid]) -> None:
    built: dict[Oid, bytes] = {}
    edited: dict[Oid, bytes] = {}

    def no_tree(oid: Oid) -> bytes:
        pytest.fail(f"{oid!r} was read")

    builder = TreeBuilder(lambda data: _add(built, data))
    editor = TreeEditor(no_tree, lambda data: _add(edited, data), SHA1, counted=False)
    for path, oid in sorted(files.items()):
        builder.set(path, FILE_MODE, oid)
        editor.set(path, FILE_MODE, oid)
    assert (builder.finish(), built) == (editor.finish(), edited)


def _add(trees: dict[Oid, bytes], data: bytes) -> Oid:
    oid = Oid(hashlib.sha1(data).digest())
    trees[oid] = data
    return oid


@given(st.sets(paths), st.lists(st.tuples(paths, st.integers(0, 9))))
def test_joining_tells_of_each_path_once_with_all_that_changes_it(
    listed: set[bytes], changes: list[tuple[bytes, int]]
) -> None:
    changes.sort(key=lambda change: change[0])
    listing = [Listed(path, b"100644", b"0") for path in sorted(listed)]
    joined = [(p, file, list(found)) for p, file, found in iter_joined(listing, changes)]
    assert [p for p, _, _ in joined] == sorted(listed | {p for p, _ in changes})
    for path, file, found in joined:
        assert (file is not None) == (path in listed)
        assert found == [number for p, number in changes if p == path]
