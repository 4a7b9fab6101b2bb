"""Sending many small contents over P2P connections without a round trip for each.

To hold's own program they go one after another, unasked (docs/formats/hold-p2p.md): it answers
when a batch of them is on its disk. git-annex-shell has to be asked for each before its bytes may
go, and takes some milliseconds for each; a few connections side by side help, and each next
question goes with the content before it.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.place import Place
from ..wire import p2p
from .p2p_connection import P2pConnection
from .ssh_sending import ask, not_taken, offset_wanted, patience, refused, send_one

SMALL = 1 << 20
"""Content up to this size is read whole, and sent without waiting."""

WINDOW_FILES = 2048
WINDOW_BYTES = 64 << 20
"""What may be on its way without an answer; more than the other side takes for one batch."""

_WRITE = 1 << 18

Item = tuple[Key, Content]
Told = tuple[Key, HoldError | None]
Connections = tuple[Callable[[], P2pConnection], Callable[[P2pConnection], None]]
"""How to get a connection, and how to give it back."""


def speaks_hold(connection: P2pConnection) -> bool:
    """Whether the other side is hold's own; others say that they do not know the word."""
    return isinstance(ask(connection, p2p.Hold(1)).message, p2p.Hold)


def iter_send_ahead(
    place: Place, connection: P2pConnection, items: Iterable[Item], progress: OnBytes
) -> Iterator[Told]:
    """Send contents to hold's own program, answers following some way behind, in order."""
    sender = _Ahead(place, connection, progress)
    try:
        for key, content in items:
            if content.size > SMALL:
                yield from sender.settle()
                yield key, sender.one(key, content)
            else:
                yield from sender.push(key, content)
        yield from sender.settle()
    except HoldError as error:
        # The connection is lost: each that was taken has no answer but that.
        yield from sender.lost(error)
    except BaseException:
        connection.broken = True
        raise


