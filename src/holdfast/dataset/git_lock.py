"""git's lock files, held so that a kill -9 of ours does not block anybody for good.

git locks FILE by making FILE.lock, and a lock whose maker died stays. Ours has a second name,
FILE.lock.hold, given before the first: whoever finds both to be one file, and nobody alive behind
them (the kernel ends record locks with their process), knows that a dead hold left it, and removes
it. A lock that is any other file is git's own and is never touched.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from ..core import faults
from ..core.errors import PlaceUnavailableError
from . import locks

WAIT_S = 60.0

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class GitLock:
    """A lock file while we hold it: write the new content to ``file``, then `publish`."""

    def __init__(self, path: bytes, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.published = False

    def publish(self) -> None:
        """Sync what was written and let it take the place of the locked file."""
        self.file.flush()
        os.fsync(self.file.fileno())
        os.rename(self.path + b".lock", self.path)
        self.published = True


@contextmanager
def git_lock(path: bytes, *, wait_s: float = WAIT_S) -> Iterator[GitLock]:
    """Hold git's lock on a file; what was not published is thrown away at the end.

    Raises:
        PlaceUnavailableError: Another program holds it for longer than we wait.
    """
    ends_at = time.monotonic() + wait_s
    # One hold at a time, so the second name is ours or that of a dead one.
    with _alone(path, wait_s):
        descriptor = _take(path + b".lock", ends_at, wait_s)
        with open(descriptor, "w+b", buffering=1 << 20) as file:
            lock = GitLock(path, file)
            try:
                yield lock
            finally:
                # Published, it has its final name; then a lock there is somebody else's.
                if not lock.published:
                    os.unlink(path + b".lock")
                _unlink(path + b".lock.hold")


def clear_dead_lock(path: bytes) -> None:
    """Remove the lock on a file that a dead hold left, if there is one; waits for nobody."""
    if os.path.lexists(path + b".lock.hold") or os.path.lexists(path + b".hold.lck"):
        with suppress(PlaceUnavailableError), _alone(path, 0):
            _clear(path + b".lock")


@contextmanager
def _alone(path: bytes, wait_s: float) -> Iterator[None]:
    own = path + b".hold.lck"
    try:
        with locks.exclusive(own, wait_s=wait_s):
            try:
                yield
            finally:
                _unlink(own)
    except PlaceUnavailableError as error:
        if os.fsdecode(own) in error.why:
            raise _busy(path + b".lock", wait_s) from None
        raise


def _take(lock: bytes, ends_at: float, wait_s: float) -> int:
    _clear(lock)
    descriptor = os.open(lock + b".hold", _FLAGS, 0o666)
    pause_s = 0.002
    try:
        while not _made(lock):
            if time.monotonic() >= ends_at:
                raise _busy(lock, wait_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.2)
    except OSError as error:
        os.close(descriptor)
        _unlink(lock + b".hold")
        if error.errno not in _NO_LINKS:
            raise
        return _take_plain(lock, ends_at, wait_s)
    except BaseException:
        os.close(descriptor)
        _unlink(lock + b".hold")
        raise
    return descriptor


def _clear(lock: bytes) -> None:
    """Remove what a dead hold left of its lock."""
    with suppress(FileNotFoundError):
        left = os.lstat(lock + b".hold")
        with suppress(FileNotFoundError):
            if os.path.samestat(left, os.lstat(lock)):
                os.unlink(lock)
        os.unlink(lock + b".hold")


def _made(lock: bytes) -> bool:
    try:
        os.link(lock + b".hold", lock)
    except FileExistsError:
        return False
    return True


def _take_plain(lock: bytes, ends_at: float, wait_s: float) -> int:
    """As git does it, on file systems where a file has one name only."""
    while True:
        try:
            return os.open(lock, _FLAGS, 0o666)
        except FileExistsError:
            if time.monotonic() >= ends_at:
                raise _busy(lock, wait_s) from None
        time.sleep(0.05)


def _busy(lock: bytes, wait_s: float) -> Exception:
    waited = f", waited {wait_s:g} s" if wait_s else ""
    return faults.BUSY(path=os.fsdecode(lock), waited=waited)


def _unlink(path: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
