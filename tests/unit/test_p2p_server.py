"""The server's side of the P2P protocol: it hears what clients said to git-annex-shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_p2p import GOLDEN, KEY, SERVER, golden

from holdfast.core.errors import LocalProtocolError, RemoteProtocolError
from holdfast.core.key import Key
from holdfast.wire import p2p
from holdfast.wire.p2p_server import (
    Asked,
    Incoming,
    IncomingBytes,
    IncomingEnds,
    Say,
    ServerEvent,
    ServerSession,
)


def drain(session: ServerSession) -> list[ServerEvent]:
    found = []
    while (event := session.next()) is not None:
        found.append(event)
    return found


def greeted(data: bytes = b"") -> ServerSession:
    session = ServerSession(SERVER)
    session.receive(b"VERSION 4\n" + data)
    assert session.next() == Say(b"VERSION 4\n")
    return session


@golden
@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_recorded_conversations_are_had_again_word_for_word(name: str) -> None:
    session = ServerSession(SERVER)
    said = [session.start()]
    wanted = b""
    for who, text in GOLDEN[name]:
        line = str(text).encode()
        if who.startswith("C"):
            session.receive(line + (b"" if who == "C-raw" else b"\n"))
        elif who == "S":
            wanted += line + b"\n"
            said += [event.data for event in drain(session) if isinstance(event, Say)]
            if b"".join(said) == wanted:
                continue
            word = line.split()[0]
            if word == b"DATA":
                said.append(session.begin_get(int(line.split()[1])))
            elif word in (b"VALID", b"INVALID"):
                said.append(session.end_get(valid=word == b"VALID"))
            else:
                said.append(session.answer(p2p.decode(line)))
        elif who == "S-raw":
            wanted += line
            said.append(line)
            if session.version == 0:
                session.end_get(valid=True)
    assert b"".join(said) == wanted


def test_content_that_was_asked_for_comes_with_the_clients_word() -> None:
    session = greeted(b"PUT some%file " + KEY + b"\n")
    assert session.next() == Asked(p2p.Put(b"some%file", KEY))
    session.answer(p2p.PutFrom(1))
    session.receive(b"DATA 3\nab")
    assert drain(session) == [Incoming(3), IncomingBytes(b"ab")]
    assert session.is_receiving
    session.receive(b"\nINVALID\nCHECKPRESENT " + KEY + b"\n")
    assert drain(session) == [
        IncomingBytes(b"\n"),
        IncomingEnds(False),
        Asked(p2p.CheckPresent(KEY)),
    ]


def test_content_is_never_read_as_words() -> None:
    evil = b"REMOVE " + KEY + b"\n"
    session = greeted(b"PUT  " + KEY + b"\n")
    session.next()
    session.answer(p2p.PutFrom(0))
    session.receive(b"DATA %d\n%bVALID\n" % (len(evil), evil))
    assert [e for e in drain(session) if isinstance(e, Asked)] == []


def test_content_for_which_nobody_asked_is_an_unexpected_word() -> None:
    session = greeted(b"DATA 4\n")
    assert drain(session) == [Say(b"ERROR unexpected command\n")]


def test_content_that_came_in_another_way_is_told() -> None:
    session = greeted(b"PUT  " + KEY + b"\n")
    session.next()
    session.answer(p2p.PutFrom(0))
    session.receive(b"DATA-PRESENT\n")
    assert drain(session) == [Incoming(None)]


def test_after_content_only_two_words_make_sense() -> None:
    session = greeted(b"HOLD-PUT 1 " + KEY + b"\nxREMOVE " + KEY + b"\n")
    with pytest.raises(RemoteProtocolError):
        drain(session)


def test_our_own_word_brings_content_at_once() -> None:
    session = greeted(b"HOLD 7\nHOLD-PUT 2 " + KEY + b"\nx\nVALID\n")
    assert drain(session) == [
        Say(b"HOLD 1\n"),
        Asked(p2p.HoldPut(2, KEY)),
        IncomingBytes(b"x\n"),
        IncomingEnds(True),
    ]


def test_an_error_is_not_answered() -> None:
    assert drain(greeted(b"ERROR what?\nBYPASS\n")) == []


def test_a_version_higher_than_ours_is_answered_with_ours() -> None:
    session = ServerSession(SERVER, version_max=3)
    session.receive(b"VERSION 99\n")
    assert drain(session) == [Say(b"VERSION 3\n")]


def test_the_clients_word_on_what_it_got_is_passed_over() -> None:
    session = greeted(b"GET 0  " + KEY + b"\n")
    session.next()
    assert session.end_get(valid=True) == b"VALID\n"
    with pytest.raises(LocalProtocolError):
        session.end_get(valid=True)
    session.receive(b"SUCCESS\nGETTIMESTAMP\n")
    assert drain(session) == [Asked(p2p.GetTimestamp())]


def test_a_line_without_end_is_given_up() -> None:
    session = ServerSession(SERVER)
    session.receive(b"x" * 70_000)
    with pytest.raises(RemoteProtocolError):
        session.next()


QUESTIONS = st.sampled_from(
    [
        p2p.CheckPresent(KEY),
        p2p.LockContent(KEY),
        p2p.Remove(KEY),
        p2p.GetTimestamp(),
        p2p.RemoveBefore(9, KEY),
    ]
)
CONTENTS = st.binary(max_size=40).map(lambda data: (p2p.HoldPut(len(data), Key(KEY)), data))


@given(st.lists(QUESTIONS | CONTENTS, max_size=12), st.lists(st.integers(1, 30), min_size=1))
def test_however_bytes_are_cut_the_same_is_asked(asked: list[object], sizes: list[int]) -> None:
    stream, wanted = b"", []
    for item in asked:
        question, data = item if isinstance(item, tuple) else (item, None)
        stream += p2p.encode(question)
        wanted.append((question, data))
        if data is not None:
            stream += data + b"VALID\n"
    session, found, at, n = ServerSession(SERVER), [], 0, 0
    while at < len(stream):
        step = sizes[n % len(sizes)]
        session.receive(stream[at : at + step])
        at, n = at + step, n + 1
        for event in drain(session):
            if isinstance(event, Asked):
                found.append(
                    (event.question, b"" if isinstance(event.question, p2p.HoldPut) else None)
                )
            elif isinstance(event, IncomingBytes):
                found[-1] = (found[-1][0], found[-1][1] + event.data)
    assert found == wanted


@given(st.binary(max_size=300))
def test_no_bytes_make_it_do_anything_but_ask_or_refuse(data: bytes) -> None:
    session = ServerSession(SERVER)
    session.receive(data)
    try:
        events = drain(session)
    except RemoteProtocolError:
        return
    assert all(isinstance(event, Asked | Say | IncomingBytes | IncomingEnds) for event in events)


@given(st.lists(st.sampled_from([b"one", b"two", b"three"]), max_size=5))
def test_our_client_and_our_server_understand_each_other(contents: list[bytes]) -> None:
    client, server = p2p.Session(), ServerSession(SERVER)
    to_server = client.start()
    for data in contents:
        to_server += (
            client.ask(p2p.HoldPut(len(data), KEY)) + data + client.word_on_content(valid=True)
        )
    server.receive(to_server)
    to_client = server.start()
    for event in drain(server):
        if isinstance(event, Say):
            to_client += event.data
        elif isinstance(event, IncomingEnds):
            to_client += server.answer(p2p.Success())
    replies = [event for event in client.feed(to_client) if isinstance(event, p2p.Reply)]
    assert [reply.message for reply in replies] == [p2p.Success()] * len(contents)
