"""Memory for contents on their way, bounded for all threads together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Buffers:
    """So many bytes of memory, shared by all who hold contents in it."""

    def __init__(self, most: int) -> None:
        self._left = self._most = most
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait for so much of it."""
        assert size <= self._most, "nobody could ever have so much"
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size

    def give_back(self, size: int) -> None:
        """Let others have it."""
        with self._changed:
            self._left += size
            self._changed.notify_all()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold so much of it for a block."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)
