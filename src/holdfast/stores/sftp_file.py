"""Files that are read over an SFTP connection: many at once, each in the order of its bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

from ..core.errors import RemoteProtocolError
from ..wire import sftp
from .sftp_connection import SftpConnection

WINDOW = 4 << 20
"""Bytes that are asked for ahead and not yet used up: what we may have to hold in memory."""

SMALL = 256 << 10
"""Up to this size a file is waited for as a whole."""


class Allowance:
    """How many bytes may still be asked for, and the open files that wait to ask, in order."""

    def __init__(self, left: int = WINDOW) -> None:
        self.left = left
        self._waiting: deque[File] = deque()

    def enqueue(self, file: File) -> None:
        """Let a file ask when it is its turn."""
        self._waiting.append(file)
        self.serve()

    def serve(self) -> None:
        """Let files ask, as far as it goes."""
        while self._waiting and self.left > 0:
            if self._waiting[0].ask_more():
                self._waiting.popleft()


class File:
    """A file on its way here, from an offset on: the first of some paths that is there.

    It is opened and its bytes are asked for ahead; they arrive while somebody pumps.
    """

    __slots__ = (
        "_allowance", "_arrived", "_asked", "_chunks", "_connection", "_end", "_expected",
        "_handle", "_held", "_paths", "_unanswered", "error", "is_done", "is_open", "is_small",
        "misses", "path",
    )  # fmt: skip

    def __init__(
        self,
        connection: SftpConnection,
        paths: Iterable[bytes],
        size: int | None,
        allowance: Allowance,
        offset: int = 0,
    ) -> None:
        """Ask for it; ``size`` is how long it is, when that is known. It may prove shorter."""
        self.is_open = False
        """Whether it was found."""
        self.is_done = False
        """Whether no more will arrive: it is whole, or there is an error."""
        self.error: sftp.Status | None = None
        """What the server said instead."""
        self.path = b""
        """The path that was tried last."""
        self.misses = -1
        """How many paths led nowhere."""
        self.is_small = size is not None and size - offset <= SMALL
        """Whether it may be waited for as a whole."""
        self._connection = connection
        self._paths = iter(paths)
        self._allowance = allowance
        self._handle = b""
        self._asked = self._expected = offset
        self._end = size
        self._unanswered = 0
        self._held = 0
        self._chunks: deque[bytes] = deque()
        self._arrived: dict[int, bytes] = {}
        self._try_next()

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in order, until the end or an error."""
        while (chunk := self._next_chunk()) is not None:
            yield chunk

    def wait_until_open(self) -> None:
        """Pump until it was found, or is not there."""
        while not self.is_open and not self.is_done:
            self._connection.pump()

    def whole(self) -> list[bytes]:
        """Pump until all has arrived."""
        while not self.is_done:
            self._pump()
        chunks = list(self._chunks)
        self.abandon()
        return chunks

    def abandon(self) -> None:
        """Want no more of it."""
        self._chunks.clear()
        self._finish()

    def ask_more(self, *, in_any_case: bool = False) -> bool:
        """Ask for bytes, as far as the allowance goes; whether all was asked for."""
        allowance, connection = self._allowance, self._connection
        while not self.is_done:
            size = connection.read_max
            if self._end is not None:
                size = min(size, self._end - self._asked)
                if size <= 0:
                    return True
            if allowance.left <= 0 and not in_any_case:
                return False
            in_any_case = False
            self._ask(self._asked, size)
            self._asked += size
            self._held += size
            allowance.left -= size
        return True

    # while it is read

    def _next_chunk(self) -> bytes | None:
        while not self._chunks:
            if self.is_done:
                return None
            self._pump()
        chunk = self._chunks.popleft()
        size = len(chunk)
        self._held -= size
        self._allowance.left += size
        return chunk

    def _pump(self) -> None:
        self._allowance.serve()
        if self.is_open and not self._unanswered:
            # Files behind this one may hold all of the allowance, and have to wait for this one.
            self.ask_more(in_any_case=True)
        self._connection.pump()

    def _ask(self, offset: int, size: int) -> None:
        self._unanswered += 1
        take = partial(self._take_data, offset, size)
        self._connection.read(take, self._handle, offset, size)

    # what the server says

    def _try_next(self) -> None:
        self.misses += 1
        path = next(self._paths, None)
        if path is None:
            self.is_done = True
            return
        self.path = path
        self._connection.open(self._take_open, path)

    def _take_open(self, answer: sftp.Answer) -> None:
        if isinstance(answer, sftp.Handle):
            self._handle = answer.handle
            self.is_open, self.error = True, None
            if self.is_done or self._end == self._asked:
                self._finish()
            else:
                self._allowance.enqueue(self)
        elif not isinstance(answer, sftp.Status) or answer.code == sftp.OK:
            raise RemoteProtocolError(f"opening a file gives {answer!r:.100}")
        elif not self.is_done:
            self.error = answer
            if answer.code == sftp.NO_SUCH_FILE:
                self._try_next()
            else:
                self._finish()

    def _take_data(self, offset: int, size: int, answer: sftp.Answer) -> None:
        self._unanswered -= 1
        if self.is_done:
            return
        if isinstance(answer, sftp.Data):
            self._arrive(offset, size, answer.data)
        elif not isinstance(answer, sftp.Status) or answer.code == sftp.OK:
            raise RemoteProtocolError(f"reading a file gives {answer!r:.100}")
        elif answer.code == sftp.EOF:
            self._end = offset if self._end is None else min(offset, self._end)
        else:
            self.error = answer
            self._finish()
            return
        if self._end is not None and self._expected >= self._end:
            self._finish()

    def _arrive(self, offset: int, size: int, data: bytes) -> None:
        came = len(data)
        if came != size:
            if came > size:
                raise RemoteProtocolError(f"{came} bytes where {size} were asked for")
            if self._end is not None:
                # It gives no more at a time than that; or the file is shorter than it should be.
                self._connection.cap_reads(came)
            self._ask(offset + came, size - came)
        if offset != self._expected:
            self._arrived[offset] = data
            return
        self._chunks.append(data)
        self._expected += came
        while self._arrived and (more := self._arrived.pop(self._expected, None)) is not None:
            self._chunks.append(more)
            self._expected += len(more)

    def _finish(self) -> None:
        self.is_done = True
        self._arrived.clear()
        ready = sum(map(len, self._chunks))
        self._allowance.left += self._held - ready
        self._held = ready
        if self._handle:
            self._connection.forget(self._handle)
            self._handle = b""
