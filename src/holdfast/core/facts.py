"""What git-annex's expressions ask of a file, and the three answers they give. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Protocol

from .balance import Member
from .key import Key
from .place import Place, PlaceId


class Verdict(Enum):
    """What an expression says of a file: Kleene's three values."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


NO, YES, UNKNOWN = Verdict.NO, Verdict.YES, Verdict.UNKNOWN
OPPOSITE = {NO: YES, YES: NO, UNKNOWN: UNKNOWN}


class Facts(Protocol):
    """What can be told of one file or key; subclass it and override what you know.

    Each ability is asked only when an expression needs it. None means: not known here.
    """

    def path(self) -> bytes | None:
        """The file, relative to the top of the data set."""
        return None

    def size(self) -> int | None:
        """Bytes of content."""
        return None

    def key(self) -> Key | None:
        """The key of the content."""
        return None

    def mime_type(self) -> str | None:
        """What libmagic calls its type."""
        return None

    def mime_encoding(self) -> str | None:
        """What libmagic calls its encoding; see `mime`."""
        return None

    def holders(self) -> Collection[Place] | None:
        """The places believed to have it, without dead ones; leave out one about to drop it."""
        return None

    def members(self, group: str) -> Collection[PlaceId] | None:
        """The places in a group."""
        return None

    def place(self) -> PlaceId | None:
        """The place that the expression belongs to."""
        return None

    def group(self, name: str) -> Sequence[Member] | None:
        """The places in a group, dead ones too, and what is known of their room."""
        return None

    def numcopies(self) -> int | None:
        """How many copies there should be, the file's attributes heard."""
        return None

    def numcopies_of_all(self) -> int | None:
        """How many copies there should be, attributes not heard."""
        return None

    def metadata(self, field: str) -> Collection[bytes] | None:
        """The values of a field, whose name is in small letters."""
        return None

    def urls(self) -> Collection[bytes] | None:
        """Where the web has it."""
        return None

    def present(self) -> bool | None:
        """Whether the place that the expression belongs to has it."""
        return None

    def unused(self) -> bool | None:
        """Whether no branch or tag uses it."""
        return None

    def preferred_dir(self) -> bytes | None:
        """The name of the directory ``inpreferreddir`` means: ``public`` unless configured."""
        return None

    def standard(self) -> str | None:
        """The built-in expression of the one standard group the place is in; see `STANDARD`."""
        return None

    def group_wanted(self) -> str | None:
        """The expression that is set for the one group of the place that has one."""
        return None
