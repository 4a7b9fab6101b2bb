"""SFTP, version 3: the requests that reading needs, and the answers, as pure code.

Requests are bytes, made by one function each; `Decoder` cuts what a server says into answers, as
it comes. Every request has a number and every answer names one; a server may answer out of order.
Format: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for names with an ``@``; what we use of
them is in docs/formats/sftp.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple

from ..core.errors import RemoteProtocolError

VERSION = 3
READ_SAFE = 1 << 15
"""So much may be asked for in one READ of any server."""

ANSWER_MAX = 1 << 20
"""No answer is longer; one that says it is would fill our memory, or is no SFTP."""

LIMITS = b"limits@openssh.com"
EXPAND_PATH = b"expand-path@openssh.com"

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED = 0, 1, 2, 3
"""The codes of a status that mean something to us; all others say that it went wrong."""

_INIT, _OPEN, _CLOSE, _READ, _STAT, _EXTENDED = 1, 3, 4, 5, 17, 200
_VERSION, _STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 2, 101, 102, 103, 104, 105, 201
_OPEN_TO_READ = 1
_HAS_SIZE, _HAS_OWNER, _HAS_MODE = 1, 2, 4

_HEAD = Struct(">IBII")  # length, type, number, length of the first string
_ANSWER = Struct(">IBI")  # length, type, number
_OPEN_TAIL = Struct(">II").pack(_OPEN_TO_READ, 0)
_READ_TAIL = Struct(">QI")
_U32, _U64, _LIMITS = Struct(">I"), Struct(">Q"), Struct(">QQQQ")


# requests


def greeting() -> bytes:
    """The first thing a client says."""
    return b"\0\0\0\5\1" + _U32.pack(VERSION)


def open_to_read(number: int, path: bytes) -> bytes:
    """Open a file; answered by `Handle`, or `Status`."""
    return _HEAD.pack(17 + len(path), _OPEN, number, len(path)) + path + _OPEN_TAIL


def read(number: int, handle: bytes, offset: int, size: int) -> bytes:
    """Read bytes of an open file; answered by `Data`, perhaps of fewer bytes, or `Status`."""
    head = _HEAD.pack(21 + len(handle), _READ, number, len(handle))
    return head + handle + _READ_TAIL.pack(offset, size)


def close(number: int, handle: bytes) -> bytes:
    """Close a file; answered by `Status`."""
    return _HEAD.pack(9 + len(handle), _CLOSE, number, len(handle)) + handle


def stat(number: int, path: bytes) -> bytes:
    """Look at a file, through links; answered by `Attributes`, or `Status`."""
    return _HEAD.pack(9 + len(path), _STAT, number, len(path)) + path


def ask_limits(number: int) -> bytes:
    """Ask what the server bears (`LIMITS`); answered by `Extended`, for `parse_limits`."""
    return _HEAD.pack(9 + len(LIMITS), _EXTENDED, number, len(LIMITS)) + LIMITS


def expand_path(number: int, path: bytes) -> bytes:
    """Ask which path ``~user/x`` is (`EXPAND_PATH`); answered by `Names`, or `Status`."""
    head = _HEAD.pack(13 + len(EXPAND_PATH) + len(path), _EXTENDED, number, len(EXPAND_PATH))
    return head + EXPAND_PATH + _U32.pack(len(path)) + path


# answers


class Version(NamedTuple):
    """The answer to the greeting: what is spoken, and which extensions with their versions."""

    version: int
    extensions: Mapping[bytes, bytes]


class Status(NamedTuple):
    """How a request ended, with a word for people."""

    number: int
    code: int
    message: str


class Handle(NamedTuple):
    """What to call an open file."""

    number: int
    handle: bytes


class Data(NamedTuple):
    """Bytes of a file; never none."""

    number: int
    data: bytes


class Attributes(NamedTuple):
    """What a file is: its size and mode, as far as the server tells."""

    number: int
    size: int | None
    mode: int | None


class Names(NamedTuple):
    """Paths."""

    number: int
    paths: tuple[bytes, ...]


class Extended(NamedTuple):
    """The answer to an extension's request."""

    number: int
    data: bytes


Answer = Status | Handle | Data | Attributes | Names | Extended


class Limits(NamedTuple):
    """What a server bears: bytes in one READ, open files; 0 where it does not say."""

    read_max: int
    handles_max: int


