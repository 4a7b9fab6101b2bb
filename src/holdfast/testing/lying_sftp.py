"""An SFTP server for tests: serves this machine's files over its own pipes, honestly or not.

`python -m holdfast.testing.lying_sftp LIE` is one such server; `command` gives the call.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from struct import pack, unpack_from

from ..wire import sftp

_FAILURE = 4
_SHORT = 1000
_BREAKS_AFTER = 20
_LEGION = 7


class Lie(StrEnum):
    """One way not to be a good server, or an odd one that is allowed."""

    HONEST = "honest"
    PLAIN = "plain"
    """No extensions."""
    SHORT = "short"
    """Fewer bytes than asked for."""
    BACKWARDS = "backwards"
    """Answers out of order."""
    BREAK = "break"
    """Ends after some answers."""
    DEAD = "dead"
    """Ends at the first file."""
    MUTE = "mute"
    """Never says anything."""
    OLD = "old"
    """Speaks version 2."""
    BANNER = "banner"
    """Greets people first."""
    NONSENSE = "nonsense"
    """Answers requests that nobody made."""
    LONG = "long"
    """More bytes than asked for."""
    FLIP = "flip"
    """Other bytes than there are."""
    REFUSE = "refuse"
    """No content may be opened."""
    FAIL = "fail"
    """No content can be read."""


def command(lie: Lie = Lie.HONEST) -> list[str]:
    """What to call for such a server."""
    return [sys.executable, "-m", __name__, lie]


def encode(answer: sftp.Answer | sftp.Version) -> bytes:
    """What a server says, as bytes."""
    if isinstance(answer, sftp.Version):
        words = [word for pair in answer.extensions.items() for word in pair]
        return _packed(2, pack(">I", answer.version) + b"".join(map(_string, words)))
    if isinstance(answer, sftp.Status):
        body = pack(">I", answer.code) + _string(answer.message.encode()) + _string(b"en")
        return _packed(101, pack(">I", answer.number) + body)
    if isinstance(answer, sftp.Handle):
        return _packed(102, pack(">I", answer.number) + _string(answer.handle))
    if isinstance(answer, sftp.Data):
        return _packed(103, pack(">I", answer.number) + _string(answer.data))
    if isinstance(answer, sftp.Names):
        names = b"".join(_string(path) + _string(path) + pack(">I", 0) for path in answer.paths)
        return _packed(104, pack(">II", answer.number, len(answer.paths)) + names)
    if isinstance(answer, sftp.Attributes):
        flags = (answer.size is not None) | (answer.mode is not None) << 2
        size = b"" if answer.size is None else pack(">Q", answer.size)
        mode = b"" if answer.mode is None else pack(">I", answer.mode)
        return _packed(105, pack(">II", answer.number, flags) + size + mode)
    return _packed(201, pack(">I", answer.number) + answer.data)


def _packed(kind: int, body: bytes) -> bytes:
    return pack(">IB", 1 + len(body), kind) + body


def _string(data: bytes) -> bytes:
    return pack(">I", len(data)) + data


class _Server:
    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self._open: dict[bytes, int] = {}
        self._given = 0

    def answer(self, request: bytes) -> sftp.Answer | sftp.Version:
        kind = request[0]
        if kind == 1:
            extensions = {} if self._lie is Lie.PLAIN else {sftp.LIMITS: b"1"}
            return sftp.Version(2 if self._lie is Lie.OLD else sftp.VERSION, extensions)
        (number,) = unpack_from(">I", request, 1)
        (size,) = unpack_from(">I", request, 5)
        first, rest = request[9 : 9 + size], request[9 + size :]
        try:
            return self._do(kind, number, first, rest)
        except FileNotFoundError as error:
            return sftp.Status(number, sftp.NO_SUCH_FILE, str(error))
        except PermissionError as error:
            return sftp.Status(number, sftp.PERMISSION_DENIED, str(error))
        except OSError as error:
            return sftp.Status(number, _FAILURE, str(error))

    def _do(self, kind: int, number: int, first: bytes, rest: bytes) -> sftp.Answer:
        lie = self._lie
        is_content = b"annex/objects" in first
        if kind == 3:
            if is_content and lie is Lie.DEAD:
                os._exit(0)
            if is_content and lie is Lie.REFUSE:
                raise PermissionError("so there")
            handle = b"%d" % os.open(first, os.O_RDONLY)
            self._open[handle] = is_content
            return sftp.Handle(number + (lie is Lie.NONSENSE and is_content), handle)
        if kind == 4:
            os.close(int(first))
            del self._open[first]
            return sftp.Status(number, sftp.OK, "")
        if kind == 5:
            return self._read(number, first, *unpack_from(">QI", rest))
        if kind == 17:
            found = os.stat(first)
            return sftp.Attributes(number, found.st_size, found.st_mode)
        if kind == 200 and first == sftp.LIMITS:
            return sftp.Extended(number, pack(">QQQQ", 1 << 18, 1 << 17, 1 << 17, 100))
        return sftp.Status(number, 8, "not supported")

    def _read(self, number: int, handle: bytes, offset: int, size: int) -> sftp.Answer:
        lie = self._lie if self._open[handle] else Lie.HONEST
        if lie is Lie.FAIL:
            raise OSError("the disk is on fire")
        self._given += 1
        if lie is Lie.BREAK and self._given > _BREAKS_AFTER:
            os._exit(_LEGION)
        data = os.pread(int(handle), min(size, _SHORT) if lie is Lie.SHORT else size, offset)
        if not data:
            return sftp.Status(number, sftp.EOF, "")
        if lie is Lie.FLIP:
            data = bytes([data[0] ^ 1]) + data[1:]
        return sftp.Data(number, data + b"more" if lie is Lie.LONG else data)


def _requests() -> Iterator[list[bytes]]:
    """What was asked, as much at a time as has come."""
    waiting = b""
    while data := os.read(0, 1 << 16):
        waiting += data
        requests = []
        while len(waiting) >= 4 and len(waiting) >= (size := 4 + unpack_from(">I", waiting)[0]):
            requests.append(waiting[4:size])
            waiting = waiting[size:]
        yield requests


def main(lie: Lie) -> None:
    """Serve until the other side ends."""
    server = _Server(lie)
    if lie is Lie.BANNER:
        os.write(1, b"Welcome to the machine!\n")
    for requests in _requests():
        if lie is Lie.MUTE:
            time.sleep(60)
        answers: Iterable[bytes] = (encode(server.answer(request)) for request in requests)
        if lie is Lie.BACKWARDS:
            answers = reversed(list(answers))
        for data in answers:
            while data:
                data = data[os.write(1, data) :]


if __name__ == "__main__":
    main(Lie(sys.argv[1]))
