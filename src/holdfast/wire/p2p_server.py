"""The server's side of git-annex's P2P protocol, as pure code: bytes in, what is asked out.

`ServerSession` is fed what the client says and tells, one by one, what it means; who serves acts,
and lets the session write the answers. Nothing is read ahead of an answer that decides how the
next bytes are to be read. Format: docs/formats/annex.md, "P2P protocol", and, for the words that
only we know, docs/formats/hold-p2p.md.
"""

from __future__ import annotations

from enum import Enum, auto

from ..core.errors import LocalProtocolError, RemoteProtocolError
from ..core.records import Record
from . import p2p
from .p2p import LINE_MAX, VERSION_MAX, decode, encode

HOLD_VERSION = 1
UNKNOWN = "unknown command"
UNEXPECTED = "unexpected command"

Question = (
    p2p.CheckPresent | p2p.LockContent | p2p.UnlockContent | p2p.Get | p2p.Put | p2p.Remove
    | p2p.RemoveBefore | p2p.GetTimestamp | p2p.Connect | p2p.NotifyChange | p2p.HoldPut
)  # fmt: skip


class Asked(Record):
    """The client wants something; a `HoldPut` is followed by its content."""

    question: Question


class Say(Record):
    """Send this; it concerns nobody else."""

    data: bytes


class Incoming(Record):
    """So many bytes of content follow; None when they came in another way, and nothing follows."""

    size: int | None


class IncomingBytes(Record):
    """Some of them."""

    data: bytes


class IncomingEnds(Record):
    """All of them came; ``valid`` is the client's own word on them (always true in version 0)."""

    valid: bool


ServerEvent = Asked | Say | Incoming | IncomingBytes | IncomingEnds


class _State(Enum):
    ASKED = auto()
    """A line, with a request, comes next."""
    PUT = auto()
    """A line comes next that says how much content follows."""
    BYTES = auto()
    """Content comes next."""
    WORD = auto()
    """The word on that content comes next."""
    CLOSED_GET = auto()
    """The client's word on what we sent comes next."""


class ServerSession:
    """One conversation. `receive` bytes, then ask for the `next` event until there is none."""

    def __init__(self, uuid: str, version_max: int = VERSION_MAX) -> None:
        self.version = 0
        self._uuid = uuid
        self._version_max = version_max
        self._buffer = bytearray()
        self._at = 0
        self._state = _State.ASKED
        self._left = 0
        self._wants_word = False

    def start(self) -> bytes:
        """What to say first: over ssh, the client has been let in already."""
        return encode(p2p.AuthSuccess(self._uuid))

    @property
    def is_receiving(self) -> bool:
        """Whether the client was in the middle of sending content."""
        return self._state in (_State.BYTES, _State.WORD)

    def receive(self, data: bytes) -> None:
        """Take in what the client said."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> ServerEvent | None:
        """What comes next in what the client said; None when more of it is needed.

        Raises:
            RemoteProtocolError: It makes no sense any more; hang up.
        """
        while True:
            if self._state is _State.BYTES:
                return self._next_bytes()
            line = self._next_line()
            if line is None:
                return None
            event = self._read(line)
            if event is not None:
                return event

    def answer(self, message: p2p.Message) -> bytes:
        """The line that answers what was asked last."""
        if isinstance(message, p2p.PutFrom):
            self._state = _State.PUT
        return encode(message)

    def begin_get(self, size: int) -> bytes:
        """The line before the bytes that a `Get` wants."""
        return encode(p2p.Data(size))

    def end_get(self, *, valid: bool) -> bytes:
        """What to say after those bytes. The client then closes the `Get`."""
        if self._state is not _State.ASKED:
            raise LocalProtocolError("no GET to end")
        self._state = _State.CLOSED_GET
        return encode(p2p.Valid() if valid else p2p.Invalid()) if self.version else b""

    # reading

    def _next_line(self) -> bytes | None:
        newline = self._buffer.find(b"\n", self._at)
        if newline < 0:
            if len(self._buffer) - self._at > LINE_MAX:
                raise RemoteProtocolError("a line of the P2P protocol without an end")
            return None
        line = bytes(self._buffer[self._at : newline])
        self._at = newline + 1
        return line

    def _next_bytes(self) -> ServerEvent | None:
        if not self._left:
            self._state = _State.WORD if self._wants_word else _State.ASKED
            return self.next() if self._wants_word else IncomingEnds(valid=True)
        data = bytes(memoryview(self._buffer)[self._at : self._at + self._left])
        if not data:
            return None
        self._at += len(data)
        self._left -= len(data)
        return IncomingBytes(data)

    def _read(self, line: bytes) -> ServerEvent | None:
        if self._state is _State.WORD:
            return self._end_content(line)
        try:
            message = decode(line)
        except RemoteProtocolError:
            self._state = _State.ASKED
            return Say(encode(p2p.Error(UNKNOWN)))
        if self._state is _State.CLOSED_GET:
            self._state = _State.ASKED
            if isinstance(message, p2p.Success | p2p.Failure):
                return None
        if self._state is _State.PUT:
            self._state = _State.ASKED
            if isinstance(message, p2p.DataPresent):
                return Incoming(None)
            if isinstance(message, p2p.Data):
                return self._begin_content(message.size, wants_word=self.version >= 1)
        return self._ask(message)

    def _end_content(self, line: bytes) -> IncomingEnds:
        """Only one of two words can follow content; after others nothing is sure any more."""
        if line not in (b"VALID", b"INVALID"):
            raise RemoteProtocolError(f"no word on the content that came: {line[:100]!r}")
        self._state = _State.ASKED
        return IncomingEnds(valid=line == b"VALID")

    def _begin_content(self, size: int, *, wants_word: bool) -> Incoming:
        self._state, self._left, self._wants_word = _State.BYTES, size, wants_word
        return Incoming(size)

    def _ask(self, message: p2p.Message) -> ServerEvent | None:
        if isinstance(message, p2p.Version):
            self.version = min(message.number, self._version_max)
            return Say(encode(p2p.Version(self.version)))
        if isinstance(message, p2p.Hold):
            return Say(encode(p2p.Hold(min(message.number, HOLD_VERSION))))
        # To answer an ERROR could go on for ever.
        if isinstance(message, p2p.Bypass | p2p.Error):
            return None
        if not isinstance(message, Question):
            return Say(encode(p2p.Error(UNEXPECTED)))
        if isinstance(message, p2p.HoldPut):
            self._begin_content(message.size, wants_word=True)
        return Asked(message)
