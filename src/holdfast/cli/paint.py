"""Colour, for terminals only."""

from __future__ import annotations

_CODES = {"bad": "31", "good": "32", "warn": "33", "dim": "2", "strong": "1"}


class Paint:
    """Colours text by what it means; leaves it as it is where colour is off."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    def __call__(self, meaning: str, text: str) -> str:
        """The text in the colour of bad, good, warn, dim or strong."""
        return f"\x1b[{_CODES[meaning]}m{text}\x1b[0m" if self.on else text
