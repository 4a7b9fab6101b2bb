"""Run records in messages, renames among changes, URLs of the web."""

from __future__ import annotations

import json

from holdfast.core.key import Key
from holdfast.core.place import BITTORRENT, WEB, PlaceId
from holdfast.dataset.copies import has_urls, web_urls
from holdfast.dataset.differences import Change, Difference, Side, _join_renames
from holdfast.dataset.versions import parse_run

RECORD = {"cmd": "convert a b", "exit": 0, "inputs": ["a"], "outputs": ["b"]}
KEY = Key(b"SHA256E-s3--aa.nii")


def run_message(body: str) -> str:
    return (
        "[DATALAD RUNCMD] convert images\n\n"
        "=== Do not change lines below ===\n"
        f"{body}\n"
        "^^^ Do not change lines above ^^^\n"
    )


def side(path: bytes, *, oid: bytes = b"1" * 40, key: Key | None = None) -> Side:
    return Side(path, b"120000" if key else b"100644", oid, key, 3)


def test_a_run_record_is_read_with_its_title() -> None:
    title, run = parse_run(run_message(json.dumps(RECORD, indent=1)))
    assert title == "convert images"
    assert run == {"title": "convert images", **RECORD}


def test_a_message_without_a_run_record_is_itself() -> None:
    assert parse_run("first import\n\nmore of it\n") == ("first import\n\nmore of it", {})


def test_a_damaged_run_record_leaves_the_message_as_it_is() -> None:
    message = run_message('{"cmd": ')
    assert parse_run(message) == (message.strip("\n"), {})


def test_the_same_content_under_a_new_name_is_one_rename() -> None:
    changes = [
        Difference(Change.ADDED, None, side(b"deep/new", oid=b"2" * 40, key=KEY)),
        Difference(Change.DELETED, side(b"old", key=KEY), None),
    ]
    (found,) = _join_renames(changes)
    assert found.change is Change.RENAMED
    assert found.path == b"deep/new"
    assert found.old == changes[1].old


def test_one_file_that_went_explains_only_one_that_came() -> None:
    changes = [
        Difference(Change.ADDED, None, side(b"a")),
        Difference(Change.ADDED, None, side(b"b")),
        Difference(Change.DELETED, side(b"c"), None),
    ]
    assert [found.change for found in _join_renames(changes)] == [Change.RENAMED, Change.ADDED]


def test_files_that_git_has_not_read_are_no_renames() -> None:
    changes = [
        Difference(Change.ADDED, None, side(b"a", oid=b"")),
        Difference(Change.DELETED, side(b"b", oid=b""), None),
    ]
    assert sorted(f.change for f in _join_renames(changes)) == [Change.ADDED, Change.DELETED]


def test_urls_for_other_programs_are_none_of_the_web() -> None:
    urls = [b"http://x/a b", b":dl+archive:KEY#path=a", b"yt:http://video/1"]
    assert web_urls(urls) == ["http://x/a b", "http://video/1"]


def test_only_the_web_and_bittorrent_have_urls() -> None:
    assert has_urls((PlaceId("u"), WEB))
    assert has_urls((BITTORRENT,))
    assert not has_urls((PlaceId("u"),))
