"""The P2P protocol: lines, and conversations as git-annex-shell had them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import LocalProtocolError, RemoteProtocolError
from holdfast.core.key import Key
from holdfast.wire import p2p

SERVER = "7eab4ee3-2e05-4e4b-82b0-a7984b4d726a"
KEY = Key(b"SHA256E-s2--73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac")
GREETING = f"AUTH-SUCCESS {SERVER}\nVERSION 4\n".encode()


def sessions() -> dict[str, list[list[Any]]]:
    beside = Path(__file__).resolve().parents[3] / "shared"
    shared = Path(os.environ.get("HOLDFAST_SHARED") or beside)
    path = shared / "fixtures/git-annex/p2p-transcripts.json"
    found: dict[str, list[list[Any]]] = (
        json.loads(path.read_text())["sessions"] if path.exists() else {}
    )
    return found


GOLDEN = sessions()
golden = pytest.mark.skipif(not GOLDEN, reason="the golden files are not there")


@golden
@pytest.mark.shared
def test_every_line_of_the_transcripts_is_read_and_written_back_the_same() -> None:
    lines = [said for talk in GOLDEN.values() for who, said in talk if who in ("C", "S")]
    known = [line.encode() for line in lines if not line.startswith("FOO")]
    assert len(known) > 80
    assert [p2p.encode(p2p.decode(line)) for line in known] == [line + b"\n" for line in known]


def converse(talk: list[list[Any]]) -> Iterator[p2p.Event]:
    """Have our side of a recorded conversation; what we send has to be what was sent then."""
    session = p2p.Session()
    to_send = b""
    for who, said in talk:
        if who == "C":
            message = p2p.decode(said.encode())
            if isinstance(message, p2p.Version):
                to_send = session.start()
            elif isinstance(message, p2p.Success | p2p.Failure):
                to_send = session.close_get(success=isinstance(message, p2p.Success))
            elif isinstance(message, p2p.UnlockContent):
                to_send = p2p.encode(message)
            else:
                to_send = session.ask(message)  # type: ignore[arg-type]
            assert to_send == said.encode() + b"\n"
        elif who.startswith("S"):
            yield from session.feed(said.encode() + (b"" if who == "S-raw" else b"\n"))


@golden
@pytest.mark.shared
@pytest.mark.parametrize(
    "name", [n for n, talk in GOLDEN.items() if not any("PUT" in str(t) for t in talk)]
)
def test_recorded_conversations_are_understood(name: str) -> None:
    if name in ("unknown_command", "version0_default_no_VALID"):
        pytest.skip("our side always says VERSION")
    events = list(converse(GOLDEN[name]))
    assert events[0] == p2p.Ready(events[0].uuid, 4)  # type: ignore[union-attr]
    assert len(events) > 1


@golden
@pytest.mark.shared
def test_a_recorded_get_gives_the_bytes() -> None:
    events = list(converse(GOLDEN["checkpresent_get_full"]))
    assert b"".join(e.data for e in events if isinstance(e, p2p.ContentBytes)) == b"x\n"
    ends = [e for e in events if isinstance(e, p2p.ContentEnds)]
    assert [e.valid for e in ends] == [True]


def test_a_missing_key_is_nothing_and_invalid() -> None:
    session = p2p.Session()
    request = p2p.Get(0, b"", KEY)
    session.ask(request)
    events = list(session.feed(GREETING + b"DATA 0\nINVALID\n"))[1:]
    assert events == [p2p.ContentBegins(request, 0), p2p.ContentEnds(request, False)]


def test_an_old_server_says_error_to_version_and_sends_no_validity() -> None:
    session = p2p.Session()
    request = p2p.Get(0, b"", KEY)
    session.ask(request)
    talk = f"AUTH-SUCCESS {SERVER}\nERROR unknown command\nDATA 2\nx\n".encode()
    events = list(session.feed(talk))
    assert events[0] == p2p.Ready(SERVER, 0)
    assert events[-1] == p2p.ContentEnds(request, True)


def test_a_file_name_with_spaces_stays_one_word() -> None:
    assert p2p.encode(p2p.Get(1, b"some file", KEY)) == b"GET 1 some%file " + KEY + b"\n"
    assert p2p.encode(p2p.Get(0, b"", KEY)) == b"GET 0  " + KEY + b"\n"


def test_a_second_request_waits_until_the_get_is_closed() -> None:
    session = p2p.Session()
    session.ask(p2p.Get(0, b"", KEY))
    with pytest.raises(LocalProtocolError):
        session.ask(p2p.CheckPresent(KEY))
    session.close_get(success=True)
    session.ask(p2p.CheckPresent(KEY))
    with pytest.raises(LocalProtocolError):
        session.close_get(success=True)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"HELLO",
        b"success",
        b"DATA",
        b"DATA -1",
        b"DATA 1 2",
        b"DATA 01",
        b"DATA 99999999999999999999",
        b"SUCCESS yes",
        b"GET 0 f",
        b"GET x f SHA256-s1--a",
        b"CHECKPRESENT nokey",
        b"AUTH-SUCCESS",
        b"AUTH-SUCCESS a b",
        b"VERSION four",
        b" SUCCESS",
    ],
)
def test_garbage_is_refused(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        p2p.decode(line)


@pytest.mark.parametrize(
    "talk",
    [
        b"SSH-2.0-OpenSSH\n",
        b"AUTH-FAILURE\n",
        GREETING + b"SUCCESS\n",
        f"AUTH-SUCCESS {SERVER}\nVERSION 5\n".encode(),
        f"AUTH-SUCCESS {SERVER}\nSUCCESS\n".encode(),
        b"A" * (p2p.LINE_MAX + 1),
    ],
)
def test_what_was_not_asked_for_ends_the_session(talk: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(p2p.Session().feed(talk))


def test_an_answer_of_the_wrong_kind_ends_the_session() -> None:
    session = p2p.Session()
    session.ask(p2p.CheckPresent(KEY))
    with pytest.raises(RemoteProtocolError, match="TIMESTAMP"):
        list(session.feed(GREETING + b"TIMESTAMP 4\n"))


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
NUMBERS = st.integers(0, 10**18)
FILES = st.binary(max_size=20).filter(lambda raw: not any(c in raw for c in b" \n\r\t"))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)
KEYS = st.builds(
    lambda name, size: Key.make(b"SHA256E", name, size=size),
    st.binary(max_size=20).filter(lambda raw: b"\n" not in raw),
    st.none() | NUMBERS,
)
LISTS = st.lists(WORDS, max_size=3).map(tuple)
MESSAGES: st.SearchStrategy[p2p.Message] = st.one_of(
    st.builds(p2p.Auth, WORDS, WORDS),
    st.builds(p2p.AuthSuccess, WORDS),
    st.builds(p2p.Version, NUMBERS),
    st.builds(p2p.Bypass, LISTS),
    st.builds(p2p.CheckPresent, KEYS),
    st.builds(p2p.LockContent, KEYS),
    st.builds(p2p.Get, NUMBERS, FILES, KEYS),
    st.builds(p2p.Put, FILES, KEYS),
    st.builds(p2p.Data, NUMBERS),
    st.builds(p2p.RemoveBefore, NUMBERS, KEYS),
    st.builds(p2p.SuccessPlus, LISTS),
    st.builds(p2p.Changed, LISTS),
    st.builds(p2p.Error, TEXTS),
    st.sampled_from(
        [p2p.Success(), p2p.Failure(), p2p.Valid(), p2p.Invalid(), p2p.UnlockContent()]
    ),
)


@given(MESSAGES)
def test_what_is_written_is_read_back(message: p2p.Message) -> None:
    line = p2p.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert p2p.decode(line[:-1]) == message


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(line: bytes) -> None:
    with suppress(RemoteProtocolError):
        p2p.decode(line)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_how_bytes_are_cut_into_pieces_does_not_matter(
    contents: list[bytes], data: st.DataObject
) -> None:
    answers = b"".join(b"DATA %d\n%bVALID\n" % (len(c), c) for c in contents)
    talk = GREETING + answers
    cuts = sorted(data.draw(st.lists(st.integers(0, len(talk)), max_size=8)))
    pieces = [talk[a:b] for a, b in zip([0, *cuts], [*cuts, len(talk)], strict=True)]
    session = p2p.Session()
    for _ in contents:
        session.ask(p2p.Get(0, b"", KEY))
        session.close_get(success=True)
    found: list[bytes] = []
    for event in (event for piece in pieces for event in session.feed(piece)):
        if isinstance(event, p2p.ContentBegins):
            found.append(b"")
        elif isinstance(event, p2p.ContentBytes):
            found[-1] += event.data
    assert found == contents
    assert session.waiting == 0
