"""Keeping a lock over HTTP: a request whose body goes on as long as the lock is wanted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..core.errors import HoldError
from .p2p_http_calls import HttpCalls, Request

_HEADERS = {
    "Content-Type": "application/json;charset=utf-8",
    "Transfer-Encoding": "chunked",
    "Connection": "Keep-Alive",
    "Keep-Alive": "timeout=1200",
}
_GOOD_BYE_S = 20.0


@contextmanager
def kept_locked(calls: HttpCalls, target: str) -> Iterator[None]:
    """Keep a lock for the length of a block, and let it go at the end.

    Where the connection is lost meanwhile, the server keeps it for its ten minutes.
    """
    words: queue.Queue[bytes | None] = queue.Queue()
    words.put(b'{"unlock":false}\n')

    def body() -> Iterator[bytes]:
        while (word := words.get()) is not None:
            yield b"%x\r\n%b\r\n" % (len(word), word)
        yield b"0\r\n\r\n"

    def converse() -> None:
        with suppress(HoldError):
            calls.ask(Request("POST", target, _HEADERS, body))

    # In a thread: what is asked and told meanwhile goes over connections of others.
    thread = threading.Thread(target=converse, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        words.put(b'{"unlock":true}\n')
        words.put(None)
        thread.join(_GOOD_BYE_S)
