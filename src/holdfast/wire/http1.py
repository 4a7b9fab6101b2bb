"""HTTP/1.1 for many small requests: the head of a request, and a strict reader of plain answers.

The reader takes bytes however they were split, and knows only what servers usually send. What is
unusual, though it may be right, is left to somebody who looks longer. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

HEAD_MAX = 1 << 14
"""How long the head of an answer may be, or what follows the chunks of a body."""

_CHUNK_LINE_MAX = 256
_HEADER = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*"
_HEAD = re.compile(rb"HTTP/1\.1 [2-5][0-9][0-9](?: [^\r\n\0]*)?(?:\r\n%b)*" % _HEADER)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n\0]*)?")
_BODILESS = frozenset((204, 304))
_DIGITS_MAX = 16


class UnusualError(Exception):
    """An answer is not of the plain kind that is read here, or it is none."""


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request, with its empty line."""
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
    head = "\r\n".join([*lines, "", ""])
    ends = head.count("\n"), head.count("\r")
    assert ends == (len(lines) + 1,) * 2, "no line can hold a line's end"
    return head.encode("latin-1")


def _values_of(head: bytes, name: bytes) -> list[bytes]:
    """What a head, in lower case, says under a name, as often as it does."""
    pieces = head.split(b"\r\n%b:" % name)
    return [piece.partition(b"\r\n")[0].strip(b" \t") for piece in pieces[1:]]


def headers_of(head: bytes) -> dict[str, str]:
    """The headers of an answer, by names in lower case; of one that comes twice, the last."""
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.lower(): value.strip(" \t") for name, _, value in lines}


class AnswerReader:
    """Reads answers from one connection, one after the other: `begin`, then `feed` until True."""

    def __init__(self, body_max: int) -> None:
        """A body longer than that is unusual."""
        self._body_max = body_max
        self.begin("GET")

    def begin(self, method: str) -> None:
        """Expect the answer to a request."""
        self.status = 0
        self.head = b""
        """Its first lines, without the empty one."""
        self.body = b""
        self.closes = False
        """Whether the connection is of no use after this answer."""
        self._has_body = method != "HEAD"
        self._kept = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._left = 0
        self._following: Callable[[], bool] | None = None
        self._stage: Callable[[], bool] | None = self._read_head

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; whether the answer is whole now.

        Raises:
            UnusualError: It cannot be read here; its connection is of no more use.
        """
        self._kept = self._kept + data if self._kept else data
        while self._stage is not None:
            if not self._stage():
                return False
        # What nobody asked for follows: whatever it is, it answers nothing.
        self.closes = self.closes or bool(self._kept)
        self.body = b"".join(self._parts)
        self._parts.clear()
        return True

    # Each stage says whether it came to its end, and which one follows.

    def _read_head(self) -> bool:
        end = self._kept.find(b"\r\n\r\n", 0, HEAD_MAX)
        if end < 0:
            if len(self._kept) >= HEAD_MAX:
                raise UnusualError("the head is too long")
            return False
        head, self._kept = self._kept[:end], self._kept[end + 4 :]
        if _HEAD.fullmatch(head) is None:
            raise UnusualError("no head of an answer of HTTP/1.1")
        self.head = head
        self.status = int(head[9:12])
        self._stage = self._body_stage(head.lower())
        return True

    def _body_stage(self, head: bytes) -> Callable[[], bool] | None:
        if b"\r\nconnection:" in head:
            said = _values_of(head, b"connection")
            self.closes = said != [b"keep-alive"]
        lengths = _values_of(head, b"content-length")
        codings = _values_of(head, b"transfer-encoding") if b"\r\ntransfer-" in head else []
        if len(lengths) + len(codings) > 1:
            raise UnusualError("two ways to tell where the answer ends")
        if not self._has_body or self.status in _BODILESS:
            return None
        if codings:
            if codings != [b"chunked"]:
                raise UnusualError("a body in another coding")
            return self._read_chunk_line
        if not lengths or not (lengths[0].isdigit() and len(lengths[0]) < _DIGITS_MAX):
            raise UnusualError("a body of no known length")
        return self._expect(int(lengths[0]), None)

    def _expect(self, size: int, following: Callable[[], bool] | None) -> Callable[[], bool] | None:
        self._size += size
        if self._size > self._body_max:
            raise UnusualError("the body is too long")
        self._left, self._following = size, following
        return self._read_piece if size else following

    def _read_piece(self) -> bool:
        piece, self._kept = self._kept[: self._left], self._kept[self._left :]
        self._parts.append(piece)
        self._left -= len(piece)
        if self._left:
            return False
        self._stage = self._following
        return True

    def _read_chunk_line(self) -> bool:
        line = self._take_line(_CHUNK_LINE_MAX)
        if line is None:
            return False
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise UnusualError("a chunk has no size")
        size = int(found[1], 16)
        self._stage = self._expect(size, self._read_chunk_end) if size else self._read_trailer
        return True

    def _read_chunk_end(self) -> bool:
        line = self._take_line(2)
        if line is None:
            return False
        self._stage = self._read_chunk_line
        return True

    def _read_trailer(self) -> bool:
        line = self._take_line(max(0, HEAD_MAX - self._left))
        if line is None:
            return False
        self._left += len(line) + 2  # all lines together are bounded
        if not line:
            self._stage = None
        elif re.fullmatch(_HEADER, line) is None:
            raise UnusualError("what follows the chunks is no header")
        return True

    def _take_line(self, size_max: int) -> bytes | None:
        """The next line, without its end; None when it is not there yet."""
        end = self._kept.find(b"\r\n", 0, size_max)
        if end < 0:
            if len(self._kept) >= size_max:
                raise UnusualError("a line is too long")
            return None
        line, self._kept = self._kept[:end], self._kept[end + 2 :]
        return line
