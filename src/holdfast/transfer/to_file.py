"""Content between a place and one file, for a program that keeps content under names of its own.

A key with a hash is checked by it, as everywhere. One without (a chunk, or the name that
encryption gives) is passed on as it is: who cut or encrypted it checks the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import faults
from ..core.abilities import Content, OnBytes, Partial, Readable
from ..core.backends import is_verifiable
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.system_errors import as_fault
from .outgoing import LocalContent
from .receive import receive, system_errors

CHUNK = 1 << 20


def can_check(key: Key) -> bool:
    """Whether a key tells what its bytes are."""
    return key.chunk_number is None and is_verifiable(key.backend)


def content_at(key: Key, path: bytes) -> Content:
    """The file at a path as content to send.

    Raises:
        AccessError: It may not be read, or is not there.
    """
    try:
        return LocalContent(key, path) if can_check(key) else RawContent(key, path)
    except OSError as error:
        raise as_fault(error, os.fsdecode(path), reading=True) from error


class RawContent:
    """A file that is sent as it is, since nothing says what it should be but its size."""

    def __init__(self, key: Key, path: bytes) -> None:
        """Look at the file.

        Raises:
            OSError: It is not there.
        """
        self.key = key
        self.size = os.stat(path).st_size
        self._path = path

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from an offset; the last are given once all of them were seen."""
        self._check(self.size)
        kept, seen = b"", offset
        with open(self._path, "rb", buffering=0) as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                if kept:
                    yield kept
                kept = chunk
                seen += len(chunk)
        self._check(seen)
        if kept:
            yield kept

    def path(self) -> bytes:
        """The file itself."""
        self._check(self.size)
        return self._path

    def _check(self, size: int) -> None:
        wanted = self.size if self.key.stored_size is None else self.key.stored_size
        if size != wanted:
            detail = f"it has {size} bytes instead of {wanted}"
            raise faults.DAMAGED_HERE(key=self.key.text, detail=detail)


def bring_to_file(store: Readable, key: Key, path: bytes, progress: OnBytes) -> None:
    """Bring content of a place to a file; it is right and whole when this returns.

    What an earlier try left in the file is taken up where the key has a hash to tell that it fits.

    Raises:
        PlaceUnavailableError, NotFoundError: The place does not give it; the file holds what came.
        IntegrityError: What it gives is wrong; the file holds nothing of it.
    """
    if can_check(key):
        receive(_OneFile(path), key, [store], progress)
        return
    with system_errors(path), open(path, "wb", buffering=0) as file:
        try:
            _bring_raw(store, key, file.write, progress)
        except IntegrityError:
            file.truncate(0)
            raise


def _bring_raw(store: Readable, key: Key, write: object, progress: OnBytes) -> None:
    assert callable(write)
    came, wanted = 0, key.stored_size
    with store.open_content(key) as stream:
        for chunk in stream.chunks:
            view = memoryview(chunk)
            while view:
                view = view[write(view) :]
            came += len(chunk)
            progress(len(chunk))
        wanted = stream.size if wanted is None else wanted
    if wanted is not None and came != wanted:
        raise _wrong(store, key, f"{came} bytes came instead of {wanted}")


def _wrong(store: Readable, key: Key, detail: str) -> HoldError:
    return faults.WRONG_CONTENT(
        source=store.place.label, key=key.text, detail=detail,
        next="run the same command again; if it stays so, the copy there is damaged",
    )  # fmt: skip


class _OneFile:
    """The place of one content: a file that somebody else named, and will move on."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def has(self, key: Key) -> bool:
        """It is not looked at: who asks for it wants it brought."""
        return False

    @contextmanager
    def open_partial(self, key: Key) -> Iterator[Partial]:
        """The file, with what an earlier try left in it."""
        size = os.path.getsize(self._path) if os.path.exists(self._path) else 0
        yield Partial(self._path, size)

    def commit(self, key: Key, path: bytes) -> None:
        """It has its name."""
