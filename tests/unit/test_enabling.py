"""Which special remotes a clone sets up by itself, and with which settings."""

from __future__ import annotations

import pytest

from holdfast.core.place import PlaceId
from holdfast.dataset.enabling import Enabling, plan_enabling

HERE, SHARED = (
    PlaceId("8d2b6e96-ad81-44a5-99b4-0ec37d6b3800"),
    PlaceId("6a679d9b-4626-4430-83d8-4f67b5ba94af"),
)
S3 = {"autoenable": "true", "name": "s3-PUBLIC", "type": "S3", "bucket": "openneuro.org"}
NOBODY: frozenset[PlaceId] = frozenset()


def plan(config: dict[str, str]) -> list[Enabling]:
    return list(plan_enabling({HERE: config}, {}, NOBODY))


def test_a_bucket_is_set_up_for_reading() -> None:
    [found] = plan(S3)
    assert found.name == "s3-PUBLIC"
    assert found.settings == (
        ("annex-s3", "true"), ("annex-uuid", HERE), ("annex-verified", "automatic"),
    )  # fmt: skip


def test_what_does_not_ask_for_it_is_left_alone() -> None:
    assert plan({**S3, "autoenable": "false"}) == []


def test_a_dead_place_is_left_alone() -> None:
    assert list(plan_enabling({HERE: S3}, {}, frozenset((HERE,)))) == []


def test_a_place_that_is_known_is_left_alone() -> None:
    known = {"mine": {"annex-uuid": HERE}}
    assert list(plan_enabling({HERE: S3}, known, NOBODY)) == []


def test_a_name_that_is_taken_is_left_alone() -> None:
    known = {"s3-PUBLIC": {"url": "/elsewhere"}}
    assert list(plan_enabling({HERE: S3}, known, NOBODY)) == []


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", 'a"]\n[core]', "../x", "a..b", "a/b"])
def test_a_name_that_could_harm_our_settings_is_left_alone(name: str) -> None:
    assert plan({**S3, "name": name}) == []


def test_a_second_way_to_a_place_keeps_both_identities() -> None:
    config = {
        "autoenable": "true", "sameas-name": "also", "sameas-uuid": SHARED, "type": "httpalso",
    }  # fmt: skip
    [found] = plan(config)
    assert found.name == "also"
    assert dict(found.settings) == {
        "annex-httpalso": "true",
        "annex-uuid": SHARED,
        "annex-config-uuid": HERE,
        "annex-verified": "automatic",
    }


def test_a_git_repository_becomes_a_git_remote() -> None:
    [found] = plan({"autoenable": "true", "name": "g", "type": "git", "location": "https://h/.git"})
    assert found.settings == (
        ("url", "https://h/.git"),
        ("fetch", "+refs/heads/*:refs/remotes/g/*"),
        ("annex-verified", "automatic"),
    )


def test_what_needs_a_folder_of_this_machine_is_told_and_not_set_up() -> None:
    [found] = plan({"autoenable": "true", "name": "d", "type": "directory"})
    assert found.settings == ()
    assert "directory" in found.why


def test_an_external_program_that_is_not_there_is_told() -> None:
    [found] = plan(
        {"autoenable": "true", "name": "e", "type": "external", "externaltype": "no-such-thing"}
    )
    assert found.settings == ()
    assert "git-annex-remote-no-such-thing" in found.why
