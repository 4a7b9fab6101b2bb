"""Places: where copies of content are, and how far each is trusted."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import NamedTuple, NewType

PlaceId = NewType("PlaceId", str)
"""The UUID of a place, as git-annex knows repositories and special remotes."""

WEB = PlaceId("00000000-0000-0000-0000-000000000001")
BITTORRENT = PlaceId("00000000-0000-0000-0000-000000000002")


class Trust(StrEnum):
    """How much a place's word counts; the value is what trust.log holds."""

    TRUSTED = "1"
    SEMITRUSTED = "?"
    UNTRUSTED = "0"
    DEAD = "X"


class Presence(StrEnum):
    """What a place says of a copy when asked now."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Place(NamedTuple):
    """Somewhere that holds copies: its UUID, what people call it, how far it is trusted."""

    id: PlaceId
    name: str = ""
    trust: Trust = Trust.SEMITRUSTED

    @property
    def label(self) -> str:
        """What to call it in talk."""
        return self.name or self.id


def new_uuid() -> PlaceId:
    """A random UUID, version 4."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return PlaceId("-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])))
