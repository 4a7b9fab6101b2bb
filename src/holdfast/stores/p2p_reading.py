"""Requests that are sent ahead over a P2P connection, and the answers as they are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from ..core import faults
from ..core.abilities import Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place
from ..wire import p2p
from .p2p_connection import P2pConnection

WINDOW = 14_000
"""Bytes of requests that may be unanswered: less than the smallest pipe holds, so that we never
wait to write while the other side waits to write."""

WINDOW_CONTENT = 64 << 20
"""Bytes of content that may be asked for ahead."""

_SMALL = 1 << 16


class Reading:
    """The answer to one GET, as far as it has come."""

    def __init__(self, place: Place, connection: P2pConnection, key: Key) -> None:
        self._place = place
        self._connection = connection
        self._key = key
        self._left = 0
        self._done = False

    def begin(self, offset: int) -> int:
        """Wait for the answer; the size of the whole content.

        Raises:
            NotFoundError: It is not there.
        """
        event = self._connection.next()
        assert isinstance(event, p2p.ContentBegins)
        assert event.request.key == self._key
        self._left = event.size
        if not event.size:
            valid = self._end(self._connection.next())
            if not valid or self._key.size not in (None, offset):
                raise faults.NOT_THERE(
                    place=self._place.label, key=self._key.text, detail="it sends nothing of it"
                )
        return offset + event.size

    def stream_or_error(self) -> Stream | HoldError:
        """The stream from the start, or why there is none; a lost connection too."""
        try:
            return Stream(0, self.begin(0), self.chunks())
        except HoldError as error:
            return error

    def chunks(self) -> Iterator[bytes]:
        """The bytes.

        Raises:
            IntegrityError: The server says afterwards that they are not the content.
        """
        while not self._done:
            event = self._connection.next()
            if isinstance(event, p2p.ContentBytes):
                self._left -= len(event.data)
                yield event.data
            elif not self._end(event):
                raise faults.WRONG_CONTENT(
                    source=self._place.label,
                    key=self._key.text,
                    detail="it says itself that what it sent is not valid; it may have changed",
                    next="git annex fsck there",
                )

    @property
    def is_nearly_done(self) -> bool:
        """Whether reading the rest costs less than a new connection."""
        return self._left <= _SMALL

    def pass_over(self) -> None:
        """Read what the consumer left; if the connection broke, raise what it broke with."""
        if self._connection.broken and not self._done:
            raise self._connection.failure or faults.UNREACHABLE(
                place=self._place.label, detail="the connection was lost"
            )
        while not self._done:
            event = self._connection.next()
            if isinstance(event, p2p.ContentEnds):
                self._end(event)
            elif isinstance(event, p2p.ContentBytes):
                self._left -= len(event.data)

    def _end(self, event: p2p.Event) -> bool:
        assert isinstance(event, p2p.ContentEnds)
        self._done, self._left = True, 0
        return event.valid


class Ahead:
    """Sends GETs ahead, as many as the window allows."""

    def __init__(self, connection: P2pConnection, keys: Iterator[Key]) -> None:
        self.waiting: deque[tuple[Key, int]] = deque()
        self._connection = connection
        self._keys = keys
        self._requests = 0
        self._content = 0
        self._unsent: list[Key] = []

    def next(self) -> Key | None:
        """The key whose answer comes next; None when all are answered."""
        self._fill()
        if not self.waiting:
            return None
        key, size = self.waiting[0]
        self._requests -= size
        self._content -= key.size or 0
        self.waiting.popleft()
        return key

    def unanswered(self) -> Iterator[Key]:
        """The keys that were taken and will have no answer."""
        while self.waiting:
            yield self.waiting.popleft()[0]

    def _fill(self) -> None:
        # Refilled by halves: each write to the pipe wakes the other side, which costs.
        if self._requests > WINDOW // 2 and self.waiting:
            return
        session, batch = self._connection.session, []
        while self._requests < WINDOW and self._content < WINDOW_CONTENT:
            key = next(self._keys, None)
            if key is None:
                break
            line = session.ask(p2p.Get(0, b"", key)) + session.close_get(success=True)
            batch.append(line)
            self.waiting.append((key, len(line)))
            self._requests += len(line)
            self._content += key.size or 0
        if batch:
            self._connection.send(b"".join(batch))


def iter_replies(
    connection: P2pConnection, questions: Iterable[p2p.CheckPresent]
) -> Iterator[p2p.Reply]:
    """The replies to questions, in order, that are sent ahead within the window."""
    source = iter(questions)
    sizes: deque[int] = deque()
    while True:
        batch, total = [], sum(sizes)
        while total < WINDOW and (question := next(source, None)) is not None:
            batch.append(connection.session.ask(question))
            sizes.append(len(batch[-1]))
            total += len(batch[-1])
        if batch:
            connection.send(b"".join(batch))
        if not sizes:
            return
        for _ in range((len(sizes) + 1) // 2):
            sizes.popleft()
            reply = connection.next()
            assert isinstance(reply, p2p.Reply)
            yield reply
