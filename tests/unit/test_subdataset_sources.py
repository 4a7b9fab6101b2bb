"""Where a data set inside another may be cloned from."""

from __future__ import annotations

import pytest

from holdfast.wire.subdataset_sources import (
    Outer,
    candidates,
    order_remotes,
    url_to_record,
    without_login,
)

TOP = "/data/top"


def sources(
    settings: dict[str, str], path: str = "in/raw", top: str = TOP, **remotes: str
) -> list[str]:
    return [one.source for one in candidates(path, settings, Outer(top, remotes, {}))]


def test_what_was_cloned_comes_before_what_is_beside_the_remote() -> None:
    settings = {"url": "./in/raw", "datalad-url": "ria+file:///store#id"}
    assert sources(settings, origin="/elsewhere/top") == [
        "ria+file:///store#id", "/elsewhere/top/in/raw",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("remote", "url", "first"),
    [
        ("https://x.org/top", "./raw", "https://x.org/top/raw"),
        ("https://x.org/top/.git", "./raw", "https://x.org/top/raw"),
        ("https://x.org/a/top.git", "../raw.git", "https://x.org/a/raw.git"),
        ("git@x.org:a/top", "../raw", "git@x.org:a/raw"),
        ("git@x.org:top", "../raw", "git@x.org/raw"),
        ("../other", "./raw", "/data/other/raw"),
        ("/other/top/.git", "./raw", "/other/top/raw"),
    ],
)
def test_a_relative_url_is_beside_the_remote(remote: str, url: str, first: str) -> None:
    assert sources({"url": url}, origin=remote)[0] == first


def test_the_path_below_the_remote_is_tried_and_quoted_where_it_is_a_url() -> None:
    found = candidates(
        "in/a b", {}, Outer(TOP, {"origin": "https://x.org/top/.git", "nas": "/nas/top"}, {})
    )
    assert [(one.cost, one.source) for one in found] == [
        (650, "https://x.org/top/in/a%20b/.git"),
        (650, "/nas/top/in/a b"),
    ]


def test_a_url_is_tried_by_the_way_the_outer_one_is_reached() -> None:
    found = sources({"url": "git@x.org:lab/raw.git"}, origin="https://x.org/lab/top.git")
    assert found[:2] == ["git@x.org:lab/raw.git", "https://x.org/lab/raw.git"]


def test_without_a_remote_the_place_beside_the_outer_one_is_tried_but_not_its_own() -> None:
    assert sources({"url": "./in/raw"}) == []
    assert sources({"url": "../raw"}) == ["/data/raw"]
    assert sources({"url": "https://x.org/raw"}) == ["https://x.org/raw"]


def test_templates_have_their_cost_in_their_name_and_are_filled_in() -> None:
    templates = {
        "200origin": "ria+file:///store#{id}",
        "last": "https://x.org/{path_basename}/{{{remoteurl-origin}}}",
        "100unknown": "{nothing}",
    }
    outer = Outer(TOP, {"origin": "O"}, templates)
    found = candidates("in/raw", {"datalad-id": "abc", "url": "./in/raw"}, outer)
    assert [one.cost for one in found] == [200, 600, 700]
    assert found[0].source == "ria+file:///store#abc"
    assert found[-1].source == "https://x.org/raw/{O}"


def test_a_template_cannot_look_into_what_fills_it() -> None:
    outer = Outer(TOP, {}, {"a": "{path.__class__}"})
    assert candidates("raw", {}, outer) == []


def test_no_source_is_tried_twice() -> None:
    found = sources({"url": "/src", "datalad-url": "/src"}, origin="/top")
    assert found.count("/src") == 1


def test_the_tracked_remote_is_asked_first() -> None:
    assert list(order_remotes({"a": "1", "b": "2", "c": "3"}, "b")) == ["b", "a", "c"]


def test_a_password_is_neither_shown_nor_saved() -> None:
    assert without_login("https://ann:secret@x.org/raw failed") == "https://x.org/raw failed"
    assert without_login("ssh://ann@x.org/raw") == "ssh://ann@x.org/raw"
    assert (
        url_to_record("https://a:b@x.org/r", "https://a:b@x.org/r/.git", "/p")
        == "https://x.org/r/.git"
    )


def test_a_relative_source_is_recorded_from_where_the_clone_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert url_to_record("../src", "/x", f"{tmp_path}/cl/one") == "../../../src"
    assert url_to_record("/src", "/src", "/p") == "/src"
    assert url_to_record("///a", "https://d.org/a/.git", "/p") == "https://d.org/a/.git"
