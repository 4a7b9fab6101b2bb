"""File names from URLs, and URLs as they are sent."""

from __future__ import annotations

import pytest

from holdfast.wire.url_names import file_name, last_name, parts_of, requestable


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:18473/sub%20dir/b%20c.txt", "127.0.0.1_sub_20dir_b_20c.txt"),
        ("https://ex.org:99/a/b/c..d/é%2Fx;,+@", "ex.org_a_b_c..d__C3_A9_2Fx____"),
        ("https://ex.org/", "ex.org_"),
        ("https://ex.org", "ex.org"),
        ("http://u:p@ex.org/a/", "ex.org_a_"),
        ("https://ex.org/../a//b#frag", "ex.org_.._a__b"),
        ("https://ex.org/.hid/-dash", "ex.org_.hid_-dash"),
        ("http://127.0.0.1:1/a.txt?x=1&y=2", "127.0.0.1_a.txt_x_1_y_2"),
    ],
)
def test_a_name_from_the_whole_url_is_the_one_git_annex_makes(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://ex.org/a/b%20c.txt?x=1", "b c.txt"),
        ("https://ex.org/a/", ""),
        ("https://ex.org/a/..", ""),
        ("https://ex.org", ""),
    ],
)
def test_the_last_name_is_what_people_call_the_file(url: str, name: str) -> None:
    assert last_name(url) == name


def test_what_is_sent_is_ascii_without_spaces_and_fragment() -> None:
    assert requestable("http://ex.org/ä b%20c?q=ü#f") == "http://ex.org/%C3%A4%20b%20c?q=%C3%BC"


def test_parts_of_a_url_are_those_datalad_offers() -> None:
    found = parts_of("http://datalad.org/asciicast/seamless.tar.gz")
    assert found == {
        "_url_hostname": "datalad.org",
        "_url0": "asciicast",
        "_url1": "seamless.tar.gz",
        "_url_basename": "seamless.tar.gz",
        "_url_basename_root": "seamless",
        "_url_basename_ext": ".tar.gz",
    }
