"""Whole numbers as git-annex reads them: as far as the number goes, so that ``2x`` is two. Pure."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|[0-9]+(?![0-9.eE]))")


def read_number(text: str) -> int | None:
    """The number a text begins with; None when there is none, or one with a fraction."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    digits = found[2]
    number = int(digits, 0 if digits[1:2] in tuple("xXoO") else 10)
    return -number if found[1] else number
