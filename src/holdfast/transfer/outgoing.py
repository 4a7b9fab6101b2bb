"""Content on its way out: read from where it lies, hashed as it passes."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator

from ..core import faults
from ..core.backends import Checker, backend_of, checker, is_verifiable, key_digest
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key

CHUNK = 1 << 20
_BACKENDS = {"md5": b"MD5", "sha256": b"SHA256"}


class LocalContent:
    """The file that holds a key's content here; see `core.abilities.Content`."""

    def __init__(self, key: Key, path: bytes) -> None:
        self.key = key
        self._path = path
        self.size = os.stat(path).st_size
        self._checked = False

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from an offset; the last are given once the whole was found right."""
        check = checker(self.key)
        kept = b""
        position = 0
        for chunk in self._iter_read():
            try:
                check.feed(chunk)
            except IntegrityError as error:
                raise self._damaged(error) from None
            if kept:
                yield kept
            kept = chunk[max(0, offset - position) :]
            position += len(chunk)
        self._finish(check)
        if kept:
            yield kept

    def _iter_read(self) -> Iterator[bytes]:
        """The file in pieces; a small one by a single read, which may show that it has grown."""
        wanted = min(CHUNK, self.size + 1)
        file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while chunk := os.read(file, wanted):
                yield chunk
                if len(chunk) < wanted < CHUNK:
                    break
        finally:
            os.close(file)

    def path(self) -> bytes:
        """The file itself, read once before."""
        if not self._checked:
            for _ in self.chunks():
                pass
        return self._path

    def digest(self, algorithm: str) -> bytes | None:
        """See `core.abilities.known_digests`."""
        if not self._checked or backend_of(self.key) != _BACKENDS[algorithm]:
            return None
        return bytes.fromhex(key_digest(self.key))

    def _finish(self, check: Checker) -> None:
        try:
            check.finish()
        except IntegrityError as error:
            raise self._damaged(error) from None
        self._checked = is_verifiable(self.key.backend)

    def _damaged(self, error: IntegrityError) -> HoldError:
        return faults.DAMAGED_HERE(key=self.key.text, detail=error.why)


class MemoryContent:
    """Bytes that are in memory, as `Content`."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data
        self._path = b""

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """All of it, from an offset."""
        yield self._data[offset:]

    def path(self) -> bytes:
        """A file with it, as long as this is kept."""
        if not self._path:
            import tempfile  # late: it costs start-up time, and few places want a file

            descriptor, name = tempfile.mkstemp(prefix="hold-content-")
            self._path = os.fsencode(name)
            weakref.finalize(self, os.unlink, name)
            with open(descriptor, "wb") as file:
                file.write(self._data)
        return self._path


class FileContent:
    """A file of ours that no key names, as `Content`."""

    def __init__(self, path: bytes) -> None:
        self.size = os.stat(path).st_size
        self._path = path

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """Its bytes, from an offset."""
        with open(self._path, "rb", buffering=0) as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk

    def path(self) -> bytes:
        """Itself."""
        return self._path
