"""Many small contents at once with a place where each one costs a round trip.

What is on its way is bounded in number and bytes, so that memory does not grow with what is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

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
    with ThreadPoolExecutor(lanes, thread_name_prefix="send") as pool:
        on_way: set[Future[Sent]] = set()
        try:
            for key, content in items:
                on_way.add(pool.submit(_send, send, key, content))
                if len(on_way) >= 2 * lanes:
                    yield from _take(on_way)
            while on_way:
                yield from _take(on_way)
        finally:
            for future in on_way:
                future.cancel()


def _take(on_way: set[Future[Sent]]) -> Iterator[Sent]:
    done, _ = wait(on_way, return_when=FIRST_COMPLETED)
    on_way -= done
    for future in done:
        yield future.result()


def _send(send: Callable[[Key, Content], None], key: Key, content: Content) -> Sent:
    try:
        send(key, content)
    except HoldError as error:
        return key, error
    return key, None


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
