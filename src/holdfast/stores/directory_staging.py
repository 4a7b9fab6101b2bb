"""A folder below ``tmp`` of a directory, for files on their way in; the dead's are cleaned away.

Each run has a folder of its own there, locked while it lives: a folder whose lock can be had is of
a run that was killed, and is removed by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType

from ..core.key import Key

_NAME = b"hold-"
_LOCK = b"lock"
_NEW = b".new"
_NEW_S = 600
"""After so long, a folder that has not got its name belongs to a run that was killed.

At once, where folders can be locked: those who make one lock the folder around it meanwhile.
"""


@dataclass(frozen=True, slots=True)
class Staged:
    """A key's file in a folder of its own, which is to be moved with it."""

    key: Key
    folder: bytes
    size: int = 0

    @property
    def path(self) -> bytes:
        """The file."""
        return self.folder + b"/" + self.key.file_name


class Staging:
    """A run's own folder; removed at the end with what is still in it. For one thread."""

    def __init__(self, top: bytes) -> None:
        """Make it, once what dead runs left has gone."""
        self._tmp = top + b"/tmp"
        os.makedirs(self._tmp, exist_ok=True)
        _clean(self._tmp)
        self._path = self._tmp + b"/" + _NAME + os.urandom(8).hex().encode()
        with _alone(self._tmp) as is_alone:
            _clean_unnamed(self._tmp, is_alone=is_alone)
            # Locked before it has its name, so that nobody takes it for a dead one's.
            begun = self._path + _NEW
            os.mkdir(begun)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock = os.open(begun + b"/" + _LOCK, flags, 0o600)
            with suppress(OSError):
                # Where files cannot be locked, nobody finds it free to clean away either.
                _lock(self._lock)
            os.rename(begun, self._path)
        self._count = 0
        self._file = -1

    def open(self, key: Key) -> Staged:
        """Begin a key's file."""
        self._count += 1
        staged = Staged(key, b"%b/%d" % (self._path, self._count))
        os.mkdir(staged.folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(staged.path, flags, 0o600)
        return staged

    def write(self, chunk: bytes) -> None:
        """Write to the file that was begun."""
        written = os.write(self._file, chunk)
        while written < len(chunk):
            written += os.write(self._file, chunk[written:])

    def close_file(self, staged: Staged, size: int) -> Staged:
        """End the file that was begun: it is whole, and write-protected."""
        os.fchmod(self._file, 0o444)
        os.close(self._file)
        self._file = -1
        return replace(staged, size=size)

    def discard(self, staged: Staged) -> None:
        """Away with a file that failed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        with suppress(OSError):
            os.unlink(staged.path)
        with suppress(OSError):
            os.rmdir(staged.folder)

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        shutil.rmtree(self._path, ignore_errors=True)
        os.close(self._lock)


def move_in(staged: Staged, final: bytes) -> None:
    """Give a staged file its final name, by one rename of its folder."""
    folder = os.path.dirname(final)
    for _ in range(8):
        _make(os.path.dirname(folder))
        try:
            os.rename(staged.folder, folder)
            break
        except FileNotFoundError:
            # Just removed by somebody, because it had become empty.
            continue
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            _move_over(staged, folder, final)
            break
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(folder))
    with suppress(PermissionError):
        # Drives for cameras and other systems keep no such bits.
        os.chmod(folder, 0o555)


def _make(folder: bytes) -> None:
    """Make the second of two hash directories; nearly always neither is there yet."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(os.path.dirname(folder))
        with suppress(FileExistsError, FileNotFoundError):
            os.mkdir(folder)


def _move_over(staged: Staged, folder: bytes, final: bytes) -> None:
    """Somebody put something there: ours, which was checked, takes its place."""
    os.chmod(folder, 0o755)
    os.rename(staged.path, final)
    os.rmdir(staged.folder)


@contextmanager
def _alone(tmp: bytes) -> Iterator[bool]:
    """Nobody else makes a folder of a run here meanwhile; false where that cannot be had."""
    folder = os.open(tmp, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        is_alone = False
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
            is_alone = True
        yield is_alone
    finally:
        os.close(folder)


def _clean(tmp: bytes) -> None:
    """Remove the folders of dead runs."""
    for path in _folders(tmp, named=True):
        with suppress(OSError):
            try:
                lock = os.open(path + b"/" + _LOCK, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                # It has one before its name: whoever made it was removing it, and may be dead.
                shutil.rmtree(path, ignore_errors=True)
                continue
            try:
                _lock(lock)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _clean_unnamed(tmp: bytes, *, is_alone: bool) -> None:
    """Remove folders that runs died over making; where others may be at it too, old ones only."""
    for path in _folders(tmp, named=False):
        with suppress(OSError):
            if is_alone or time.time() - os.stat(path).st_mtime > _NEW_S:
                shutil.rmtree(path, ignore_errors=True)


def _folders(tmp: bytes, *, named: bool) -> list[bytes]:
    names = [name for name in os.listdir(tmp) if name.startswith(_NAME)]
    return [tmp + b"/" + name for name in names if name.endswith(_NEW) is not named]


def _lock(descriptor: int) -> None:
    """Lock a file alone; it is free again when the process ends, however that is.

    Raises:
        BlockingIOError: Somebody alive has it.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
