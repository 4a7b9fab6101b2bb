"""RIA stores: addresses, layouts, and what is refused because it might lead elsewhere."""

from __future__ import annotations

import pytest

from holdfast.core.errors import PolicyError, UsageError
from holdfast.testing.store_contract import key_of
from holdfast.wire import ria
from holdfast.wire.sibling_scripts import Sharing, read_answers, ria_script, shell_path

IDENTITY = "73d09ccb-8101-4f35-8cea-6a7512955e95"


@pytest.mark.parametrize(
    ("url", "base", "folder"),
    [
        ("ria+file:///data/store", "file:///data/store", "/data/store"),
        ("ria+file:///data/store/#ID", "file:///data/store", "/data/store"),
        ("ria+file:///da%20ta/store", "file:///da%20ta/store", "/da ta/store"),
        ("ria+ssh://ada@host:/store", "ssh://ada@host/store", "/store"),
        ("ria+ssh://host:2222/store", "ssh://host:2222/store", "/store"),
        ("ria+http://host:8080", "http://host:8080", ""),
    ],
)
def test_a_store_is_named_by_scheme_and_folder(url: str, base: str, folder: str) -> None:
    found = ria.parse_store(url)
    assert (found.base, found.folder) == (base, folder)
    assert found.url == f"ria+{base}"


@pytest.mark.parametrize(
    "url", ["file:///store", "ria+ftp://host/store", "ria+file://host/store", "ria+ssh://host", ""]
)
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(PolicyError):
        ria.parse_store(url)


def test_git_knows_a_data_set_by_a_path_or_a_url() -> None:
    here, there = ria.parse_store("ria+file:///s"), ria.parse_store("ria+ssh://h/s")
    assert here.dataset(IDENTITY) == f"/s/73d/{IDENTITY[3:]}"
    assert there.dataset(IDENTITY) == f"ssh://h/s/73d/{IDENTITY[3:]}"
    assert there.alias("x") == "ssh://h/s/alias/x"


@pytest.mark.parametrize("identity", ["../../etc", "abc", "a/b/c/d", "73d..9ccb", ""])
def test_an_identity_that_leads_elsewhere_is_none(identity: str) -> None:
    with pytest.raises(PolicyError):
        ria.dataset_path(identity)


@pytest.mark.parametrize("alias", ["../x", "a/b", "-x", "", ".x"])
def test_an_alias_that_leads_elsewhere_is_none(alias: str) -> None:
    with pytest.raises(UsageError):
        ria.check_alias(alias)


def test_the_version_says_how_objects_are_laid_out_and_an_unknown_one_is_both() -> None:
    key = key_of(b"x")
    old, new = (ria.object_paths(ria.parse_layout(text), key) for text in (b"1\n", b"2|l\n"))
    both = ria.object_paths(ria.parse_layout(b"9\n"), key)
    assert len(old) == len(new) == 1
    assert old != new
    assert both == new + old


def test_only_known_layouts_are_written_to() -> None:
    one, two, odd = (ria.parse_layout(text) for text in (b"1|l\n", b"2\n", b"v\n"))
    assert ria.is_known(one, two)
    assert ria.is_known(one, one)
    assert not ria.is_known(two, two)
    assert not ria.is_known(one, odd)


def test_paths_reach_the_shell_as_one_word() -> None:
    assert shell_path("/a b/$(rm)") == "'/a b/$(rm)'"
    assert shell_path("/~/a b") == "\"$HOME\"/'a b'"
    for path in ("/a\nb", "/~eve/x"):
        with pytest.raises(PolicyError):
            shell_path(path)


def test_what_a_script_says_is_told_from_other_talk() -> None:
    assert read_answers("motd\nhold-says uuid U 1\nhold-saysnot x y\nhold-says found\n") == {
        "uuid": "U 1",
        "found": "",
    }


def test_a_script_holds_nothing_that_the_shell_would_carry_out() -> None:
    script = ria_script(
        "/s;id", IDENTITY, storage="u", new_store=True, alias="a", branch="x;id",
        sharing=Sharing("group", "g;id"), hook=False,
    )  # fmt: skip
    assert script.count(";id") == script.count("'/s;id'") + script.count("'refs/heads/x;id'") + (
        script.count("'g;id'")
    )
