"""The body of an HTTP request as it comes: of a known length, or in chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from typing import BinaryIO, Protocol

_READ = 1 << 18
_LINE_MAX = 1 << 12
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class Cut(Exception):
    """The client hung up before its end, or sends what is no body."""


class _Reader(Protocol):
    def read1(self, size: int = -1, /) -> bytes: ...


class Body:
    """Bytes that a client still sends. ``ended`` once all were read."""

    def __init__(self, file: BinaryIO, headers: Message) -> None:
        """Of no known length and not in chunks, it is empty."""
        self._file = file
        encoding = (headers.get("Transfer-Encoding") or "").lower()
        length = headers.get("Content-Length") or "0"
        both = encoding and "Content-Length" in headers
        is_length = re.fullmatch("[0-9]{1,18}", length) is not None
        # With both, a proxy and we might not agree where the next request begins.
        self.is_understood = encoding in ("", "chunked") and is_length and not both
        self._chunked = encoding == "chunked"
        self._left = 0 if self._chunked or not self.is_understood else int(length)
        self.ended = self.is_understood and not self._chunked and not self._left

    def chunks(self) -> Iterator[bytes]:
        """What comes, as it comes.

        Raises:
            Cut: It ends too early.
        """
        while not self.ended:
            data = self.read_some(_READ)
            if data:
                yield data

    def read_some(self, size: int) -> bytes:
        """Some bytes; none at the end.

        Raises:
            Cut: It ends too early.
        """
        if self._chunked and not self._left:
            self._next_chunk()
        if self.ended:
            return b""
        data = self._file.read1(min(size, self._left))  # type: ignore[attr-defined]
        if not data:
            raise Cut
        self._left -= len(data)
        if not self._left:
            self._end_piece()
        return bytes(data)

    def _end_piece(self) -> None:
        if not self._chunked:
            self.ended = True
        elif self._file.readline(_LINE_MAX).strip():
            raise Cut

    def _next_chunk(self) -> None:
        head = _CHUNK_HEAD.fullmatch(self._file.readline(_LINE_MAX))
        if head is None:
            raise Cut
        self._left = int(head[1], 16)
        if not self._left:
            while (line := self._file.readline(_LINE_MAX)).strip():
                pass
            if not line:
                raise Cut
            self.ended = True
