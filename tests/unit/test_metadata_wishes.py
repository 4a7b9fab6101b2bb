"""What is wished of metadata, worked out as changes."""

from __future__ import annotations

import pytest

from holdfast.api.metadata import Verb, Wish, plan_changes
from holdfast.core.errors import UsageError
from holdfast.wire.metadata import Change

BEFORE = {"Author": [b"Ada", b"Bob"], "tag": [b"raw"]}


def changes(*wishes: Wish) -> set[tuple[str, bytes, bool]]:
    found, _ = plan_changes(BEFORE, wishes)
    return {(one.field, one.value, one.added) for one in found}


def test_set_leaves_one_value_and_spells_the_field_as_it_is() -> None:
    assert changes(Wish.of(Verb.SET, "author=Eve")) == {
        ("Author", b"Eve", True), ("Author", b"Ada", False), ("Author", b"Bob", False),
    }  # fmt: skip


def test_set_to_a_value_that_is_there_only_takes_the_others_away() -> None:
    assert changes(Wish.of(Verb.SET, "author=Ada")) == {("Author", b"Bob", False)}


def test_add_what_is_there_changes_nothing() -> None:
    assert changes(Wish.of(Verb.ADD, "tag=raw")) == set()


def test_remove_takes_one_value_or_all_of_a_field() -> None:
    assert changes(Wish.of(Verb.REMOVE, "author=Ada")) == {("Author", b"Ada", False)}
    assert changes(Wish.of(Verb.REMOVE, "tag")) == {("tag", b"raw", False)}


def test_what_is_said_after_is_told() -> None:
    found, after = plan_changes(BEFORE, [Wish.of(Verb.REMOVE, "tag"), Wish.of(Verb.ADD, "x=1")])
    assert after == {"Author": [b"Ada", b"Bob"], "x": [b"1"]}
    assert Change("x", b"1", added=True) in found


@pytest.mark.parametrize("word", ["-x=1", "a b=1", "=1", "x", "lastchanged=1", "x-lastchanged=2"])
def test_what_is_no_field_cannot_be_set(word: str) -> None:
    with pytest.raises(UsageError):
        Wish.of(Verb.SET, word)
