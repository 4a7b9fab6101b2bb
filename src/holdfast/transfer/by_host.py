"""Work on many URLs at once, politely: so many at a time in all, fewer of one host, and not faster
than a host is to be asked. A host that says "later" is left alone until then, by all threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pace:
    """How many at a time in all (``jobs``) and of one host; ``rate_max`` starts a second of it."""

    jobs: int = 8
    per_host: int = 4
    rate_max: float | None = None
    ahead: int = 2048
    """How many items are read ahead, so that there are some of several hosts to choose from."""


@dataclass(slots=True)
class _Host:
    """What is known of one host: how many of it are being worked on, and when the next may be."""

    active: int = 0
    not_before: float = 0.0


class Stopped(BaseException):
    """Unwinds a thread's work when all is stopping."""


class ByHost(Generic[Item, Result]):
    """Threads that take items of hosts that are ready; results come as they end."""

    def __init__(
        self,
        work: Callable[[Item], Result],
        host_of: Callable[[Item], str],
        pace: Pace,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing begins before results are asked for."""
        self.on_stop: Callable[[], None] = lambda: None
        """Called when the work ends, or is to end at once: wakes threads that wait for a host."""
        self._work = work
        self._host_of = host_of
        self._pace = pace
        self._now = now
        self._hosts: dict[str, _Host] = {}
        self._waiting: dict[str, deque[Item]] = {}
        self._done: deque[tuple[Item, Result | None, BaseException | None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._mine = threading.local()

    def check(self) -> None:
        """For work functions that take long: ends them when all is stopping."""
        if self._stopping:
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Wait in a work function because its host asks for it; others leave that host alone."""
        with self._changed:
            host = self._hosts.setdefault(getattr(self._mine, "host", ""), _Host())
            until = self._now() + seconds
            host.not_before = max(host.not_before, until)
            while not self._stopping and (left := until - self._now()) > 0:
                self._changed.wait(left)

    def iter_results(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Work on each item; what a work function raises is raised here.

        Closing the iterator, or Ctrl-C, starts no more, and ends what is in progress.
        """
        threads = [
            threading.Thread(target=self._run, name="host", daemon=True)
            for _ in range(self._pace.jobs)
        ]
        try:
            yield from self._feed(iter(items), threads)
        finally:
            with self._changed:
                self._stopping = True
                self._changed.notify_all()
            self.on_stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()

    def _feed(
        self, source: Iterator[Item], threads: list[threading.Thread]
    ) -> Iterator[tuple[Item, Result]]:
        on_way, idle, ended = 0, deque(threads), False
        while on_way or not ended:
            while not ended and on_way < self._pace.ahead:
                item = next(source, None)
                if item is None:
                    ended = True
                    break
                self._put(item)
                on_way += 1
                if idle:
                    idle.popleft().start()
            for item, result, error in self._take(wait=ended or on_way >= self._pace.ahead):
                on_way -= 1
                if error is not None:
                    raise error
                yield item, result  # type: ignore[misc]

    def _put(self, item: Item) -> None:
        with self._changed:
            self._waiting.setdefault(self._host_of(item), deque()).append(item)
            self._changed.notify_all()

    def _take(self, *, wait: bool) -> list[tuple[Item, Result | None, BaseException | None]]:
        with self._changed:
            busy = any(host.active for host in self._hosts.values())
            while wait and not self._done and (self._waiting or busy):
                self._changed.wait()
                busy = any(host.active for host in self._hosts.values())
            found = list(self._done)
            self._done.clear()
            return found

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            name, item = taken
            self._mine.host = name
            result, error = None, None
            try:
                result = self._work(item)
            except BaseException as raised:  # the caller's thread raises it
                error = raised
            with self._changed:
                self._hosts[name].active -= 1
                self._done.append((item, result, error))
                self._changed.notify_all()

    def _next(self) -> tuple[str, Item] | None:
        """The next item of a host that is ready; None when all is stopping."""
        with self._changed:
            while not self._stopping:
                name, wait_s = self._ready()
                if name is not None:
                    return name, self._begin(name)
                self._changed.wait(wait_s)
            return None

    def _ready(self) -> tuple[str | None, float | None]:
        """A host that may be asked now; or None, and how long to wait for the first that may."""
        now, soonest = self._now(), None
        for name in self._waiting:
            host = self._hosts.setdefault(name, _Host())
            if host.active >= self._pace.per_host:
                continue
            if host.not_before <= now:
                return name, None
            left = host.not_before - now
            soonest = left if soonest is None else min(soonest, left)
        return None, soonest

    def _begin(self, name: str) -> Item:
        host, queue = self._hosts[name], self._waiting.pop(name)
        item = queue.popleft()
        if queue:
            self._waiting[name] = queue  # at the end: hosts take turns
        host.active += 1
        if self._pace.rate_max:
            host.not_before = max(host.not_before, self._now()) + 1 / self._pace.rate_max
        return item
