"""Many contents to a place, several at a time, each with its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..core.abilities import Content, OnBytes
from ..core.errors import HoldError, PlaceUnavailableError
from ..core.key import Key

AHEAD = 4
"""So many contents a thread are taken before the first of them is answered."""

FAILURES_MAX = 6
"""After so many that failed in a row because the place is gone, no more are taken."""

Send = Callable[[Key, Content, OnBytes], None]


def iter_send_side_by_side(
    pool: ThreadPoolExecutor,
    threads: int,
    send: Send,
    items: Iterable[tuple[Key, Content]],
    progress: OnBytes,
) -> Iterator[tuple[Key, HoldError | None]]:
    """Send contents by the threads of a pool; answers come in any order."""
    source = iter(items)
    sending: set[Future[tuple[Key, HoldError | None]]] = set()
    failures = 0
    more = True
    try:
        while more or sending:
            while more and len(sending) < threads * AHEAD:
                item = next(source, None)
                if item is None or failures >= FAILURES_MAX:
                    more = False
                    break
                sending.add(pool.submit(_try, send, *item, progress))
            done, sending = wait(sending, return_when=FIRST_COMPLETED)
            for key, error in (future.result() for future in done):
                gone = isinstance(error, PlaceUnavailableError)
                failures = failures + 1 if gone else 0
                yield key, error
    finally:
        for future in sending:
            future.cancel()


def _try(send: Send, key: Key, content: Content, progress: OnBytes) -> tuple[Key, HoldError | None]:
    try:
        send(key, content, progress)
    except HoldError as error:
        return key, error
    return key, None
