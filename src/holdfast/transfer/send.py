"""Many contents on their way to one place: lanes of threads, small ones in bulk where it can.

What is on its way is bounded, so memory does not grow with what is sent. A sending that broke off
is tried once more, after the others; a place that fails again and again is asked no more.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..core.abilities import (
    BulkSendable,
    Content,
    Sendable,
    bytes_for_a_lane,
    limits_of_sending,
    waiting_bytes,
)
from ..core.errors import HoldError, PlaceFullError, PlaceUnavailableError
from ..core.key import Key
from ..core.progress import Progress, Silence
from .carry import BULK_SIZE_MAX, FAILURES_MAX
from .inbox import Inbox

ON_WAY_MAX = 2000
_GOOD_BYE_S = 5.0

ContentOf = Callable[[Key], Content]
"""Opens the content of a key, to be sent; raises a HoldError when it is not here any more."""


class Sent(NamedTuple):
    """How one content's sending ended: ``error`` None when it is there, whole."""

    path: str
    key: Key
    size: int
    error: HoldError | None


class _Task:
    __slots__ = ("content", "key", "path", "tries")

    def __init__(self, path: str, key: Key, content: Content) -> None:
        self.path = path
        self.key = key
        self.content = content
        self.tries = 0


def iter_send(
    items: Iterable[tuple[str, Key]],
    target: Sendable,
    content_of: ContentOf,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> Iterator[Sent]:
    """Send contents to a place, telling of each when it has ended; each key is to be named once.

    ``jobs`` is how many go on at a time. Closing the iterator, or Ctrl-C, stops soon: what has
    arrived is kept. ``on_stop`` is called when all ends, before lanes are waited for: it wakes
    those that wait.
    """
    sender = _Sender(target, max(1, jobs), progress or Silence())
    try:
        for path, key in items:
            try:
                task = _Task(path, key, content_of(key))
            except HoldError as error:
                yield Sent(path, key, 0, error)
                continue
            sender.put(task)
            yield from sender.ended(wait=sender.on_way >= ON_WAY_MAX)
        while sender.on_way:
            yield from sender.ended(wait=True)
    finally:
        sender.stop(on_stop)


class _Stopped(BaseException):
    """Unwinds a lane's thread when all is stopping."""


class _Sender:
    """The lanes to one place. Used by the caller's thread; lanes report back."""

    def __init__(self, target: Sendable, jobs: int, progress: Progress) -> None:
        self.on_way = 0
        self._target = target
        self._bulk = target if isinstance(target, BulkSendable) else None
        self._jobs = jobs
        self._lane_bytes = bytes_for_a_lane(target)
        self._progress = progress
        limits = limits_of_sending(target)
        self._size_max = min(BULK_SIZE_MAX, limits.size_max or BULK_SIZE_MAX)
        self._bulk_lanes = min(jobs, limits.lanes or jobs)
        self._in_bulk = 0
        self._small: deque[_Task] = deque()
        self._large: deque[_Task] = deque()
        self._again: deque[_Task] = deque()
        self._ready = threading.Condition()
        self._ended: Inbox[Sent | BaseException] = Inbox()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._failures = 0
        self._gone: HoldError | None = None

    # for the caller's thread

    def put(self, task: _Task) -> None:
        """Queue a task; threads are started as there is work for them."""
        self.on_way += 1
        with self._ready:
            (self._small if self._is_small(task) else self._large).append(task)
            self._ready.notify()
            count = len(self._small) + len(self._large)
            waiting = waiting_bytes(count, task.content.size)
        lanes = len(self._threads)
        if not lanes or (lanes < self._jobs and waiting >= self._lane_bytes):
            thread = threading.Thread(target=self._run, name="send", daemon=True)
            self._threads.append(thread)
            thread.start()

    def ended(self, *, wait: bool) -> Iterator[Sent]:
        """What has ended since it was last asked."""
        for sent in self._ended.take(wait=wait and self.on_way > 0):
            if isinstance(sent, BaseException):
                raise sent
            self.on_way -= 1
            yield sent

    def stop(self, on_stop: Callable[[], None]) -> None:
        """End all lanes; what hangs in the place is left to its own limits of time."""
        with self._ready:
            self._stopping = True
            self._ready.notify_all()
        on_stop()
        for thread in self._threads:
            thread.join(_GOOD_BYE_S)

    # for the lanes

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                if self._gone is not None:
                    self._tell(task, self._gone)
                elif self._bulk is not None and self._is_small(task):
                    self._send_many(self._bulk, task)
                else:
                    self._send_one(task)
                self._done(task)
        except _Stopped:
            pass
        except BaseException as error:  # a bug: the caller's thread shall raise it
            self._ended.put(error)
            self._ended.ring()

    def _next(self) -> _Task | None:
        self._ended.ring()
        with self._ready:
            while not self._stopping:
                if self._small and self._in_bulk < self._bulk_lanes:
                    self._in_bulk += 1
                    return self._small.popleft()
                if self._large:
                    return self._large.popleft()
                if self._again and not self._in_bulk:
                    task = self._again.popleft()
                    self._in_bulk += self._is_small(task)
                    return task
                self._ready.wait()
            return None

    def _done(self, task: _Task) -> None:
        """Some places serve many by one lane better than by several: let the next one be it."""
        if self._is_small(task):
            with self._ready:
                self._in_bulk -= 1
                self._ready.notify_all()

    def _next_small(self) -> _Task | None:
        """Never waits: what is on its way already shall not wait for what is not there yet."""
        if self._stopping or self._gone is not None:
            return None
        try:
            return self._small.popleft()
        except IndexError:
            return None

    def _send_one(self, task: _Task) -> None:
        try:
            self._target.send(task.key, task.content, self._advance)
        except HoldError as error:
            self._failed(task, error)
        else:
            self._tell(task, None)

    def _send_many(self, bulk: BulkSendable, first: _Task) -> None:
        taken: dict[Key, _Task] = {}
        for key, error in bulk.iter_send(self._items(first, taken), self._advance):
            task = taken.pop(key)
            if error is None:
                self._tell(task, None)
            else:
                self._failed(task, error)
        assert not taken

    def _items(self, first: _Task, taken: dict[Key, _Task]) -> Iterator[tuple[Key, Content]]:
        task: _Task | None = first
        while task is not None:
            taken[task.key] = task
            yield task.key, task.content
            task = self._next_small()

    def _failed(self, task: _Task, error: HoldError) -> None:
        """Once more after the others, when the place broke off; a place that is gone is left."""
        if isinstance(error, PlaceUnavailableError | PlaceFullError):
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                self._gone = error
        task.tries += 1
        if isinstance(error, PlaceUnavailableError) and task.tries < 2 and self._gone is None:
            with self._ready:
                self._again.append(task)
                self._ready.notify()
            return
        self._tell(task, error)

    def _tell(self, task: _Task, error: HoldError | None) -> None:
        if error is None:
            self._failures = 0
            self._progress.advance(1, 0)
        self._ended.put(Sent(task.path, task.key, task.content.size, error))

    def _is_small(self, task: _Task) -> bool:
        return self._bulk is not None and task.content.size <= self._size_max

    def _advance(self, size: int) -> None:
        if self._stopping:
            raise _Stopped
        self._progress.advance(0, size)
