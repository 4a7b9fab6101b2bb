"""Errors for people and for programs."""

from __future__ import annotations

from holdfast.cli.errors import bug, four_lines, tip
from holdfast.cli.paint import Paint
from holdfast.core import faults

PLAIN = Paint(on=False)


def test_an_error_has_four_lines_and_its_code() -> None:
    error = faults.NO_SOURCE(key="bold", answers="tape: could not be asked", next="hold get bold")
    assert four_lines(error, PLAIN).splitlines() == [
        "✗ H205  bold could not be had",
        "  why   tape: could not be asked",
        "  safe  what is here stays; if a part of it has come, that is kept and goes on from there",
        "  next  hold get bold",
    ]


def test_an_error_stays_in_its_lines_whatever_its_names_hold() -> None:
    error = faults.NO_SUCH_PATH(path="a\nb\x1b[2J" + b"\xe9".decode("utf-8", "surrogateescape"))
    shown = four_lines(error, PLAIN)
    assert shown.count("\n") == 4
    assert "\x1b" not in shown
    shown.encode()


def test_colour_is_only_there_when_it_is_on() -> None:
    error = faults.STOPPED()
    assert "\x1b[" not in four_lines(error, PLAIN)
    assert "\x1b[31m✗" in four_lines(error, Paint(on=True))


def test_what_nobody_foresaw_is_a_bug() -> None:
    assert "this is a bug" in bug(ValueError("odd")).why


def test_the_tip_names_what_is_near_and_what_other_tools_call_it() -> None:
    assert tip("sttaus", ["status", "save"], {}) == "tip: did you mean hold status?"
    assert tip("add", ["save"], {"add": "save"}) == "tip: did you mean hold save?"
    assert tip("xyzzy", ["save"], {}) == ""
