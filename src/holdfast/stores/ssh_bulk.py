"""Sending many small contents over P2P connections without a round trip for each.

To hold's own program they go one after another, unasked (docs/formats/hold-p2p.md): it answers
when a batch of them is on its disk. git-annex-shell has to be asked for each before its bytes may
go, and takes some milliseconds for each; each next question goes with the content before it, and
callers use several connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
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


def speaks_hold(connection: P2pConnection) -> bool:
    """Whether the other side is hold's own; others say that they do not know the word."""
    if connection.is_hold is None:
        connection.is_hold = isinstance(ask(connection, p2p.Hold(1)).message, p2p.Hold)
    return connection.is_hold


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
        """Wait for all answers; another question makes the server end its batch now."""
        if not self._waiting:
            return
        self._unsent.append(self._connection.session.ask(p2p.GetTimestamp()))
        self._flush()
        yield from self._answers(0, 0)
        _reply(self._connection)

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


def iter_send_in_turn(
    place: Place, connection: P2pConnection, items: Iterable[Item], progress: OnBytes
) -> Iterator[Told]:
    """Send contents one by one; the question for each goes with the content before it."""
    lane = _InTurn(place, connection, progress)
    source = iter(items)
    try:
        for key, content in source:
            yield from lane.take(key, content)
        yield from lane.end()
    except HoldError as error:
        yield from lane.lost(error)
    except BaseException:
        connection.broken = True
        raise


class _InTurn:
    """One content is on its way while the next is read."""

    def __init__(self, place: Place, connection: P2pConnection, progress: OnBytes) -> None:
        self._place = place
        self._connection = connection
        self._progress = progress
        self._asked: _Ready | None = None
        """What the server was asked to take, and has not answered on."""
        self._taken: list[Key] = []

    def take(self, key: Key, content: Content) -> Iterator[Told]:
        """Take the next; gives what became of it, or of those before it."""
        self._taken.append(key)
        if content.size > SMALL:
            yield from self.end()
            yield self._told(key, self._one(key, content))
            return
        try:
            following = _Ready(key, content, b"".join(content.chunks()))
        except HoldError as error:
            yield self._told(key, error)
            return
        question = self._connection.session.ask
        if self._asked is None:
            self._connection.send(question(p2p.Put(b"", key)))
            self._asked = following
        else:
            yield from self._answer(self._asked, following)

    def end(self) -> Iterator[Told]:
        """Send what was asked for last."""
        if self._asked is not None:
            yield from self._answer(self._asked, None)

    def lost(self, error: HoldError) -> Iterator[Told]:
        """The answers of all that were taken, when there will be none."""
        self._connection.broken = True
        for key in self._taken[:]:
            yield self._told(key, error)

    def _answer(self, item: _Ready, following: _Ready | None) -> Iterator[Told]:
        """Send what the server wants of one, and the question for the next along with it."""
        session, data = self._connection.session, item.data
        offset = offset_wanted(self._place, item.key, item.content, _reply(self._connection))
        lines: list[bytes] = []
        if offset is not None:
            lines = [session.begin_content(len(data) - offset), data[offset:]]
            lines.append(session.end_content(len(data), valid=True))
        self._asked = following
        # Where a part is there, it may be wrong: then it is sent once more, before the next.
        if following is not None and not offset:
            lines.append(session.ask(p2p.Put(b"", following.key)))
        if lines:
            self._connection.send(b"".join(lines))
        error = None
        if offset is not None:
            error = _error_of(self._place, item.key, _reply(self._connection).message)
        if offset:
            if error is not None:
                error = self._one(item.key, item.content)
            if following is not None:
                self._connection.send(session.ask(p2p.Put(b"", following.key)))
        self._progress(0 if error else len(data))
        yield self._told(item.key, error)

    def _one(self, key: Key, content: Content) -> HoldError | None:
        try:
            send_one(self._place, self._connection, key, content, self._progress)
        except IntegrityError as error:
            if self._connection.broken:
                raise
            return error
        return None

    def _told(self, key: Key, error: HoldError | None) -> Told:
        self._taken.remove(key)
        return key, error


class _Ready(NamedTuple):
    """Small content to be sent, and its bytes."""

    key: Key
    content: Content
    data: bytes


def _reply(connection: P2pConnection) -> p2p.Reply:
    reply = connection.next()
    assert isinstance(reply, p2p.Reply)
    return reply
