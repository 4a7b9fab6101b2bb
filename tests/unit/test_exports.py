"""The log of exports, and what is decided by it."""

from __future__ import annotations

from holdfast.core.clock import SECOND, Moment
from holdfast.core.key import Key
from holdfast.core.place import PlaceId
from holdfast.dataset.export_tree import ExportedFile
from holdfast.transfer.plan_export import Claims, in_the_way, plan_renames
from holdfast.wire.exports import Exported, begin_export, finish_export, parse_exported

HERE, THERE, PLACE = PlaceId("here"), PlaceId("there"), PlaceId("place")
EMPTY, ONE, TWO, THREE = (bytes([48 + n]) * 40 for n in range(4))
K1, K2 = Key(b"SHA256E-s1--a"), Key(b"SHA256E-s2--b")


def at(second: int) -> Moment:
    return Moment(second * SECOND)


def file(path: bytes, key: Key) -> ExportedFile:
    return ExportedFile(path, key, b"0" * 40, in_git=False, executable=False)


def claims(*pairs: tuple[ExportedFile | None, ExportedFile | None]) -> Claims:
    found = Claims()
    for before, after in pairs:
        found.add(before, after)
    return found


def test_a_first_export_is_begun_over_nothing_and_then_is_there() -> None:
    log = begin_export(b"", HERE, PLACE, ONE, EMPTY, at(1))
    assert log == b"1s here:place %b %b\n" % (EMPTY, ONE)
    before = parse_exported(log, PLACE)
    assert before == Exported((EMPTY,), (ONE,))
    assert not before.is_sure
    log = finish_export(log, HERE, PLACE, ONE, before, at(2))
    assert log == b"2s here:place %b\n" % ONE
    assert parse_exported(log, PLACE).is_sure


def test_an_export_begun_twice_is_named_once_and_others_begun_before_stay_named() -> None:
    log = b"1s here:place %b\n" % ONE
    for tree, second in ((TWO, 2), (THREE, 3), (THREE, 4)):
        log = begin_export(log, HERE, PLACE, tree, EMPTY, at(second))
    assert log == b"4s here:place %b %b %b\n" % (ONE, THREE, TWO)


def test_a_finished_export_takes_the_place_of_what_other_clones_had_exported() -> None:
    log = b"1s here:place %b\n1s there:place %b %b\n1s there:other %b\n" % (ONE, TWO, THREE, TWO)
    before = parse_exported(log, PLACE)
    assert set(before.done) == {ONE, TWO}
    log = finish_export(log, HERE, PLACE, ONE, before, at(2))
    assert parse_exported(log, PLACE) == Exported((ONE,), ())
    assert parse_exported(log, PlaceId("other")) == Exported((TWO,), ())


def test_a_file_is_believed_to_be_there_by_its_size_only_where_no_other_has_that_size() -> None:
    sizes = {K1: 5, K2: 6}
    known = claims((file(b"a", K1), file(b"a", K2)))
    assert known.is_seen(file(b"a", K2), 6, sizes)
    assert not known.is_seen(file(b"a", K2), None, sizes)
    assert not known.is_seen(file(b"a", K2), 6, {K1: 6, K2: 6})
    assert not known.is_seen(file(b"a", K2), 6, {K2: 6})


def test_content_that_goes_under_one_name_is_renamed_to_one_other() -> None:
    known = claims((file(b"a", K1), None), (None, file(b"b", K1)), (None, file(b"c", K1)))
    coming = [file(b"b", K1), file(b"c", K1)]
    assert [(r.old, r.new.path) for r in plan_renames(known, coming, {K1})] == [(b"a", b"b")]
    assert list(plan_renames(known, coming, set())) == []


def test_a_name_that_is_replaced_or_in_the_way_is_no_end_of_a_rename() -> None:
    swap = claims((file(b"a", K1), file(b"a", K2)), (file(b"b", K2), None))
    assert list(plan_renames(swap, [file(b"a", K2)], {K1, K2})) == []
    folder = claims((file(b"a", K1), None), (None, file(b"a/b", K1)))
    assert in_the_way(folder) == {b"a"}
    assert list(plan_renames(folder, [file(b"a/b", K1)], {K1})) == []


def test_of_two_trees_that_may_be_there_with_different_content_none_is_renamed() -> None:
    known = claims((file(b"a", K1), None), (file(b"a", K2), None), (None, file(b"b", K1)))
    assert list(plan_renames(known, [file(b"b", K1)], {K1, K2})) == []
