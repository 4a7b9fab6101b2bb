"""Small files that stand side by side in a piece, read with one range: see `Together`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..core.errors import HoldError
from .piece_blocks import FileAt, FilePart
from .pieces import OpenedPiece, read

TOGETHER_MAX = 8 << 20
"""So much comes with one range at most."""
APART_MAX = 1 << 16
"""So many bytes between two contents may come along for nothing."""


@dataclass
class _Span:
    """A range of a piece with several contents, read when the first is asked for."""

    copies: Sequence[OpenedPiece]
    offset: int
    end: int
    left: int = 0
    data: bytes | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Together:
    """Files that will be asked for soon, and what was read of them. Any thread may `use` them."""

    def __init__(self) -> None:
        self._spans: dict[bytes, _Span] = {}
        self._newest: _Span | None = None
        self._lock = threading.Lock()

    def expect(self, name: bytes, file: FileAt) -> None:
        """Say that a file, by whatever name, is going to be used; in the order they stand in."""
        if name in self._spans or len(file.parts) != 1 or file.parts[0].length > TOGETHER_MAX:
            return
        if file.blocks is not None:
            return  # it is read by its blocks, wherever these are
        part = file.parts[0]
        with self._lock:
            span = self._newest
            if span is None or span.data is not None or not _is_near(span, part):
                self._newest = span = _Span(part.copies, part.offset, part.offset)
            span.end = part.offset + part.length
            span.left += 1
            self._spans[name] = span

    def use(self, name: bytes, file: FileAt) -> FileAt:
        """The same file, to be read from what came along with others where that is at hand."""
        span = self._spans.pop(name, None)
        return file if span is None else _out_of(span, file)

    def forget(self) -> None:
        """Let go of everything."""
        self._spans.clear()
        self._newest = None


def _is_near(span: _Span, part: FilePart) -> bool:
    return (
        span.copies is part.copies
        and 0 <= part.offset - span.end <= APART_MAX
        and part.offset + part.length - span.offset <= TOGETHER_MAX
    )


def _out_of(span: _Span, file: FileAt) -> FileAt:
    """The same file, read from a span before its piece."""
    with span.lock:
        span.left -= 1
        if span.data is None:
            if not span.left:
                return file  # nobody else is in it
            try:
                span.data = read(span.copies[0], span.offset, span.end - span.offset)
            except HoldError:
                span.data = b""
                return file  # it may go right with less, or from another copy
        first = _Held(span.copies[0], span.data, span.offset)
        if not span.left:
            span.data = b""
    [part] = file.parts
    return file._replace(parts=[part._replace(copies=[first, *span.copies])])


class _Held:
    """Bytes of a piece that are in memory."""

    def __init__(self, piece: OpenedPiece, data: bytes, offset: int) -> None:
        self.name, self.size = piece.name, piece.size
        self._data = data
        self._offset = offset

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        at = offset - self._offset
        yield self._data[at : at + length]
