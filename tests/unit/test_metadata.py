"""Metadata: replay, writing, compaction, base64."""

from __future__ import annotations

import pytest

from holdfast.core.clock import SECOND, Moment
from holdfast.core.errors import LocalProtocolError
from holdfast.core.place import PlaceId
from holdfast.wire.metadata import (
    Change,
    compact,
    difference,
    is_field,
    parse_metadata,
    place_values,
    set_metadata,
)

NOW = Moment(200 * SECOND)


def add(field: str, value: bytes) -> Change:
    return Change(field, value, added=True)


def remove(field: str, value: bytes) -> Change:
    return Change(field, value, added=False)


def test_later_words_win() -> None:
    data = b"100s tag +a +b\n101s tag -a\n99s tag +c -b\n"
    assert parse_metadata(data) == {"tag": [b"b", b"c"]}


def test_a_field_is_spelled_as_last_written() -> None:
    assert parse_metadata(b"101s Foo +2\n100s foo +1\n") == {"Foo": [b"1", b"2"]}


def test_a_tie_goes_to_the_last_word() -> None:
    assert parse_metadata(b"100s t +a\n100s t -a\n") == {}
    assert parse_metadata(b"100s t -a\n100s t +a\n") == {"t": [b"a"]}


def test_values_that_cannot_be_read_are_skipped() -> None:
    assert parse_metadata(b"100s b +!notbase64* +3\n") == {"b": [b"3"]}


@pytest.mark.parametrize(
    "value", [b"", b"plain", b"two words", b"!bang", b"a\tb", b"a\r\nb", b"\xff"]
)
def test_any_value_is_read_back(value: bytes) -> None:
    assert parse_metadata(set_metadata(b"", [add("f", value)], NOW)) == {"f": [value]}


def test_only_values_that_need_it_are_in_base64() -> None:
    changes = [add("a", b"hello world"), add("a", b"a\tb"), add("b", b"!bang"), add("c", b"")]
    written = set_metadata(b"", changes, NOW)
    assert written == b"200s a +a\tb +!aGVsbG8gd29ybGQ= b +!IWJhbmc= c +\n"


def test_no_news_leaves_the_file_as_it_is() -> None:
    data = b"100s tag +a\n"
    assert set_metadata(data, [add("TAG", b"a"), remove("tag", b"z")], NOW) is data


def test_a_write_drops_superseded_words_and_keeps_unsets() -> None:
    data = b"100s a +1 +2 b +9\n101s a -1\n102s b -9\n103s a +1\n"
    written = set_metadata(data, [add("c", b"1")], NOW)
    assert written == b"100s a +2\n102s b -9\n103s a +1\n200s c +1\n"


def test_a_write_is_newer_than_the_word_it_changes() -> None:
    assert set_metadata(b"900s a +1\n", [remove("a", b"1")], NOW) == b"901s a -1\n"


def test_a_far_future_word_elsewhere_does_not_push_the_clock() -> None:
    written = set_metadata(b"900s a +1\n", [add("b", b"1")], NOW)
    assert written == b"200s b +1\n900s a +1\n"


def test_of_two_changes_to_one_value_the_last_counts() -> None:
    assert set_metadata(b"", [add("f", b"1"), remove("F", b"1")], NOW) == b""


@pytest.mark.parametrize("field", ["", "a b", "+a", "-a", "a\nb"])
def test_a_field_that_would_break_its_line_is_not_written(field: str) -> None:
    with pytest.raises(LocalProtocolError):
        set_metadata(b"", [add(field, b"1")], NOW)


def test_compaction_says_the_same() -> None:
    data = b"100s a +1 +2\n101s a -1 A +3\n"
    assert parse_metadata(compact(data)) == parse_metadata(data)


def test_setting_a_field_is_a_difference() -> None:
    assert difference("f", [b"1", b"2"], [b"2", b"3"]) == [remove("f", b"1"), add("f", b"3")]


def test_what_places_say_is_told_by_place_newest_first() -> None:
    data = b"100s u1:V +old#p u2:V +x\n101s u1:V +new#p u1:S +zz\n102s u2:V -x\n"
    assert place_values(data, "V") == {PlaceId("u1"): [b"new#p", b"old#p"]}


def test_field_names_are_letters_digits_and_a_few_signs() -> None:
    assert is_field("sub-01_x.y") and is_field("9")
    assert not is_field("_x") and not is_field("a b") and not is_field("") and not is_field("é")
