"""Moments as git-annex writes them: seconds with up to twelve decimals, never a float."""

from __future__ import annotations

import re
from typing import NewType

Moment = NewType("Moment", int)
"""Picoseconds since 1970, UTC; exact for all twelve decimals."""

SECOND = 10**12
LONG_AGO = Moment(-(10**30))
"""Before every moment that can be written: what a line without a timestamp counts as."""

_FORM = re.compile(rb"(-?)([0-9]+)(?:\.([0-9]+))?s?")


def parse_moment(raw: bytes) -> Moment | None:
    """Read ``1795240000.5s`` (the ``s`` may be missing); None when it is no timestamp."""
    found = _FORM.fullmatch(raw)
    if found is None:
        return None
    sign, seconds, fraction = found.groups()
    value = int(seconds) * SECOND + int((fraction or b"")[:12].ljust(12, b"0"))
    return Moment(-value if sign else value)


def format_moment(moment: Moment) -> bytes:
    """Write a moment with as many decimals as it needs, and the ``s``."""
    sign = b"-" if moment < 0 else b""
    seconds, fraction = divmod(abs(moment), SECOND)
    if not fraction:
        return b"%b%ds" % (sign, seconds)
    return b"%b%d.%bs" % (sign, seconds, (b"%012d" % fraction).rstrip(b"0"))


def advance(now: Moment, before: Moment | None) -> Moment:
    """The moment to write over a line that has ``before``: time never stands still or goes back."""
    if before is None or now > before:
        return now
    return Moment(before + SECOND)
