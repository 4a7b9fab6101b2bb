"""The protocol of programs for special remotes, read strictly."""

from __future__ import annotations

import pytest

from holdfast.core.errors import LocalProtocolError, RemoteProtocolError
from holdfast.core.key import Key
from holdfast.wire import external_remote as wire
from holdfast.wire.external_remote import Exchange, Message, Said, say

KEY = Key(b"SHA256E-s1--aa.txt")
OTHER = Key(b"SHA256E-s1--bb.txt")


@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", b"hello", b"Traceback (most recent call last):", b"TRANSFER-SUCCESS",
        b"TRANSFER-SUCCESS STORE", b"TRANSFER-SUCCESS MOVE " + KEY, b"TRANSFER-SUCCESS STORE nokey",
        b"TRANSFER-SUCCESS STORE " + KEY + b" more", b"PROGRESS much", b"PROGRESS -1", b"COST 1.5",
        b"J x PREPARE-SUCCESS", b"J 1 VERSION 1", b"J 1", b"UNHEARD-OF", b"PREPARE", b"VERSION",
    ],
)  # fmt: skip
def test_what_no_program_says_is_refused(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        wire.from_program(line)


def test_a_request_from_the_future_is_read_and_can_be_refused() -> None:
    assert wire.from_host(b"J 4 FLY HIGH now") == Message("FLY", (b"HIGH now",), 4)
    assert wire.from_host(b"FLY") == Message("FLY", (b"",))


@pytest.mark.parametrize(
    "message",
    [
        say("VALUE", b"a\nb"), say("UNHEARD-OF"), say("GETCREDS", b"two words"), say("PREPARE", b""),
        say("CHECKPRESENT", b"SHA256E-s1--a b"), say("TRANSFER", b"MOVE", KEY, b"file"),
    ],
)  # fmt: skip
def test_what_would_not_be_understood_is_not_said(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        wire.encode(message)


def test_nothing_is_said_as_git_annex_says_it() -> None:
    assert wire.encode(say("VALUE", b"")) == b"VALUE \n"
    assert wire.encode(say("CREDS", b"", b"")) == b"CREDS  \n"
    assert wire.from_program(b"PREPARE-FAILURE") == say("PREPARE-FAILURE", b"")


def test_a_line_without_end_is_refused() -> None:
    lines = wire.Lines()
    with pytest.raises(RemoteProtocolError):
        for _ in range(20):
            lines.feed(bytes(100_000))


def test_an_answer_about_another_key_does_not_end_a_request() -> None:
    exchange = Exchange(say("CHECKPRESENT", KEY))
    assert exchange.take(say("GETSTATE", OTHER)) is Said.QUESTION
    assert exchange.take(say("DEBUG", b"well")) is Said.TOLD
    with pytest.raises(RemoteProtocolError):
        exchange.take(say("CHECKPRESENT-SUCCESS", OTHER))
    assert exchange.take(say("CHECKPRESENT-UNKNOWN", KEY, b"no net")) is Said.END


def test_an_answer_about_the_other_direction_does_not_end_a_transfer() -> None:
    exchange = Exchange(say("TRANSFER", b"STORE", KEY, b"file"))
    with pytest.raises(RemoteProtocolError):
        exchange.take(say("TRANSFER-SUCCESS", b"RETRIEVE", KEY))
    assert exchange.take(say("TRANSFER-SUCCESS", b"STORE", KEY)) is Said.END


def test_pieces_belong_to_the_request_that_has_them() -> None:
    exchange = Exchange(say("LISTCONFIGS"))
    assert exchange.take(say("CONFIG", b"dir", b"where")) is Said.PART
    with pytest.raises(RemoteProtocolError):
        exchange.take(say("INFOFIELD", b"x"))
    with pytest.raises(RemoteProtocolError):
        exchange.take(say("PREPARE-SUCCESS"))
    assert exchange.take(say("UNSUPPORTED-REQUEST")) is Said.END


def test_words_for_people_stay_in_their_line() -> None:
    assert wire.one_line("no\n  room ") == b"no room"
