"""Locks that git-annex sees too: POSIX record locks on whole files.

Such a lock dies when the process closes any descriptor of the file, so each lock file is opened
once per process, and a table keeps threads of one process apart. (On systems without fcntl, that
is Windows, git-annex uses other means; this module is where they would go.)
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import faults

_table = threading.Condition()
_held: dict[tuple[int, int], tuple[int, int]] = {}
"""Lock file (device, inode) to (descriptor, holders); holders is -1 for exclusive."""

WAIT_S = 120.0


@contextmanager
def exclusive(path: bytes, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold a lock file alone.

    Raises:
        PlaceUnavailableError: Somebody else holds it for longer than we wait.
    """
    with _lock(path, fcntl.LOCK_EX, wait_s, create=True):
        yield


@contextmanager
def shared(path: bytes, *, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold a lock file together with other sharers."""
    with _lock(path, fcntl.LOCK_SH, wait_s, create=True):
        yield


def try_exclusive(path: bytes) -> tuple[int, int] | None:
    """Lock a file alone, at once or not at all; gives what to `release`, None when it is held.

    Raises:
        FileNotFoundError: Its folder does not exist.
    """
    # A file that is new is in nobody's table. It is opened under the lock of the table all the
    # same: a thread that looks at it must not close it after we have locked it.
    with _table:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            pass
        else:
            return _keep(path, descriptor, fcntl.LOCK_EX)
    return _try(path, fcntl.LOCK_EX, create=True)


def is_locked_for_removal(path: bytes) -> bool:
    """Whether somebody holds the lock file exclusively. Looks without keeping a lock."""
    with _table:
        known = _identity(path)
        if known is None:
            return False
        if known in _held:
            # Opening and closing it here would end the lock we hold.
            return _held[known][1] < 0
        return _is_locked_elsewhere(path)


def _is_locked_elsewhere(path: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        # An unreadable lock proves nothing; who may not lock may not rely on the content either.
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def _lock(path: bytes, kind: int, wait_s: float, *, create: bool) -> Iterator[None]:
    identity = _acquire(path, kind, wait_s, create=create)
    try:
        yield
    finally:
        release(identity)


def _acquire(path: bytes, kind: int, wait_s: float, *, create: bool) -> tuple[int, int]:
    ends_at = time.monotonic() + wait_s
    pause_s = 0.001
    while True:
        identity = _try(path, kind, create=create)
        if identity is not None:
            return identity
        if time.monotonic() >= ends_at:
            waited = f", waited {wait_s:g} s" if wait_s else ""
            raise faults.BUSY(path=os.fsdecode(path), waited=waited)
        with _table:
            _table.wait(pause_s)
        pause_s = min(pause_s * 2, 0.1)


def _try(path: bytes, kind: int, *, create: bool) -> tuple[int, int] | None:
    """One try: the identity to release, or None when it is held by somebody."""
    with _table:
        known = _identity(path)
        if known in _held and known is not None:
            descriptor, holders = _held[known]
            if kind == fcntl.LOCK_SH and holders > 0:
                _held[known] = (descriptor, holders + 1)
                return known
            return None
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return _keep(path, os.open(path, flags, 0o644), kind)


def _keep(path: bytes, descriptor: int, kind: int) -> tuple[int, int] | None:
    """Lock a file that was just opened and note it; None, and closed, when that fails."""
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    status = os.fstat(descriptor)
    identity = (status.st_dev, status.st_ino)
    # A remover unlinks the file it has locked: then ours is a ghost, and we look again.
    if _identity(path) != identity:
        os.close(descriptor)
        return None
    _held[identity] = (descriptor, -1 if kind == fcntl.LOCK_EX else 1)
    return identity


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def is_held(identity: tuple[int, int]) -> bool:
    """Whether a lock is still ours."""
    with _table:
        return identity in _held


def release(identity: tuple[int, int]) -> None:
    """Let go of a lock."""
    with _table:
        descriptor, holders = _held.pop(identity)
        if holders > 1:
            _held[identity] = (descriptor, holders - 1)
        else:
            os.close(descriptor)
        _table.notify_all()
