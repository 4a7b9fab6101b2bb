"""What many threads tell one: it is not woken for each word, since waking costs more than a word.

It is woken when there is much to hear, or when somebody has said all there is for now; and looks by
itself ten times a second.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")

_MUCH = 64
_LOOK_S = 0.1


class Inbox(Generic[Item]):
    """Items from any thread, for one reader."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._bell = threading.Event()

    def put(self, item: Item) -> None:
        """Tell something; the reader may hear of it a little later."""
        self._items.append(item)
        if len(self._items) == _MUCH:
            self._bell.set()

    def ring(self) -> None:
        """Wake the reader, if there is anything for it."""
        if self._items:
            self._bell.set()

    def take(self, *, wait: bool) -> list[Item]:
        """All that was told since, in the order in which it was; with ``wait`` at least one."""
        while wait and not self._items:
            self._bell.wait(_LOOK_S)
            self._bell.clear()
        return [self._items.popleft() for _ in range(len(self._items))]
