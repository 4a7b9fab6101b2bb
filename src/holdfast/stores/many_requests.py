"""Many small requests to one server: one thread drives all connections, none waits for another.

For answers of a few KiB a thread for each costs more than the work itself. What is out of the
ordinary (a connection that ends or stalls, an answer that is not plain HTTP) is not judged here:
its request is given back as not answered, to be made again by somebody who looks longer.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from ..wire.http1 import AnswerReader, UnusualError, headers_of

Tag = TypeVar("Tag")

_RECEIVE = 1 << 16
_LOOK_S = 1.0
_ERRORS = (OSError, UnusualError)


class Request(NamedTuple):
    """What is sent: the method decides what the answer looks like, all else is in the bytes."""

    method: str
    head: bytes
    body: bytes | bytearray = b""


class Answered(NamedTuple):
    """A whole answer."""

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By names in lower case."""
        return headers_of(self.head)


class ManyRequests:
    """Connections to one server that are kept; several threads may use it, each its own ones."""

    def __init__(
        self, dial: Callable[[], socket.socket], *, lanes: int, stall_s: float, body_max: int
    ) -> None:
        """``dial`` connects, with all the care that is due; it is called in threads of its own.

        ``lanes`` is how many connections one round of requests uses, ``stall_s`` how long one may
        be silent, ``body_max`` how long an answer may be.
        """
        self.dial = dial
        self.lanes = lanes
        self.stall_s = stall_s
        self.body_max = body_max
        self.is_closed = False
        self._idle: list[_Line] = []
        self._rounds: set[Waker] = set()
        self._lock = threading.Lock()

    def iter_answers(
        self, requests: Iterable[tuple[Tag, Request | None] | None]
    ) -> Iterator[tuple[Tag, Answered | None]]:
        """Make requests, each once, and give their answers in any order.

        None is for a request that got no plain answer; the server may have acted on it or not.
        Requests are taken as connections have room for them. None in place of one comes back as
        it is, at once; None in place of both says that there is nothing now, and is the end when
        nothing is on its way.
        """
        with Waker() as waker:
            with self._lock:
                self._rounds.add(waker)
            one = _Round[Tag](self, waker, iter(requests))
            try:
                yield from one.iter_answers()
            finally:
                with self._lock:
                    self._rounds.discard(waker)
                one.end()

    def close(self) -> None:
        """End all connections; what is on its way is not answered. For any thread."""
        self.is_closed = True
        with self._lock:
            idle, self._idle = self._idle, []
            for waker in self._rounds:
                waker.wake()
        for line in idle:
            line.sock.close()

    def take_idle(self) -> list[_Line]:
        """The connections that are kept, to be given back."""
        with self._lock:
            idle, self._idle = self._idle, []
        return idle

    def keep(self, lines: Iterable[_Line]) -> None:
        """Take connections back that wait for no answer."""
        with self._lock:
            for line in lines:
                if self.is_closed or len(self._idle) >= self.lanes:
                    line.sock.close()
                else:
                    self._idle.append(line)


class Waker:
    """Wakes a thread that waits in a selector."""

    def __init__(self) -> None:
        self.reader, self._writer = socket.socketpair()
        self.reader.settimeout(0)
        self._writer.settimeout(0)
        self._lock = threading.Lock()

    def wake(self) -> None:
        """For any thread, also when nobody waits any more."""
        with self._lock, suppress(OSError):
            self._writer.send(b"!")

    def listen(self) -> None:
        """Take note of having been woken."""
        with suppress(BlockingIOError):
            self.reader.recv(4096)

    def __enter__(self) -> Waker:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._writer.close()
        self.reader.close()


