"""Files on their way into a data set of a RIA store that is a folder here; the dead's are cleaned.

They are in ``ora-remote-UUID/transfer``, where DataLad has its own too. Each run has a folder
there, locked while it lives: one whose lock can be had is of a run that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

_NAME = b"hold-"


class ScratchFile:
    """A file being written; `path` is where."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)

    def write(self, chunk: bytes) -> None:
        """Write all of it."""
        written = os.write(self._descriptor, chunk)
        while written < len(chunk):
            written += os.write(self._descriptor, chunk[written:])

    def end(self) -> None:
        """It is whole: nobody writes to it any more."""
        os.fchmod(self._descriptor, 0o444)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class Scratch:
    """A run's own folder; removed at the end with what is still in it. For one thread."""

    def __init__(self, top: bytes, here: str) -> None:
        """Make it, once what dead runs left has gone."""
        folder = b"%b/ora-remote-%b/transfer" % (top, here.encode())
        os.makedirs(folder, exist_ok=True)
        _clean(folder)
        while (made := _make_locked(folder)) is None:
            pass
        self._path, self._lock = made
        self._count = 0

    @contextmanager
    def new_file(self) -> Iterator[ScratchFile]:
        """A file to fill in the block; it is gone when the block fails."""
        self._count += 1
        file = ScratchFile(b"%b/%d" % (self._path, self._count))
        try:
            yield file
            file.end()
        except BaseException:
            os.unlink(file.path)
            raise
        finally:
            file.close()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        shutil.rmtree(self._path, ignore_errors=True)
        os.close(self._lock)


def _make_locked(folder: bytes) -> tuple[bytes, int] | None:
    """A new folder and its lock; None when somebody took it for a dead one's just now."""
    path = b"%b/%b%b" % (folder, _NAME, os.urandom(8).hex().encode())
    os.mkdir(path)
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        # Where folders cannot be locked, nobody finds it free to clean away either.
        return path, lock
    if os.path.isdir(path):
        return path, lock
    os.close(lock)
    return None


def _clean(folder: bytes) -> None:
    """Remove the folders of dead runs."""
    for name in os.listdir(folder):
        if not name.startswith(_NAME):
            continue
        path = folder + b"/" + name
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
