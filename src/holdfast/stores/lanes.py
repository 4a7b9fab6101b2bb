"""Many small contents at once with a place where each one costs a round trip.

What is on its way is bounded in number and bytes, so that memory does not grow with what is asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue

from ..core.abilities import Content, Readable, Stream
from ..core.errors import HoldError
from ..core.key import Key

LANES = 16
SMALL = 1 << 20
"""What is larger is not fetched ahead: it is streamed when its turn comes."""

AHEAD = 64

Sent = tuple[Key, HoldError | None]


def iter_sent(
    send: Callable[[Key, Content], None],
    items: Iterable[tuple[Key, Content]],
    *,
    lanes: int = LANES,
) -> Iterator[Sent]:
    """Send each item in one of so many threads; say of each how it ended, in any order."""
    waiting: SimpleQueue[tuple[Key, Content] | None] = SimpleQueue()
    done: SimpleQueue[Sent | BaseException] = SimpleQueue()
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
    send: Callable[[Key, Content], None],
    waiting: SimpleQueue[tuple[Key, Content] | None],
    done: SimpleQueue[Sent | BaseException],
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


def _ended(answer: Sent | BaseException) -> Sent:
    if isinstance(answer, BaseException):
        raise answer
    return answer


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
