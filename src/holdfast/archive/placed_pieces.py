"""Pieces at a place of named files, opened: read by ranges; brought whole where there are none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256

from ..core import faults
from ..core.abilities import Readable
from ..core.errors import PlaceUnavailableError
from ..core.key import Key
from .pieces import TRIES_MAX, FilePiece, damaged

PathOf = Callable[[Key], bytes]


def key_of(path: bytes, size: int | None = None) -> Key:
    """A key that stands for a file of a place, for stores that are asked by keys alone."""
    of_size = b"" if size is None else b"-s%d" % size
    return Key(b"SHA256%s--%s" % (of_size, sha256(path).hexdigest().encode()))


class PlacedPiece:
    """An `OpenedPiece` at a place that gives ranges. A connection that breaks is gone on with."""

    def __init__(self, store: Readable, path: bytes, size: int) -> None:
        self.name = f"{store.place.label}/{os.fsdecode(path)}"
        self.size = size
        self._store = store
        self._key = key_of(path, size)

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        if offset + length > self.size:
            raise damaged(self.name, offset, f"{length} bytes should be there")
        end, failures = offset + length, 0
        while offset < end:
            before = offset
            try:
                for chunk in self._from(offset, end):
                    offset += len(chunk)
                    yield chunk
                if offset < end:
                    raise faults.UNREACHABLE(place=self.name, detail="it broke off")
            except PlaceUnavailableError:
                failures = failures + 1 if offset == before else 0
                if failures >= TRIES_MAX:
                    raise

    def _from(self, offset: int, end: int) -> Iterator[bytes]:
        with self._store.open_content(self._key, offset) as stream:
            at, chunks = stream.offset, stream.chunks
            try:
                for chunk in chunks:
                    part = chunk[max(0, offset - at) : end - at]
                    at += len(chunk)
                    if part:
                        yield part
                    if at >= end:
                        return
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()


class BroughtPiece:
    """An `OpenedPiece` at a place without ranges: brought to a file when it is first read."""

    def __init__(self, store: Readable, path: bytes, size: int, scratch: bytes) -> None:
        self.size = size
        self._piece = PlacedPiece(store, path, size)
        self.name = self._piece.name
        self._path = scratch + b"/brought-" + os.path.basename(path)
        self._lock = threading.Lock()
        self._file: FilePiece | None = None

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """See `OpenedPiece`."""
        with self._lock:
            if self._file is None:
                with open(self._path, "wb") as file:
                    for chunk in self._piece.iter_range(0, self.size):
                        file.write(chunk)
                self._file = FilePiece(self._path)
        return self._file.iter_range(offset, length)
