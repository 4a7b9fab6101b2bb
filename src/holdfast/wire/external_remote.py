"""The protocol between git-annex and programs for special remotes, both sides of it, as pure code.

Lines of words; the last part of a line may have spaces. Host is who asks for content to be stored
(git-annex, or we), program is the `git-annex-remote-…` that does so. While it is busy with a
request the program may ask back. With the ASYNC extension lines are numbered, ``J 2 …``, and
several requests go on side by side. Format: git-annex's "external special remote protocol" page
and its appendix on async, checked against the program (docs/formats/external.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from ..core.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from ..core.key import Key
from .external_grammar import FROM_HOST, FROM_PROGRAM, QUESTIONS, TOLD, Part

PROGRAM_PREFIX = "git-annex-remote-"
VERSIONS = (b"1", b"2")
"""Both are the same protocol."""

LINE_MAX = 1 << 20
"""No line is longer; what is would fill our memory, or is no talk at all."""


class Message(NamedTuple):
    """One line: its first word, its parts, and the job it belongs to where jobs have numbers."""

    name: str
    parts: tuple[bytes, ...] = ()
    job: int | None = None

    @property
    def last(self) -> bytes:
        """The last part: the value, the path, the reason."""
        return self.parts[-1]

    def text(self, number: int = -1) -> str:
        """A part as text, undecodable bytes as surrogates."""
        return self.parts[number].decode("utf-8", "surrogateescape")


_PARTS_OF: Mapping[str, frozenset[str]] = {
    "LISTCONFIGS": frozenset(("CONFIG",)),
    "GETINFO": frozenset(("INFOFIELD", "INFOVALUE")),
    "LISTIMPORTABLECONTENTS": frozenset(("IMPORTABLECONTENT", "IMPORTABLECONTENTIDENTIFIER")),
}
_ENDS: Mapping[str, frozenset[str]] = {
    "EXTENSIONS": frozenset(("EXTENSIONS",)),
    "LISTCONFIGS": frozenset(("CONFIGEND",)),
    "TRANSFER": frozenset(("TRANSFER-SUCCESS", "TRANSFER-FAILURE", "TRANSFER-RETRIEVE-URL")),
    "CHECKPRESENT": frozenset(
        f"CHECKPRESENT-{end}" for end in ("SUCCESS", "FAILURE", "UNKNOWN", "URL")
    ),
    "GETCOST": frozenset(("COST",)),
    "GETAVAILABILITY": frozenset(("AVAILABILITY",)),
    "GETORDERED": frozenset(("ORDERED", "UNORDERED")),
    "CHECKURL": frozenset(("CHECKURL-CONTENTS", "CHECKURL-MULTI", "CHECKURL-FAILURE")),
    "GETINFO": frozenset(("INFOEND",)),
    "EXPORTSUPPORTED": frozenset(("EXPORTSUPPORTED-SUCCESS", "EXPORTSUPPORTED-FAILURE")),
    "TRANSFEREXPORT": frozenset(("TRANSFER-SUCCESS", "TRANSFER-FAILURE")),
    "CHECKPRESENTEXPORT": frozenset(
        f"CHECKPRESENT-{end}" for end in ("SUCCESS", "FAILURE", "UNKNOWN")
    ),
    "REMOVEEXPORT": frozenset(("REMOVE-SUCCESS", "REMOVE-FAILURE")),
    "IMPORTSUPPORTED": frozenset(
        ("IMPORTSUPPORTED-SUCCESS", "IMPORTSUPPORTED-FAILURE", "IMPORTREQUIRED")
    ),
    "IMPORTKEY": frozenset(("IMPORTKEY-SUCCESS", "IMPORTKEY-FAILURE", "IMPORTKEY-SKIP")),
}
"""How requests end; the others with ``-SUCCESS`` or ``-FAILURE``."""

_SHAPES = {**FROM_HOST, **FROM_PROGRAM}
_NAME = re.compile(rb"[A-Z][A-Z-]*")
_DIGITS = re.compile(rb"[0-9]{1,20}")
_JOB = re.compile(rb"J ([0-9]{1,9}) (.*)", re.DOTALL)
_UNNUMBERED = frozenset(("VERSION", "EXTENSIONS", "ERROR"))


# lines


class Lines:
    """Cuts what comes through a pipe into lines."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now.

        Raises:
            RemoteProtocolError: One is longer than any line of this protocol.
        """
        *whole, self._begun = (self._begun + data).split(b"\n")
        if max(map(len, [self._begun, *whole])) > LINE_MAX:
            raise RemoteProtocolError("a line of more than a mebibyte")
        return whole


def encode(message: Message) -> bytes:
    """The line of a message.

    Raises:
        LocalProtocolError: It would not be read as what it is.
    """
    shape = _SHAPES.get(message.name)
    if shape is None or len(shape) != len(message.parts):
        raise LocalProtocolError(f"no message of this protocol: {message!r:.200}")
    for part, value in zip(shape, message.parts, strict=True):
        if not _fits(part, value) or b"\n" in value:
            raise LocalProtocolError(f"{value[:100]!r} cannot be a part of {message.name}")
    words = b" ".join((message.name.encode(), *message.parts))
    return (b"%b\n" if message.job is None else b"J %d %%b\n" % message.job) % words


def from_program(line: bytes) -> Message:
    """What a program says.

    Raises:
        RemoteProtocolError: It is nothing that a program may say.
    """
    job, name, rest = _begin(line)
    if name not in FROM_PROGRAM:
        raise RemoteProtocolError(f"it says {line[:100]!r}")
    return Message(name, _parts(FROM_PROGRAM[name], rest, line), job)


def from_host(line: bytes) -> Message:
    """What a host says; a request that we do not know has its whole rest as its one part.

    Raises:
        RemoteProtocolError: It is nothing that a host may say.
    """
    job, name, rest = _begin(line)
    return Message(name, _parts(FROM_HOST.get(name, (Part.REST,)), rest, line), job)


def _begin(line: bytes) -> tuple[int | None, str, bytes | None]:
    numbered = _JOB.fullmatch(line)
    job, said = (int(numbered[1]), numbered[2]) if numbered else (None, line)
    word, space, rest = said.partition(b" ")
    if not _NAME.fullmatch(word) or b"\n" in line:
        raise RemoteProtocolError(f"it says {line[:100]!r}")
    name = word.decode("ascii")
    if job is not None and name in _UNNUMBERED - {"ERROR"}:
        raise RemoteProtocolError(f"{name} belongs to no job")
    return job, name, rest if space else None


def _parts(shape: tuple[Part, ...], rest: bytes | None, line: bytes) -> tuple[bytes, ...]:
    words = [] if rest is None else rest.split(b" ", max(0, len(shape) - 1))
    if shape and shape[-1] is Part.REST and len(words) == len(shape) - 1:
        words.append(b"")
    if not shape and words == [b""]:
        words = []
    if len(words) != len(shape):
        raise RemoteProtocolError(f"{len(shape)} parts should be in {line[:100]!r}")
    for part, word in zip(shape, words, strict=True):
        if not _fits(part, word):
            raise RemoteProtocolError(f"{word[:60]!r} should be a {part.name.lower()}")
    return tuple(
        Key.parse(word) if part is Part.KEY else word
        for part, word in zip(shape, words, strict=True)
    )


def _fits(part: Part, value: bytes) -> bool:
    if part is Part.REST:
        return True
    if part is Part.MAYBE and not value:
        return True
    if not value or b" " in value:
        return False
    if part is Part.NUMBER:
        return _DIGITS.fullmatch(value) is not None
    if part is Part.SIZE:
        return value == b"UNKNOWN" or _DIGITS.fullmatch(value) is not None
    if part is Part.WAY:
        return value in (b"STORE", b"RETRIEVE")
    return part in (Part.WORD, Part.MAYBE) or _is_key(value)


def _is_key(value: bytes) -> bool:
    try:
        Key.parse(value)
    except ProtocolError:
        return False
    return True


# conversations


class Said(Enum):
    """What something a program says means to the host, while a request is under way."""

    QUESTION = auto()
    TOLD = auto()
    PART = auto()
    """A piece of a longer answer."""
    END = auto()


class Exchange:
    """One request to a program, until it has ended: says what each of its lines is."""

    def __init__(self, request: Message) -> None:
        """A request, as the host says it."""
        self.request = request
        usual = frozenset((f"{request.name}-SUCCESS", f"{request.name}-FAILURE"))
        self._ends = _ENDS.get(request.name, usual) | {"UNSUPPORTED-REQUEST"}
        self._parts = _PARTS_OF.get(request.name, frozenset())

    def take(self, message: Message) -> Said:
        """What a line of the program is.

        Raises:
            RemoteProtocolError: It does not belong to this request.
        """
        if message.name in QUESTIONS:
            return Said.QUESTION
        if message.name in TOLD:
            return Said.TOLD
        if message.name in self._parts:
            return Said.PART
        if message.name not in self._ends or not self._is_about(message):
            raise RemoteProtocolError(f"asked for {self.request.name} it says {message.name}")
        return Said.END

    def _is_about(self, message: Message) -> bool:
        """Whether key and direction are those that were asked for."""
        named = [part for part in message.parts if isinstance(part, Key)]
        wanted = [part for part in self.request.parts if isinstance(part, Key)]
        if not named or not wanted or self.request.name == "IMPORTKEY":
            return True
        shape = FROM_PROGRAM[message.name]
        same_way = shape[0] is not Part.WAY or message.parts[0] == self.request.parts[0]
        return named[0] == wanted[0] and same_way


def say(name: str, *parts: bytes) -> Message:
    """A message with these parts."""
    return Message(name, parts)


def one_line(words: str) -> bytes:
    """Words for people as the last part of a line, whatever they are."""
    return " ".join(words.split()).encode("utf-8", "surrogateescape")


def extensions_in(message: Message) -> frozenset[str]:
    """The extensions that an EXTENSIONS message names."""
    return frozenset(message.text().split())