class _Line:
    """One connection: at most one request at a time is on it."""

    __slots__ = ("later", "reader", "since", "sock", "tag", "unsent")

    def __init__(self, sock: socket.socket, body_max: int) -> None:
        sock.settimeout(0)
        self.sock = sock
        self.later = _later_errors(sock)
        self.reader = AnswerReader(body_max)
        self.tag: object = None
        self.unsent: memoryview | None = None
        self.since = 0.0

    def begin(self, tag: object, request: Request) -> None:
        """Send as much of a request as goes at once: head and body as one piece."""
        self.tag = tag
        self.reader.begin(request.method)
        whole = request.head + request.body
        try:
            sent = self.sock.send(whole)
        except self.later:
            sent = 0
        self.unsent = None if sent == len(whole) else memoryview(whole)[sent:]

    def push(self) -> None:
        """Go on sending."""
        try:
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
        except self.later:
            return
        self.unsent = None

    def pull(self) -> bool:
        """Read what is there; whether the answer is whole."""
        while True:
            try:
                data = self.sock.recv(_RECEIVE)
            except self.later:
                return False
            if not data:
                raise UnusualError("the connection ended")
            if self.reader.feed(data):
                return True

    def has_more(self) -> bool:
        """Whether TLS holds bytes back that no selector would tell of."""
        pending = getattr(self.sock, "pending", None)
        return pending is not None and pending() > 0

    def is_quiet(self) -> bool:
        """Whether nothing came that nobody asked for, and the other end did not close."""
        try:
            self.sock.recv(1)
        except self.later:
            return True
        except OSError:
            pass
        return False


