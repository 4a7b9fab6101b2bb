"""Many small contents at once with a place where each one costs a round trip.

What is on its way is bounded in number and bytes, so that memory does not grow with what is asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

from ..core.abilities import Content, Readable, Stream
from ..core.errors import HoldError
from ..core.key import Key

LANES = 16
SMALL = 1 << 20
"""What is larger is not fetched ahead: it is streamed when its turn comes."""

AHEAD = 64

Name = TypeVar("Name", bound=bytes)
Sent = tuple[Name, HoldError | None]
Item = TypeVar("Item")
Result = TypeVar("Result")


def iter_sent(
    send: Callable[[Key, Content], None],
    items: Iterable[tuple[Key, Content]],
    *,
    lanes: int = LANES,
) -> Iterator[Sent[Key]]:
    """Send each item in one of so many threads; say of each how it ended, in any order."""
    return iter_done(send, items, lanes=lanes)


def iter_done(
    send: Callable[[Name, Content], None],
    items: Iterable[tuple[Name, Content]],
    *,
    lanes: int = LANES,
) -> Iterator[Sent[Name]]:
    """As `iter_sent`, of contents under any names."""
    waiting: SimpleQueue[tuple[Name, Content] | None] = SimpleQueue()
    done: SimpleQueue[Sent[Name] | BaseException] = SimpleQueue()
    threads: list[threading.Thread] = []
    on_way = 0
    try:
        for item in items:
            if len(threads) < lanes:
                threads.append(_begin(send, waiting, done))
            waiting.put(item)
            on_way += 1
            while on_way and (on_way >= 2 * lanes or not done.empty()):
                on_way -= 1
                yield _ended(done.get())
        while on_way:
            on_way -= 1
            yield _ended(done.get())
    finally:
        with suppress(Empty):
            while True:
                waiting.get_nowait()
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()


def _begin(
    send: Callable[[Name, Content], None],
    waiting: SimpleQueue[tuple[Name, Content] | None],
    done: SimpleQueue[Sent[Name] | BaseException],
) -> threading.Thread:
    def work() -> None:
        while (item := waiting.get()) is not None:
            key, content = item
            try:
                send(key, content)
                done.put((key, None))
            except HoldError as error:
                done.put((key, error))
            except BaseException as error:
                done.put(error)

    thread = threading.Thread(target=work, name="send", daemon=True)
    thread.start()
    return thread


def _ended(answer: Sent[Name] | BaseException) -> Sent[Name]:
    if isinstance(answer, BaseException):
        raise answer
    return answer


class Leftovers(Generic[Item, Result]):
    """Threads for what could not be done side by side in one; they are started when needed."""

    def __init__(self, work: Callable[[Item], Result], *, lanes: int = LANES) -> None:
        self._work = work
        self._lanes = lanes
        self._pool: ThreadPoolExecutor | None = None
        self._on_way: dict[Future[Result], Item] = {}

    def put(self, item: Item) -> Future[Result]:
        """Let it be done; where enough is on its way already, wait until less is."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._lanes, thread_name_prefix="left")
        if len(self._on_way) >= 2 * self._lanes:
            wait(self._on_way, return_when=FIRST_COMPLETED)
        future = self._pool.submit(self._work, item)
        self._on_way[future] = item
        return future

    def ended(self) -> Iterator[tuple[Item, Result]]:
        """What has ended since this was last asked; what one raised is raised here."""
        for future in [future for future in self._on_way if future.done()]:
            yield self._on_way.pop(future), future.result()

    def forget_ended(self) -> None:
        """For those who wait for each future in its turn."""
        for _ in self.ended():
            pass

    def rest(self) -> Iterator[tuple[Item, Result]]:
        """All that is on its way, as it ends."""
        while self._on_way:
            wait(self._on_way, return_when=FIRST_COMPLETED)
            yield from self.ended()

    def __enter__(self) -> Leftovers[Item, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


Fetched = bytes | HoldError


def iter_fetched(
    store: Readable, keys: Iterable[Key], *, lanes: int = LANES
) -> Iterator[tuple[Key, Stream | HoldError]]:
    """Stream contents in order, small ones fetched some way ahead in so many threads."""
    with ThreadPoolExecutor(lanes, thread_name_prefix="fetch") as pool:
        waiting: deque[tuple[Key, Future[Fetched] | None]] = deque()
        try:
            for key in keys:
                is_small = key.size is not None and key.size <= SMALL
                waiting.append((key, pool.submit(_fetch, store, key) if is_small else None))
                if len(waiting) >= AHEAD:
                    yield from _give(store, *waiting.popleft())
            while waiting:
                yield from _give(store, *waiting.popleft())
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()


def _fetch(store: Readable, key: Key) -> Fetched:
    try:
        with store.open_content(key) as stream:
            return b"".join(stream.chunks)
    except HoldError as error:
        return error


def _give(
    store: Readable, key: Key, future: Future[Fetched] | None
) -> Iterator[tuple[Key, Stream | HoldError]]:
    if future is not None:
        found = future.result()
        whole = found if isinstance(found, HoldError) else Stream(0, len(found), iter((found,)))
        yield key, whole
        return
    with ExitStack() as stack:
        answer: Stream | HoldError
        try:
            answer = stack.enter_context(store.open_content(key))
        except HoldError as error:
            answer = error
        yield key, answer
