"""What programs for special remotes are told of a data set, and what is kept of what they tell."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest

from holdfast.core.errors import RemoteProtocolError, UsageError
from holdfast.core.key import Key
from holdfast.core.place import WEB, Place, PlaceId, Presence
from holdfast.stores import external, holdfast_kind
from holdfast.stores.external_answers import Answers
from holdfast.stores.special import KINDS, SpecialRemote
from holdfast.testing.memory_notes import MemoryNotes
from holdfast.testing.store_contract import ignore, key_of
from holdfast.transfer.to_file import content_at
from holdfast.wire import branch_paths, logs
from holdfast.wire.external_remote import say
from holdfast.wire.logs import LocationState

KEY = key_of(b"content")
PLACE = Place(PlaceId("u-1"), "there")


@pytest.fixture
def notes() -> MemoryNotes:
    return MemoryNotes()


@pytest.fixture
def answers(tmp_path: Path, notes: MemoryNotes) -> Answers:
    annex_dir = os.fsencode(tmp_path / ".git" / "annex")
    return Answers(SpecialRemote(PLACE, {"a": "b c"}, {}, annex_dir, notes))


def locations(notes: MemoryNotes) -> dict[PlaceId, LocationState]:
    found = logs.parse_locations(notes.read(branch_paths.location_log, [KEY]).get(KEY, b""))
    return {place: state for place, (_, state) in found.items()}


def test_a_url_that_comes_and_goes_is_on_the_web_and_no_longer(
    answers: Answers, notes: MemoryNotes
) -> None:
    for url in (b"http://a/1", b"http://a/2"):
        answers.take(say("SETURLPRESENT", KEY, url))
    answers.take(say("SETURIPRESENT", KEY, b"tape:1"))
    assert locations(notes) == {WEB: LocationState.PRESENT}
    assert answers.answer(say("GETURLS", KEY, b"http:")) == [
        say("VALUE", b"http://a/1"), say("VALUE", b"http://a/2"), say("VALUE", b""),
    ]  # fmt: skip
    assert answers.answer(say("GETURLS", KEY, b"tape:"))[0] == say("VALUE", b"tape:1")
    answers.take(say("SETURLMISSING", KEY, b"http://a/1"))
    assert locations(notes) == {WEB: LocationState.PRESENT}
    answers.take(say("SETURLMISSING", KEY, b"http://a/2"))
    assert locations(notes) == {WEB: LocationState.MISSING}


def test_a_state_is_of_its_place_alone(answers: Answers, notes: MemoryNotes) -> None:
    answers.take(say("SETSTATE", KEY, b"on shelf 4"))
    assert answers.answer(say("GETSTATE", KEY)) == [say("VALUE", b"on shelf 4")]
    [line] = notes.files.values()
    assert line.endswith(b" u-1 on shelf 4\n")


def test_what_is_not_set_is_empty(answers: Answers) -> None:
    assert answers.answer(say("GETCONFIG", b"a")) == [say("VALUE", b"b c")]
    for question in (say("GETCONFIG", b"x"), say("GETWANTED"), say("GETSTATE", KEY)):
        assert answers.answer(question) == [say("VALUE", b"")]
    assert answers.answer(say("GETCREDS", b"x")) == [say("CREDS", b"", b"")]


def test_embedded_credentials_are_kept_and_found_as_git_annex_has_them(
    tmp_path: Path, notes: MemoryNotes
) -> None:
    told: dict[str, str] = {}
    remote = SpecialRemote(
        PLACE, {"embedcreds": "yes", "encryption": "none"}, {}, os.fsencode(tmp_path / "annex"),
        notes, on_config=told.__setitem__,
    )  # fmt: skip
    Answers(remote).take(say("SETCREDS", b"door", b"ada", b"open sesame"))
    assert told == {"door": b64encode(b"ada\nopen sesame\n").decode()}
    elsewhere = SpecialRemote(PLACE, told, {}, os.fsencode(tmp_path / "other"), notes)
    assert Answers(elsewhere).answer(say("GETCREDS", b"door")) == [
        say("CREDS", b"ada", b"open sesame")
    ]


def test_what_was_not_agreed_on_is_not_answered(answers: Answers) -> None:
    with pytest.raises(RemoteProtocolError):
        answers.answer(say("DOWNLOAD-URL", b"http://a/"))


# places of ours


def inner(folder: Path, **words: str) -> SpecialRemote:
    config = {"type": "external", "externaltype": "holdfast", "encryption": "none", **words}
    return SpecialRemote(PLACE, config, {}, os.fsencode(folder / "annex"), MemoryNotes())


def test_a_place_of_ours_is_opened_without_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    folder = str(tmp_path / "store")
    remote = inner(tmp_path, store="directory", directory=folder)
    external.prepare(remote)
    assert Path(folder).is_dir()
    store = external.open_store(remote)
    assert store.place == PLACE
    assert "External" not in type(store).__name__


def test_its_words_are_those_of_the_kind_inside() -> None:
    words = {"externaltype": "holdfast", "store": "directory", "directory": "/a/b", "name": "x"}
    assert external.plan_setup(words).config == words
    for wrong in (
        {**words, "store": "external"}, {**words, "directory": "b"}, {**words, "colour": "red"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            external.plan_setup(wrong)
    with pytest.raises(UsageError):
        external.plan_setup({})


def test_no_word_stands_for_a_kind_that_nobody_has() -> None:
    assert set(holdfast_kind.inner_kinds()) <= set(KINDS)
    assert "external" not in holdfast_kind.WORDS
    assert set(holdfast_kind.VARIABLES) <= set(holdfast_kind.WORDS)


def test_credentials_are_found_where_git_annex_keeps_them_for_the_program(tmp_path: Path) -> None:
    remote = inner(tmp_path, store="directory", directory="/a")
    creds = tmp_path / "annex" / "creds"
    creds.mkdir(parents=True)
    (creds / "u-1-holdfastcreds").write_text("ada\nopen sesame\n")
    _, within = holdfast_kind.inside(remote)
    assert within.credentials() == ("ada", "open sesame")


def test_a_bucket_has_to_be_named() -> None:
    with pytest.raises(UsageError) as caught:
        external.plan_setup({"externaltype": "holdfast", "store": "S3"})
    assert "bucket= is missing" in caught.value.why


def test_a_chunk_that_was_stored_is_seen_to_be_there(tmp_path: Path) -> None:
    remote = inner(tmp_path, store="directory", directory=str(tmp_path / "store"))
    external.prepare(remote)
    store = external.open_store(remote)
    chunk = Key(b"SHA256E-s10-S4-C3--" + KEY.name)
    (tmp_path / "chunk").write_bytes(b"ab")
    store.send(chunk, content_at(chunk, os.fsencode(tmp_path / "chunk")), ignore)  # type: ignore[attr-defined]
    assert store.ask([chunk])[0].presence is Presence.PRESENT
    store.close()