def _later_errors(sock: socket.socket) -> tuple[type[OSError], ...]:
    """What a socket says when it has to be asked again later."""
    if not hasattr(sock, "pending"):
        return (BlockingIOError,)
    import ssl  # late: it is slow to import, and in use if this is one of its sockets

    return (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Round(Generic[Tag]):
    """The requests of one caller and the connections they go over."""

    def __init__(
        self,
        many: ManyRequests,
        waker: Waker,
        requests: Iterator[tuple[Tag, Request | None] | None],
    ) -> None:
        self._many = many
        self._waker = waker
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._selector.register(waker.reader, selectors.EVENT_READ, None)
        self._busy: set[_Line] = set()
        self._idle: list[_Line] = []
        self._waiting: deque[tuple[Tag, Request]] = deque()
        self._dialled: deque[socket.socket | None] = deque()
        self._dialling = 0
        self._lanes = many.lanes
        self._is_open = True
        self._lock = threading.Lock()
        self._waited_s = 0.0
        """How long was waited for the server in all: time that a caller takes is no stall."""
        self._looked = 0.0
        for line in many.take_idle():
            self._take_in(line)

    def iter_answers(self) -> Iterator[tuple[Tag, Answered | None]]:
        done: list[tuple[Tag, Answered | None]] = []
        while True:
            self._give_work(done)
            if not done and not self._busy and not self._waiting:
                return
            if not done:
                self._wait(done)
            yield from done
            done.clear()
            if self._many.is_closed:
                yield from self._give_up()
                return

    def end(self) -> None:
        """Keep what can be used again."""
        with self._lock:
            self._is_open = False
            late = list(self._dialled)
        for sock in late:
            if sock is not None:
                self._idle.append(_Line(sock, self._many.body_max))
        self._selector.close()
        for line in self._busy:
            line.sock.close()
        self._many.keep(self._idle)

    def _give_up(self) -> Iterator[tuple[Tag, None]]:
        for line in self._busy:
            yield line.tag, None  # type: ignore[misc]
        while self._waiting:
            yield self._waiting.popleft()[0], None

    # work for lines

    def _give_work(self, done: list[tuple[Tag, Answered | None]]) -> None:
        """Take requests while there is room, and put them on lines."""
        while len(self._busy) + len(self._waiting) < self._lanes:
            item = next(self._requests, None)
            if item is None:
                break
            tag, request = item
            if request is None:
                done.append((tag, None))
                break
            self._waiting.append((tag, request))
            self._start_waiting(done)
        self._start_waiting(done)
        room = self._lanes - len(self._busy)
        for _ in range(min(len(self._waiting), room) - self._dialling):
            self._dialling += 1
            threading.Thread(target=self._dial, name="dial", daemon=True).start()

    def _start_waiting(self, done: list[tuple[Tag, Answered | None]]) -> None:
        while self._waiting and self._idle:
            line = self._idle.pop()
            tag, request = self._waiting.popleft()
            line.since = self._waited_s
            self._busy.add(line)
            try:
                line.begin(tag, request)
                if line.unsent:
                    self._listen(line, selectors.EVENT_READ | selectors.EVENT_WRITE)
            except _ERRORS:
                self._lose(line, done)

    def _dial(self) -> None:
        sock: socket.socket | None = None
        # Whatever it is, whoever makes the request again will meet the same, and tell it.
        with suppress(Exception):
            sock = self._many.dial()
        with self._lock:
            if self._is_open:
                self._dialled.append(sock)
                sock = None
        if sock is not None:
            self._many.keep([_Line(sock, self._many.body_max)])
        self._waker.wake()

    # what comes

    def _wait(self, done: list[tuple[Tag, Answered | None]]) -> None:
        began = time.monotonic()
        ready = self._selector.select(min(_LOOK_S, self._many.stall_s / 4))
        self._waited_s += time.monotonic() - began
        for key, mask in ready:
            if key.data is None:
                self._waker.listen()
                self._take_dialled(done)
            elif key.data in self._busy:
                self._go_on(key.data, mask, done)
            elif not key.data.is_quiet():
                self._idle.remove(key.data)
                self._drop(key.data)
        if self._waited_s - self._looked > min(_LOOK_S, self._many.stall_s / 4):
            self._looked = self._waited_s
            for line in [one for one in self._busy if self._has_stalled(one)]:
                self._lose(line, done)

    def _has_stalled(self, line: _Line) -> bool:
        return self._waited_s - line.since > self._many.stall_s

    def _take_dialled(self, done: list[tuple[Tag, Answered | None]]) -> None:
        while self._dialled:
            sock = self._dialled.popleft()
            self._dialling -= 1
            if sock is not None:
                self._take_in(_Line(sock, self._many.body_max))
            elif self._busy or self._idle:  # the server has no more of them for us
                self._lanes = max(1, len(self._busy) + len(self._idle))
            elif self._waiting:
                done.append((self._waiting.popleft()[0], None))

    def _go_on(self, line: _Line, mask: int, done: list[tuple[Tag, Answered | None]]) -> None:
        line.since = self._waited_s
        try:
            if line.unsent and mask & selectors.EVENT_WRITE:
                line.push()
                if not line.unsent:
                    self._listen(line, selectors.EVENT_READ)
            if mask & selectors.EVENT_READ and line.pull():
                self._answered(line, done)
        except _ERRORS:
            self._lose(line, done)

    def _answered(self, line: _Line, done: list[tuple[Tag, Answered | None]]) -> None:
        reader = line.reader
        if line.unsent:  # it answers what it has not read: that is a refusal
            raise UnusualError("an answer before the end of the request")
        done.append((line.tag, Answered(reader.status, reader.head, reader.body)))  # type: ignore[arg-type]
        self._busy.discard(line)
        line.tag = None
        reader.body = b""
        if reader.closes or line.has_more():
            self._drop(line)
        else:
            self._idle.append(line)

    def _lose(self, line: _Line, done: list[tuple[Tag, Answered | None]]) -> None:
        done.append((line.tag, None))  # type: ignore[arg-type]
        self._busy.discard(line)
        self._drop(line)

    def _take_in(self, line: _Line) -> None:
        self._selector.register(line.sock, selectors.EVENT_READ, line)
        self._idle.append(line)

    def _listen(self, line: _Line, events: int) -> None:
        self._selector.modify(line.sock, events, line)

    def _drop(self, line: _Line) -> None:
        self._selector.unregister(line.sock)
        line.sock.close()
