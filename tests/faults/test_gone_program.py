"""A program that went away while we still talk to it: what it had said before is not lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from holdfast.core.errors import PlaceUnavailableError
from holdfast.stores.program import Program

SAYS = b"an answer"


@pytest.fixture
def gone() -> Iterator[Program]:
    """A program that has said its word and ended."""
    program = Program(
        "it", [sys.executable, "-c", f"print({SAYS.decode()!r}, end='')"], patience_s=5
    )
    program._process.wait()
    yield program
    program.kill()
    program.release()


def test_what_it_said_before_it_went_is_heard_though_it_takes_no_more(gone: Program) -> None:
    assert gone.exchange(b"a question") == (SAYS, b"")
    with pytest.raises(PlaceUnavailableError, match="does not answer"):
        gone.exchange()
    assert gone.broken
    assert isinstance(gone.failure, PlaceUnavailableError)


def test_a_question_after_its_last_word_tells_that_it_is_gone(gone: Program) -> None:
    assert gone.exchange() == (SAYS, b"")
    with pytest.raises(PlaceUnavailableError, match="does not answer"):
        gone.exchange(b"a question")
    assert gone.code == 0
