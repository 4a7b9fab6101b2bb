"""Making the next bytes in a thread of their own, while those before are sent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

One = TypeVar("One")


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def iter_ahead(source: Iterator[One]) -> Generator[One, None, None]:
    """What the source gives, in order; one waits while the one before is in use, one is made.

    Close it: then the source is closed, in its own thread.
    """
    ready: queue.Queue[object] = queue.Queue(1)
    stopped = threading.Event()

    def work() -> None:
        last: object = _END
        try:
            for one in source:
                ready.put(one)
                if stopped.is_set():
                    break
        except BaseException as error:  # told to who asks
            last = _Failed(error)
        finally:
            if isinstance(source, Generator):
                source.close()
        if not stopped.is_set():
            ready.put(last)

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while (one := ready.get()) is not _END:
            if isinstance(one, _Failed):
                raise one.error
            yield one  # type: ignore[misc]  # what the source gave
    finally:
        stopped.set()
        while worker.is_alive():
            try:
                ready.get_nowait()
            except queue.Empty:
                worker.join(0.05)
