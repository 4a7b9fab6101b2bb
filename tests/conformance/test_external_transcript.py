"""What git-annex and a program were heard to say to each other is understood, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.wire import external_remote as wire
from holdfast.wire.external_grammar import FROM_HOST, FROM_PROGRAM
from holdfast.wire.external_remote import Exchange, Message, Said

pytestmark = pytest.mark.shared

_PROGRAM, _HOST = b"remote>    ", b"git-annex> "
_ANSWERS = frozenset(("VALUE", "CREDS"))


def heard(folder: Path) -> list[tuple[bool, bytes]]:
    """Who said what: True for the program."""
    lines = (folder / "external-remote-transcript.txt").read_bytes().split(b"\n")
    return [
        (line.startswith(_PROGRAM), line[len(_PROGRAM) :])
        for line in lines
        if line.startswith((_PROGRAM, _HOST))
    ]


def test_each_line_is_read_and_said_again_as_it_was(annex_golden: Path) -> None:
    said = heard(annex_golden)
    assert len(said) > 100
    for by_program, line in said:
        message = (wire.from_program if by_program else wire.from_host)(line)
        assert message.name in (FROM_PROGRAM if by_program else FROM_HOST)
        assert wire.encode(message) == line + b"\n"


def test_each_request_ends_and_each_question_is_answered(annex_golden: Path) -> None:
    exchange: Exchange | None = None
    waiting: Message | None = None
    ended = 0
    for by_program, line in heard(annex_golden):
        if not by_program:
            message = wire.from_host(line)
            assert (waiting is not None) == (message.name in _ANSWERS)
            if waiting is None:
                assert exchange is None, "a request came before the last had ended"
                exchange = Exchange(message)
            waiting = None
            continue
        message = wire.from_program(line)
        if message.name == "VERSION":
            assert exchange is None
            continue
        assert exchange is not None
        said = exchange.take(message)
        waiting = message if said is Said.QUESTION else None
        if said is Said.END:
            exchange, ended = None, ended + 1
    assert exchange is None
    assert ended > 30
