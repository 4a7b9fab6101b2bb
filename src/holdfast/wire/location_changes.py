"""The same change to many location logs.

Logs of one batch differ at most in when the place was written down before; so the answer for one
serves all whose other lines are the same, and nearly no log is taken apart.
"""

from __future__ import annotations

import re

from ..core.clock import SECOND, Moment
from ..core.place import PlaceId
from .logs import LocationState, set_location

_ANSWERS_MAX = 1024


class LocationChange:
    """What `set_location` gives for one place, state and moment, log after log."""

    def __init__(self, place: PlaceId, state: LocationState, now: Moment) -> None:
        self._change = place, state, now
        self._place = place.encode("utf-8", "surrogateescape")
        # Our line where it says something else; other lines of ours make a log unusual.
        others = b"".join(other.encode() for other in LocationState if other != state)
        self._line = re.compile(
            rb"^([0-9]{1,18})(?:\.[0-9]+)?s? [%b] %b\n" % (others, re.escape(self._place)),
            re.MULTILINE,
        )
        self._second = now // SECOND
        self._answers: dict[bytes, bytes] = {}

    def __call__(self, old: bytes) -> bytes:
        """The log after the change; ``old`` itself when that is no news."""
        found = self._line.search(old)
        rest = old
        if found is not None and int(found[1]) < self._second:
            rest = old[: found.start()] + old[found.end() :]
        if self._place in rest or b"\r" in rest:
            return set_location(old, *self._change)
        new = self._answers.get(rest)
        if new is None:
            if len(self._answers) >= _ANSWERS_MAX:
                self._answers.clear()
            new = self._answers[rest] = set_location(old, *self._change)
        return new
