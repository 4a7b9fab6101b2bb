"""The few kinds of error, each with an exit code and four lines for people.

A kind says who can mend it; the messages themselves, with their codes, are in `faults`.
"""

from __future__ import annotations


class HoldError(Exception):
    """Something a person has to be told, in four lines: what, why, what is safe, what next."""

    exit_code = 1

    def __init__(
        self, what: str, *, why: str = "", safe: str = "", hint: str = "", code: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.safe = safe
        self.hint = hint
        self.code = code

    def as_record(self) -> dict[str, str]:
        """The four lines and the code, for JSON."""
        return {
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "safe": self.safe,
            "next": self.hint,
        }


class UsageError(HoldError):
    """The call's words are off."""

    exit_code = 2


class NotFoundError(HoldError):
    """What was named is not there."""


class ConflictError(HoldError):
    """Two things cannot both be; a person has to choose."""

    exit_code = 4


class IntegrityError(HoldError):
    """The bytes are not the ones named."""


class PolicyError(HoldError):
    """A rule of the data set or place forbids it."""

    exit_code = 4


class AccessError(HoldError):
    """The system or a server does not let us."""

    exit_code = 4


class PlaceError(HoldError):
    """A place cannot do its part."""

    exit_code = 3


class PlaceUnavailableError(PlaceError):
    """The place does not answer now; worth another try."""


class PlaceFullError(PlaceError):
    """There is no room left in the place."""


class ProtocolError(HoldError):
    """Bytes are not of the format they should have."""


class LocalProtocolError(ProtocolError):
    """We would have said something the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The other side said something the protocol does not allow."""


class IncompleteError(HoldError):
    """Some items failed; the same command may be run again."""

    exit_code = 3


class StoppedError(IncompleteError):
    """Somebody stopped it; the same command may be run again."""

    exit_code = 130
