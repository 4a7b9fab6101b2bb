"""Pointers, links, and the names of branch and journal files."""

from __future__ import annotations

import pytest

from holdfast.core.key import Key
from holdfast.wire import branch_paths as paths
from holdfast.wire.pointer import (
    POINTER_SIZE_MAX,
    key_of_link,
    key_of_pointer,
    link_target,
    pointer,
)

KEY = Key(b"SHA256E-s2--ab.txt")
ODD = Key(b"URL--http://example.org/a%b&c")


def test_a_link_climbs_to_the_top() -> None:
    assert link_target(KEY, 0).startswith(b".git/annex/objects/")
    assert link_target(KEY, 2).startswith(b"../../.git/annex/objects/")
    assert link_target(KEY, 0).endswith(b"/SHA256E-s2--ab.txt/SHA256E-s2--ab.txt")


@pytest.mark.parametrize("key", [KEY, ODD, Key(b"SHA1--"), Key(b"WORM-s1-m2--\xff \xc3\xa9")])
def test_links_and_pointers_give_their_key_back(key: Key) -> None:
    assert key_of_link(link_target(key, 3)) == key
    assert key_of_pointer(pointer(key)) == key
    assert key_of_pointer(link_target(key, 1)) == key


def test_hash_directories_of_a_link_do_not_matter() -> None:
    assert key_of_link(b"../x/annex/objects/SHA256E-s2--ab.txt") == KEY


@pytest.mark.parametrize(
    "target",
    [b"", b"README.md", b"/annex/objects/SHA256E-s2--ab.txt", b".git/annex/objects/a/b/", b".git"],
)
def test_a_link_elsewhere_has_no_key(target: bytes) -> None:
    assert key_of_link(target) is None


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"hello\n",
        b"hello\n/annex/objects/SHA256E-s2--ab.txt\n",
        b"/annex/objects/SHA256E-s2--ab.txt\nmore\n",
        b"/annex/objects/SHA256E-s2--ab.txt\n/annex/ not ended",
        b"/annex/objects/\n",
    ],
)
def test_a_plain_file_has_no_key(blob: bytes) -> None:
    assert key_of_pointer(blob) is None


def test_a_big_file_is_never_a_pointer() -> None:
    head = pointer(KEY)
    note = b"/annex/" + b"x" * (POINTER_SIZE_MAX - len(head) - 8) + b"\n"
    assert key_of_pointer(head + note) == KEY
    assert key_of_pointer(head + b"x" + note) is None


def test_a_branch_path_names_key_and_kind() -> None:
    for suffix in (
        paths.LOCATION, paths.URL, paths.METADATA, paths.PLACE_METADATA, paths.PLACE_STATE,
        paths.CHUNKS, paths.CONTENT_IDS, paths.EQUIVALENT_KEYS,
    ):  # fmt: skip
        for key in (KEY, ODD, Key(b"WORM-s1-m1--x.log"), Key(b"WORM-s1-m1--x.log.web")):
            assert paths.parse_branch_path(paths.key_log(key, suffix)) == (key, suffix)


def test_each_kind_of_log_has_its_own_name() -> None:
    names = [
        log(KEY)
        for log in (
            paths.location_log, paths.url_log, paths.metadata_log, paths.place_metadata_log,
            paths.place_state_log, paths.chunk_log, paths.content_id_log,
            paths.equivalent_key_log,
        )
    ]  # fmt: skip
    endings = [name.partition(b"ab.txt")[2] for name in names]
    assert endings == [
        b".log", b".log.web", b".log.met", b".log.rmet", b".log.rmt", b".log.cnk", b".log.cid",
        b".log.ek",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", [b"uuid.log", b"abc/def/notakey.log", b"abc/SHA1--x.log", b"abc/def/SHA1--x.txt"]
)
def test_other_branch_paths_are_about_no_key(path: bytes) -> None:
    assert paths.parse_branch_path(path) is None


def test_journal_names_double_their_underscores() -> None:
    path = b"c58/3d7/SHA3_256-s3--a_b__c.log"
    assert paths.journal_name(path) == b"c58_3d7_SHA3__256-s3--a__b____c.log"
    assert paths.branch_path_of_journal(b"c58_3d7_SHA3__256-s3--a__b____c.log") == path


def test_a_key_that_begins_with_an_underscore_keeps_its_directory() -> None:
    path = paths.location_log(Key(b"_FOO--x_"))
    assert paths.branch_path_of_journal(paths.journal_name(path)) == path
