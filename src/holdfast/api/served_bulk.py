"""Content that a client sends without waiting: staged, synced and told of in batches.

Results come in the order in which the content was taken, each once it is on the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack

from ..core.abilities import Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place
from ..dataset.packs import sync_file_system
from ..transfer.receive import Received
from ..transfer.staging import Door, open_staging
from .served import Served
from .served_notes import Add


class _Slot:
    """What became of one content; nothing yet while it waits for its batch."""

    __slots__ = ("result",)

    def __init__(self) -> None:
        self.result: Received | HoldError | None = None


class Bulk:
    """Takes content in for one client. For one thread."""

    def __init__(self, served: Served, place: Place) -> None:
        self._served = served
        self._place = place
        self._slots: deque[_Slot] = deque()
        self._stack = ExitStack()
        self._door: Door[_Slot] | None = None
        self._add: Add = lambda _: None

    @property
    def waiting(self) -> bool:
        """Whether there are contents without a result."""
        return bool(self._slots)

    def take(self, key: Key, size: int, chunks: Iterator[bytes]) -> None:
        """Take one in, from its start; all of ``chunks`` is used up, whatever comes of it."""
        slot = _Slot()
        self._slots.append(slot)
        try:
            self._served.check_key(key)
            if self._served.has(key):
                slot.result = Received(size=0, fresh=False)
            else:
                door = self._open_door()
                self._add([key])
                stream = Stream(0, size, chunks)
                door.tell(slot, door.take(key, self._place, stream, lambda _: None))
        except HoldError as error:
            slot.result = error
        for _ in chunks:
            pass

    def refuse(self, error: HoldError, chunks: Iterator[bytes]) -> None:
        """Take none of it, and say so in its turn."""
        slot = _Slot()
        slot.result = error
        self._slots.append(slot)
        for _ in chunks:
            pass

    def iter_done(self) -> Iterator[HoldError | None]:
        """The results that have come, in order; None is success."""
        while self._slots and self._slots[0].result is not None:
            result = self._slots.popleft().result
            yield result if isinstance(result, HoldError) else None

    def flush(self) -> None:
        """Bring what was taken to the disk and to its final names; then all have results."""
        if self._door is not None:
            self._door.flush()
            self._door = None
            self._stack.close()

    def close(self) -> None:
        """End it; what is whole is kept."""
        self.flush()

    def _open_door(self) -> Door[_Slot]:
        if self._door is None:
            objects = self._served.objects
            annex = self._served.dataset.repository.annex_dir
            self._add = self._stack.enter_context(self._served.changing())
            staging = self._stack.enter_context(
                open_staging(objects, annex + b"/othertmp", annex + b"/tmp", sync_file_system)
            )
            self._door = Door(objects, _put, staging)
        return self._door


def _put(slot: _Slot, result: Received | HoldError) -> None:
    slot.result = result