class _Ahead:
    def __init__(self, place: Place, connection: P2pConnection, progress: OnBytes) -> None:
        self._place = place
        self._connection = connection
        self._progress = progress
        self._waiting: deque[tuple[Key, int]] = deque()
        self._bytes = 0
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._taken: Key | None = None

    def push(self, key: Key, content: Content) -> Iterator[Told]:
        """Send one; gives answers that came to others."""
        self._taken = key
        try:
            data = b"".join(content.chunks())
        except HoldError as error:
            self._taken = None
            yield key, error
            return
        session = self._connection.session
        head = session.ask(p2p.HoldPut(len(data), key))
        self._waiting.append((key, len(data)))
        self._taken = None
        self._bytes += len(data)
        self._unsent += [head, data, session.word_on_content(valid=True)]
        self._unsent_size += len(head) + len(data)
        if self._unsent_size >= _WRITE:
            self._flush()
        if len(self._waiting) >= WINDOW_FILES or self._bytes >= WINDOW_BYTES:
            self._flush()
            yield from self._answers(WINDOW_FILES // 2, WINDOW_BYTES // 2)

    def settle(self) -> Iterator[Told]:
        """Wait for all answers."""
        self._flush()
        yield from self._answers(0, 0)

    def one(self, key: Key, content: Content) -> HoldError | None:
        """Send a large one, while nothing else is on its way."""
        self._taken = key
        try:
            send_one(self._place, self._connection, key, content, self._progress)
        except HoldError as error:
            # Only where bytes here were wrong is the conversation still in order.
            if self._connection.broken or not isinstance(error, IntegrityError):
                raise
            self._taken = None
            return error
        self._taken = None
        return None

    def lost(self, error: HoldError) -> Iterator[Told]:
        """The answers of all that were taken, when there will be none."""
        self._connection.broken = True
        if self._taken is not None:
            yield self._taken, error
        while self._waiting:
            yield self._waiting.popleft()[0], error

    def _flush(self) -> None:
        data, self._unsent, self._unsent_size = b"".join(self._unsent), [], 0
        if data:
            self._connection.send(data)

    def _answers(self, files: int, size: int) -> Iterator[Told]:
        while len(self._waiting) > files or self._bytes > size:
            with patience(self._connection, self._bytes):
                reply = _reply(self._connection)
            key, length = self._waiting.popleft()
            self._bytes -= length
            error = _error_of(self._place, key, reply.message)
            self._progress(0 if error else length)
            yield key, error


def _error_of(place: Place, key: Key, said: p2p.Message) -> HoldError | None:
    if isinstance(said, p2p.Success | p2p.SuccessPlus):
        return None
    return refused(place, said.text) if isinstance(said, p2p.Error) else not_taken(place, key, said)


# git-annex-shell


class _Shared:
    """What is to be sent, for several threads; and what they tell."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()
        self._stopped = False
        self.told: queue.Queue[Told | None] = queue.Queue()
        self.failure: BaseException | None = None

    def next(self) -> Item | None:
        """The next that nobody took."""
        with self._lock:
            if self._stopped:
                return None
            try:
                return next(self._items, None)
            except BaseException as error:
                self._stopped, self.failure = True, error
                return None

    def stop(self) -> None:
        """Give out no more."""
        with self._lock:
            self._stopped = True


def iter_send_side_by_side(
    place: Place, connections: Connections, items: Iterable[Item], progress: OnBytes, lanes: int
) -> Iterator[Told]:
    """Send contents over several connections; answers come in any order."""
    shared = _Shared(items)
    threads = [
        threading.Thread(
            target=_Lane(place, connections, progress, shared).run, name=f"send-{n}", daemon=True
        )
        for n in range(lanes)
    ]
    for thread in threads:
        thread.start()
    running = lanes
    try:
        while running:
            told = shared.told.get()
            if told is None:
                running -= 1
            else:
                yield told
    finally:
        shared.stop()
        for thread in threads:
            thread.join()
    if shared.failure is not None:
        raise shared.failure


class _Lane:
    """One thread with one connection at a time."""

    def __init__(
        self, place: Place, connections: Connections, progress: OnBytes, shared: _Shared
    ) -> None:
        self._place = place
        self._take, self._give_back = connections
        self._progress = progress
        self._shared = shared
        self._taken: list[Key] = []

    def run(self) -> None:
        """Send until there is nothing more; when the place goes away, all taken are told that."""
        try:
            current = self._next()
            while current is not None:
                current = self._with_connection(current)
        except HoldError as error:
            self._shared.stop()
            for key in self._taken[:]:
                self._tell(key, error)
        except BaseException as error:
            self._shared.stop()
            self._shared.failure = error
        finally:
            self._shared.told.put(None)

    def _with_connection(self, current: _Ready) -> _Ready | None:
        connection = self._take()
        try:
            return self._send_all(connection, current)
        except BaseException:
            connection.broken = True
            raise
        finally:
            self._give_back(connection)

    def _send_all(self, connection: P2pConnection, first: _Ready) -> _Ready | None:
        """Send what there is; gives what is left when the connection cannot be used any more."""
        current: _Ready | None = first
        is_asked = False
        while current is not None and not connection.broken:
            if current.data is None:
                self._send_large(connection, current)
                current = self._next()
                continue
            if not is_asked:
                connection.send(connection.session.ask(p2p.Put(b"", current.key)))
            current, is_asked = self._answer(connection, current, current.data)
        return current

    def _answer(
        self, connection: P2pConnection, item: _Ready, data: bytes
    ) -> tuple[_Ready | None, bool]:
        """Send what the server wants, and the question for the next along with it."""
        session = connection.session
        offset = offset_wanted(self._place, item.key, item.content, _reply(connection))
        lines = []
        if offset is not None:
            lines = [session.begin_content(len(data) - offset), data[offset:]]
            lines.append(session.end_content(len(data), valid=True))
        following = self._next() if not offset else None
        is_asked = following is not None and following.data is not None
        if following is not None and is_asked:
            lines.append(session.ask(p2p.Put(b"", following.key)))
        connection.send(b"".join(lines))
        error = None
        if offset is not None:
            error = _error_of(self._place, item.key, _reply(connection).message)
        if offset and error is not None:
            # What an earlier try had left was wrong; it is gone now.
            self._send_large(connection, item)
        else:
            self._progress(0 if error else len(data))
            self._tell(item.key, error)
        return (following if not offset else self._next()), is_asked

    def _send_large(self, connection: P2pConnection, item: _Ready) -> None:
        error: HoldError | None = None
        try:
            send_one(self._place, connection, item.key, item.content, self._progress)
        except IntegrityError as found:
            error = found
        self._tell(item.key, error)

    def _next(self) -> _Ready | None:
        """The next that may be sent; of those whose bytes here are wrong, that is told."""
        while (item := self._shared.next()) is not None:
            key, content = item
            self._taken.append(key)
            if content.size > SMALL:
                return _Ready(key, content, None)
            try:
                return _Ready(key, content, b"".join(content.chunks()))
            except HoldError as error:
                self._tell(key, error)
        return None

    def _tell(self, key: Key, error: HoldError | None) -> None:
        self._taken.remove(key)
        self._shared.told.put((key, error))


class _Ready(NamedTuple):
    """Content to be sent; its bytes, when it is small."""

    key: Key
    content: Content
    data: bytes | None


def _reply(connection: P2pConnection) -> p2p.Reply:
    reply = connection.next()
    assert isinstance(reply, p2p.Reply)
    return reply