def parse_limits(data: bytes) -> Limits:
    """Read the answer to `ask_limits`.

    Raises:
        RemoteProtocolError: It is none.
    """
    if len(data) < _LIMITS.size:
        raise RemoteProtocolError("limits that are cut short")
    _, read_max, _, handles_max = _LIMITS.unpack_from(data)
    return Limits(read_max, handles_max)


class Decoder:
    """Cuts what a server says into answers, in whichever pieces it comes."""

    def __init__(self) -> None:
        self._greeted = False
        self._parts: list[bytes] = []
        self._had = 0
        self._needed = 4

    def feed(self, data: bytes) -> list[Answer | Version]:
        """Take the next bytes; gives the answers that are whole now. The first is the `Version`.

        Raises:
            RemoteProtocolError: This is no SFTP.
        """
        if self._parts or len(data) < self._needed:
            self._parts.append(data)
            self._had += len(data)
            if self._had < self._needed:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        answers: list[Answer | Version] = []
        at = 0
        end = len(data)
        self._needed = 4
        while end - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if not 5 <= length <= ANSWER_MAX:
                raise RemoteProtocolError(f"an answer of {length} bytes: {data[at : at + 40]!r}")
            if end - at - 4 < length:
                self._needed = length + 4
                break
            answers.append(self._answer(data, at, at + 4 + length))
            at += 4 + length
        if at < end:
            self._parts.append(data[at:])
        self._had = end - at
        return answers

    def _answer(self, data: bytes, start: int, end: int) -> Answer | Version:
        if not self._greeted:
            self._greeted = True
            return _parse_version(data, start, end)
        kind = data[start + 4]
        if end - start < 13:
            raise RemoteProtocolError(f"an answer of type {kind} that is cut short")
        _, _, number, first = _HEAD.unpack_from(data, start)
        if kind in (_DATA, _HANDLE):
            if first != end - start - 13 or not first:
                raise RemoteProtocolError(f"{first} bytes in an answer of {end - start - 4}")
            content = data[start + 13 : end]
            return Data(number, content) if kind == _DATA else Handle(number, content)
        if kind == _STATUS:
            said = _text(data, start + 13, end)
            return Status(number, first, said)
        if kind == _ATTRS:
            return _parse_attributes(number, first, data[start + 13 : end])
        if kind == _NAME:
            return _parse_names(number, first, data[start + 13 : end])
        if kind == _EXTENDED_REPLY:
            return Extended(number, data[start + 9 : end])
        raise RemoteProtocolError(f"an answer of the unknown type {kind}")


def _parse_version(data: bytes, start: int, end: int) -> Version:
    if data[start + 4] != _VERSION or end - start < 9:
        raise RemoteProtocolError(f"no greeting: {data[start : start + 40]!r}")
    (version,) = _U32.unpack_from(data, start + 5)
    words: list[bytes] = []
    at = start + 9
    while at < end:
        word, at = _string(data, at, end)
        words.append(word)
    if len(words) % 2:
        raise RemoteProtocolError("an extension without its version")
    return Version(version, dict(zip(words[::2], words[1::2], strict=True)))


def _parse_attributes(number: int, flags: int, data: bytes) -> Attributes:
    at, end = 0, len(data)
    size = mode = None
    if flags & _HAS_SIZE:
        size, at = int.from_bytes(_cut(data, at, 8, end), "big"), at + 8
    if flags & _HAS_OWNER:
        at += 8
    if flags & _HAS_MODE:
        mode = int.from_bytes(_cut(data, at, 4, end), "big")
    return Attributes(number, size, mode)


def _parse_names(number: int, count: int, data: bytes) -> Names:
    """The first name alone: what we ask for has no more, and attributes are of no fixed length."""
    if not count:
        return Names(number, ())
    return Names(number, (_string(data, 0, len(data))[0],))


def _text(data: bytes, at: int, end: int) -> str:
    """A word for people, which early servers leave out."""
    if end - at < 4:
        return ""
    return _string(data, at, end)[0].decode("utf-8", "replace")


def _string(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    size = int.from_bytes(_cut(data, at, 4, end), "big")
    return _cut(data, at + 4, size, end), at + 4 + size


def _cut(data: bytes, at: int, size: int, end: int) -> bytes:
    if end - at < size:
        raise RemoteProtocolError("a field that is longer than its answer")
    return data[at : at + size]
