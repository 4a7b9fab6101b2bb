"""Pieces as a place that content is read from, by key.

Small contents that are wanted and stand side by side come with one range: who wants them tells so
before (`PiecesPlace.expect`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..core import faults
from ..core.abilities import Answer, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, PlaceId, Presence
from .content_index import Findable
from .piece_blocks import iter_content
from .together import Together

PIECES = PlaceId("6d0a6a3f-0f0b-5e0e-9d0c-a2c1b7f3c9e4")
"""What stands for the pieces while content is read from them; no ledger names it."""


class PiecesPlace:
    """A place that content can be read from."""

    cost = 100.0
    speculative = True
    """It is asked for every key: no ledger tells what it has."""
    checked = True
    """What it gives was held against CIDs, so keys without a hash may be taken."""

    def __init__(self, index: Findable, label: str) -> None:
        self.place = Place(PIECES, label)
        self._index = index
        self._together = Together()

    def expect(self, key: Key) -> bool:
        """Say that a key is going to be asked for soon; False when it is not here."""
        file = self._index.find(key)
        if file is None:
            return False
        self._together.expect(key, file)
        return True

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Which of these are in the pieces."""
        return [
            Answer(Presence.ABSENT if self._index.find(key) is None else Presence.PRESENT)
            for key in keys
        ]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset, each block checked.

        Raises:
            NotFoundError: It is in no piece that is here.
            IntegrityError: A piece is damaged there.
        """
        stream = self._open(key, offset)
        try:
            yield stream
        finally:
            close = getattr(stream.chunks, "close", None)
            if close is not None:
                close()  # a connection that is not read to its end is let go now

    def iter_contents(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Stream | HoldError]]:
        """Stream contents from their start, in order."""
        for key in keys:
            try:
                found: Stream | HoldError = self._open(key, 0)
            except HoldError as error:
                found = error
            yield key, found

    def close(self) -> None:
        """Forget what was read ahead."""
        self._together.forget()

    def _open(self, key: Key, offset: int) -> Stream:
        file = self._index.find(key)
        if file is None:
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="no row names it")
        start = min(offset, file.size)
        file = self._together.use(key, file)
        return Stream(start, file.size, iter_content(file, start))
