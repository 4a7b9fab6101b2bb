"""Branch files: who wins, what a rewrite keeps, how versions merge."""

from __future__ import annotations

import pytest

from holdfast.core.clock import SECOND, Moment
from holdfast.core.errors import LocalProtocolError
from holdfast.core.place import PlaceId, Trust
from holdfast.wire import logs
from holdfast.wire.logs import Chunking, LocationState

A = PlaceId("aaaaaaaa-1111-4111-8111-111111111111")
B = PlaceId("bbbbbbbb-1111-4111-8111-111111111111")
NOW = Moment(200 * SECOND)


def test_a_location_log_tells_state_and_since_when() -> None:
    data = f"100s 1 {A}\n101.5s 0 {B}\n".encode()
    assert logs.parse_locations(data) == {
        A: (100 * SECOND, LocationState.PRESENT),
        B: (101 * SECOND + SECOND // 2, LocationState.MISSING),
    }


def test_a_tie_goes_to_the_first_line() -> None:
    assert list(logs.places_with(f"100s 1 {A}\n100s 0 {A}\n".encode())) == [A]
    assert list(logs.places_with(f"100s 0 {A}\n100s 1 {A}\n".encode())) == []


def test_twelve_decimals_decide() -> None:
    data = f"1795247903s 1 {A}\n1795247903.000000000001s 0 {A}\n".encode()
    assert list(logs.places_with(data)) == []


def test_a_dead_copy_is_not_present() -> None:
    data = f"100s X {A}\n".encode()
    assert list(logs.places_with(data)) == []
    assert logs.parse_locations(data)[A][1] is LocationState.DEAD


def test_nothing_is_known_from_an_empty_log() -> None:
    assert list(logs.places_with(b"")) == []
    assert logs.parse_locations(b"") == {}


def test_no_news_leaves_a_location_log_as_it_is() -> None:
    data = f"100s 1 {A}\n90s 0 {A}\n".encode()
    assert logs.set_location(data, A, LocationState.PRESENT, NOW) is data


def test_lines_of_other_places_keep_the_text_of_their_time() -> None:
    data = f"100.500s 1 {B}\n007 0 {A}\ngarbage\n".encode()
    written = logs.set_location(data, A, LocationState.PRESENT, NOW)
    assert written == f"200s 1 {A}\n100.500s 1 {B}\n".encode()


def test_a_clock_that_is_behind_does_not_lose_the_write() -> None:
    data = f"9999999999.5s 1 {A}\n".encode()
    written = logs.set_location(data, A, LocationState.MISSING, NOW)
    assert written == f"10000000000.5s 0 {A}\n".encode()


def test_urls_keep_their_spaces_and_colons() -> None:
    data = b"100s 1 http://a/b c\n100s 1 :dl+archive:x\n100s 0 http://gone/\n"
    assert logs.parse_urls(data) == [b"http://a/b c", b":dl+archive:x"]
    written = logs.set_url(data, b"http://new/", LocationState.PRESENT, NOW)
    assert logs.parse_urls(written)[-1] == b"http://new/"


def test_a_map_log_keeps_the_newest_value_of_each_field() -> None:
    data = b"100s a x y\n99s a old\nbad\n100s b\n100s c \n"
    found = logs.parse_map_log(data)
    assert {name: entry.value for name, entry in found.items()} == {b"a": b"x y", b"c": b""}
    assert logs.set_map_log(data, b"c", b"v", NOW) == b"100s a x y\n200s c v\n"


def test_a_tie_in_a_map_log_goes_to_the_last_line() -> None:
    assert logs.parse_config(b"100s k one\n100s k two\n") == {"k": "two"}


def test_an_empty_value_unsets_a_setting() -> None:
    assert logs.parse_config(b"100s k one\n101s k \n") == {}


def test_chunks_are_told_by_place_and_size() -> None:
    data = f"100s {A}:8 2\n100s {A}:5 0\n100s {B}:5 3\n100s nonsense x\n".encode()
    assert logs.parse_chunks(data) == {A: [Chunking(8, 2)], B: [Chunking(5, 3)]}
    gone = logs.set_chunks(data, A, Chunking(8, 0), NOW)
    assert logs.parse_chunks(gone) == {B: [Chunking(5, 3)]}


def test_state_of_external_programs_is_one_text_by_place() -> None:
    assert logs.parse_place_map(f"100s {A} free text\n".encode()) == {A: b"free text"}


def test_the_larger_number_of_copies_wins_a_tie() -> None:
    assert logs.parse_copies(b"100s 2\n100s 3\n99s 9\n101s x\n") == 3
    assert logs.parse_copies(b"") is None


def test_setting_copies_leaves_one_line() -> None:
    assert logs.set_copies(b"100s 2\n90s 3\n", 4, NOW) == b"200s 4\n"
    assert logs.set_copies(b"300s 2\n", 4, NOW) == b"301s 4\n"


def test_the_last_timestamp_of_a_line_by_place_counts() -> None:
    entry = logs.parse_uuid_log(f"{A} a timestamp=12 timestamp=13.5s\n".encode())[A]
    assert (entry.value, entry.stamp) == (b"a timestamp=12", b"13.5s")


def test_a_line_without_timestamp_is_oldest_and_stays_without() -> None:
    data = f"{A} old\n{A} new timestamp=-5s\n{B} plain\n".encode()
    assert logs.parse_descriptions(data) == {A: "new", B: "plain"}
    written = logs.set_uuid_log(data, A, b"newer", NOW)
    assert written == f"{A} newer timestamp=200s\n{B} plain\n".encode()


def test_an_empty_value_by_place_is_a_value() -> None:
    data = f"{A}  timestamp=5s\n".encode()
    assert logs.parse_groups(data) == {A: frozenset()}
    assert logs.set_uuid_log(b"", A, b"", Moment(5 * SECOND)) == data


def test_a_tie_by_place_goes_to_the_last_line() -> None:
    data = f"{A} one timestamp=5s\n{A} two timestamp=5s\n".encode()
    assert logs.parse_descriptions(data) == {A: "two"}


def test_an_unknown_trust_level_is_the_usual_one() -> None:
    data = f"{A} banana timestamp=5s\n{B} X timestamp=5s\n".encode()
    assert logs.parse_trust(data) == {A: Trust.SEMITRUSTED, B: Trust.DEAD}


def test_groups_are_words() -> None:
    data = f"{A} archive backup timestamp=5s\n".encode()
    assert logs.parse_groups(data) == {A: frozenset(("archive", "backup"))}


def test_config_values_escape_white_space_and_ampersands() -> None:
    config = {"name": "my disk", "url": "http://x/?a=1&b=2", "note": "tab\tend\n", "é": "ü%="}
    encoded = logs.encode_config(config)
    assert encoded == ("name=my&32;disk note=tab&9;end&10; url=http://x/?a=1&38;b=2 é=ü%=".encode())
    assert logs.decode_config(encoded) == config


def test_what_is_no_escape_stays() -> None:
    assert logs.decode_config(b"a=&foo; b=&99999999; word") == {"a": "&foo;", "b": "&99999999;"}


def test_a_remote_log_holds_one_configuration_by_place() -> None:
    data = logs.set_remote(b"", A, {"type": "directory", "name": "my disk"}, NOW)
    assert data == f"{A} name=my&32;disk type=directory timestamp=200s\n".encode()
    assert logs.parse_remotes(data) == {A: {"name": "my disk", "type": "directory"}}


def test_a_merge_keeps_every_line_once_and_sorted() -> None:
    assert logs.union(b"b\na\n", b"a\nc") == b"a\nb\nc\n"
    assert logs.union(b"b\na\n", b"b\na\n") == b"b\na\n"


def test_a_lone_carriage_return_ends_a_line() -> None:
    assert logs.parse_urls(b"100s 1 http://a\rgarbage\r\n100s 1 http://b\r\n") == [
        b"http://a",
        b"http://b",
    ]


@pytest.mark.parametrize(
    "line", [b"garbage", b"", b"100s 2 u", b"100s 1", b" 100s 1 u", b"1e3s 1 u"]
)
def test_lines_that_make_no_sense_are_skipped(line: bytes) -> None:
    assert list(logs.places_with(line + b"\n100s 1 u\n")) == ["u"]


def test_what_would_break_a_line_is_not_written() -> None:
    with pytest.raises(LocalProtocolError):
        logs.set_url(b"", b"http://a/\n100s 1 x", LocationState.PRESENT, NOW)
    with pytest.raises(LocalProtocolError):
        logs.set_map_log(b"", b"two words", b"v", NOW)
    with pytest.raises(LocalProtocolError):
        logs.set_uuid_log(b"", A, b"two\nlines", NOW)


def test_transitions_are_a_set() -> None:
    data = b"ForgetGitHistory 100s\nForgetDeadRemotes 101s\njunk\n"
    assert logs.parse_transitions(data) == {
        (b"ForgetGitHistory", 100 * SECOND),
        (b"ForgetDeadRemotes", 101 * SECOND),
    }
