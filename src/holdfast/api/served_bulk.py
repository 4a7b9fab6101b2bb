"""Content that a client sends without waiting: staged, synced and told of in batches.

Results come in the order in which the content was taken, each once it is on the disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from ..core.abilities import Stream
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.place import Place
from ..dataset.packs import sync_file_system
from ..transfer.receive import Received
from ..transfer.staging import Door, open_staging
from .served import Served
from .served_notes import Change


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
        self._change: Change | None = None

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
                door, change = self._open_door()
                change.add([key])
                stream = Stream(0, size, chunks)
                received = door.take(key, self._place, stream, lambda _: None)
                change.done(key)
                door.tell(slot, received)
        except HoldError as error:
            slot.result = error
        pass_over(chunks)

    def refuse(self, error: HoldError, chunks: Iterator[bytes]) -> None:
        """Take none of it, and say so in its turn."""
        slot = _Slot()
        slot.result = error
        self._slots.append(slot)
        pass_over(chunks)

    def iter_done(self) -> Iterator[HoldError | None]:
        """The results that have come, in order; None is success."""
        while self._slots and self._slots[0].result is not None:
            result = self._slots.popleft().result
            yield result if isinstance(result, HoldError) else None

    def flush(self) -> None:
        """Bring what was taken to the disk and to its final names; then all have results."""
        if self._door is not None:
            self._door.flush()
            self._door = self._change = None
            self._stack.close()

    def close(self) -> None:
        """End it; what is whole is kept."""
        self.flush()

    def _open_door(self) -> tuple[Door[_Slot], Change]:
        if self._door is None or self._change is None:
            objects = self._served.objects
            annex = self._served.dataset.repository.annex_dir
            self._change = self._stack.enter_context(self._served.changing())
            staging = self._stack.enter_context(
                open_staging(objects, annex + b"/othertmp", annex + b"/tmp", sync_file_system)
            )
            self._door = Door(objects, _put, staging)
        return self._door, self._change


def pass_over(chunks: Iterator[bytes]) -> None:
    """Use up what still comes of content that is not wanted, whatever its sender says of it."""
    with suppress(IntegrityError):
        for _ in chunks:
            pass


def _put(slot: _Slot, result: Received | HoldError) -> None:
    slot.result = result
