"""Rules of places that are no repositories: where keys lie, what may be said of new ones."""

from __future__ import annotations

import pytest

from holdfast.core.errors import HoldError, PolicyError, UsageError
from holdfast.core.key import Key
from holdfast.core.place import Place, PlaceId
from holdfast.stores import directory, rclone, rsync, webdav
from holdfast.stores.placing import Placing
from holdfast.stores.rclone import LAYOUTS
from holdfast.stores.rsync_program import deletion_rules
from holdfast.stores.special import SpecialRemote, kind_of
from holdfast.stores.webdav import stale_names
from holdfast.wire.exports import exported_trees

KEY = Key(b"SHA256E-s6--f6936912184481f5edd4c304ce27c5a1a827804fc7f329f43d273b8621870776.tx")
THERE, ELSEWHERE = PlaceId("19dd450f-b174-41f7-91b0-201fb0b5750b"), PlaceId("a3fdb6b4-0-0-0-1")
HERE = "fc8d11be-dcec-4493-a6f5-d8670c74d9a1"
ONE, TWO, THREE = ("1" * 40, "2" * 40, "3" * 40)


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("lower", b"396/2b7/" + KEY),
        ("directory", b"396/2b7/" + KEY + b"/" + KEY),
        ("nodir", KEY),
        ("mixed", b"8K/xQ/" + KEY),
        ("frankencase", b"8k/xq/" + KEY),
    ],
)
def test_each_layout_of_rclone_has_a_key_where_rclone_puts_it(layout: str, path: bytes) -> None:
    assert LAYOUTS[layout](KEY) == path


def test_content_lies_below_lower_hash_directories_and_long_ago_below_mixed_ones() -> None:
    first, second = Placing("far", None).candidates(KEY)
    assert first == b"396/2b7/" + KEY + b"/" + KEY
    assert second == b"8K/xQ/" + KEY + b"/" + KEY


def test_a_path_of_a_tree_never_leads_out_of_it() -> None:
    placing = Placing("far", lambda _: [b"../a", b"/etc/x", b"a/../../b", b"a//b", b"good/file"])
    assert placing.candidates(KEY) == [b"good/file"]


def test_a_file_of_a_tree_is_taken_only_when_its_hash_can_tell_that_it_is_the_one() -> None:
    assert Placing("far", lambda _: [b"file"]).candidates(Key(b"WORM-s1-m1--file")) == ()


def test_nothing_is_sent_by_key_to_a_place_that_holds_a_tree() -> None:
    with pytest.raises(PolicyError):
        Placing("far", lambda _: []).final(KEY)


def test_the_tree_that_is_done_goes_before_those_that_were_begun() -> None:
    log = (
        f"1700000000s {HERE}:{THERE} {ONE}\n"
        f"1700000009s {HERE}:{THERE} {TWO} {THREE}\n"
        f"1700000010s {HERE}:{ELSEWHERE} {'4' * 40}\n"
        f"1700000005s {ELSEWHERE}:{THERE} {ONE}\n"
        f"1700000006s odd:{THERE} --output=x\n"
    )
    assert exported_trees(log.encode(), THERE) == [tree.encode() for tree in (TWO, ONE, THREE)]


def test_deleting_by_rsync_names_one_folder_and_no_other() -> None:
    assert deletion_rules(b"396/2b7/K") == [
        b"/396/",
        b"/396/2b7/",
        b"/396/2b7/K/",
        b"/396/2b7/K/***",
    ]
    assert deletion_rules(b"a/K[1]*\\")[1:] == [b"/a/K\\[1]\\*\\\\/", b"/a/K\\[1]\\*\\\\/***"]


def test_programs_for_rclone_are_reached_without_them() -> None:
    assert kind_of({"type": "external", "externaltype": "rclone-builtin"}) == "rclone"
    assert kind_of({"type": "external", "externaltype": "other"}) == "external"
    assert kind_of({"type": "directory"}) == "directory"


@pytest.mark.parametrize(
    ("plan", "given"),
    [
        (directory.plan_setup, {}),
        (directory.plan_setup, {"directory": "/x", "bucket": "y"}),
        (rsync.plan_setup, {"rsyncurl": "h:/x", "shellescape": "perhaps"}),
        (webdav.plan_setup, {"url": "https://ada:secret@example.org/"}),
        (rclone.plan_setup, {"rcloneremotename": "x", "rclonelayout": "round"}),
    ],
)
def test_words_that_make_no_sense_are_refused(plan, given: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as refusal:
        plan(given)
    assert "secret" not in f"{refusal.value.what} {refusal.value.why}"


@pytest.mark.parametrize("name", [":sftp,ssh='touch /x':", "a,b=c:", "-x"])
def test_a_data_set_cannot_configure_rclone(name: str) -> None:
    with pytest.raises(PolicyError):
        rclone.open_store(_remote({"rcloneremotename": name}))


@pytest.mark.parametrize("url", ["-e sh", "ada@-oProxyCommand=sh:/x", "-oProxyCommand=sh:/x"])
def test_a_data_set_cannot_give_options_to_rsync_or_ssh(url: str) -> None:
    with pytest.raises(PolicyError):
        rsync.open_store(_remote({"rsyncurl": url}))


def test_a_directory_whose_folder_is_not_set_here_cannot_be_reached() -> None:
    with pytest.raises(HoldError):
        directory.open_store(_remote({}))


def test_only_old_files_of_ours_are_stale() -> None:
    listing = b"""<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">
      <D:response><D:href>/x/tmp/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/>
        </D:resourcetype><D:getlastmodified>Thu, 01 Jan 1970 00:00:10 GMT</D:getlastmodified>
        </D:prop></D:propstat></D:response>
      <D:response><D:href>/x/tmp/old%20one</D:href><D:propstat><D:prop>
        <D:getlastmodified>Thu, 01 Jan 1970 00:00:10 GMT</D:getlastmodified>
        </D:prop></D:propstat></D:response>
      <D:response><D:href>/x/tmp/new</D:href><D:propstat><D:prop>
        <D:getlastmodified>Thu, 01 Jan 1970 00:00:30 GMT</D:getlastmodified>
        </D:prop></D:propstat></D:response></D:multistatus>"""
    assert stale_names(listing, 20.0) == [b"old one"]
    assert stale_names(b"no listing", 20.0) == []


def _remote(config: dict[str, str]) -> SpecialRemote:
    return SpecialRemote(Place(THERE, "far"), config, {}, b"/nowhere", None)  # type: ignore[arg-type]
