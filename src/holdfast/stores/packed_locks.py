"""Locks of a packed store: byte ranges of one file, so that a thousand locks are one file.

They are POSIX record locks (fcntl): they die with their process, and hold between machines where
the network file system carries them (NFS with lockd or version 4, Lustre mounted with ``flock``).
Such a lock also dies when the process closes any descriptor of the file: each lock file is opened
once per process, and a table keeps threads and stores of one process apart.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import faults

COMPACTING, INDEX = 0, 1
"""Held alone while packs are rewritten; held shared to write to the index, alone to make it."""

_FIRST_PACK = 16
WAIT_S = 600.0
"""To make the index anew takes as long as reading the headers of all records."""

_BUSY = (errno.EAGAIN, errno.EACCES)
_table = threading.Condition()
_files: dict[tuple[int, int], _File] = {}


class _File:
    """The one descriptor of a lock file in this process; which bytes are held, -1 for alone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.users = 0
        self.held: dict[int, int] = {}


def _forget() -> None:
    # A forked process has none of the locks, and its table and condition may be in any state.
    global _table
    _table = threading.Condition()
    _files.clear()


os.register_at_fork(after_in_child=_forget)


def pack_byte(pack: int) -> int:
    """The byte whose holder alone appends to a pack, or removes it."""
    return _FIRST_PACK + pack


class Locks:
    """The locks of one store. Close it; what is still held then is let go with the last user."""

    def __init__(self, path: bytes) -> None:
        """Open the lock file, which is made when it is not there.

        Raises:
            OSError: It cannot be opened to write.
        """
        self._path = path
        with _table:
            self._identity = self._open()
            _files[self._identity].users += 1

    def try_alone(self, byte: int) -> bool:
        """Hold a byte alone, at once or not at all.

        Raises:
            AccessError: This file system has no locks.
        """
        with _table:
            return self._try(byte, fcntl.LOCK_EX)

    @contextmanager
    def holding(
        self, byte: int, *, alone: bool, what: str, wait_s: float = WAIT_S
    ) -> Iterator[None]:
        """Hold a byte for the length of a block; ``what`` it stands for, in words for people.

        Raises:
            PlaceUnavailableError: Others hold it for longer than we wait.
            AccessError: This file system has no locks.
        """
        self._wait(byte, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, what, wait_s)
        try:
            yield
        finally:
            self.release(byte)

    def release(self, byte: int) -> None:
        """Let go of a byte."""
        with _table:
            file = _files.get(self._identity)
            if file is None or byte not in file.held:
                return
            holders = file.held.pop(byte)
            if holders > 1:
                file.held[byte] = holders - 1
            else:
                fcntl.lockf(file.descriptor, fcntl.LOCK_UN, 1, byte)
            _table.notify_all()

    def close(self) -> None:
        """The last user of the file in this process closes it. May be called twice."""
        with _table:
            identity, self._identity = self._identity, (-1, -1)
            file = _files.get(identity)
            if file is None:
                return
            file.users -= 1
            if not file.users:
                os.close(_files.pop(identity).descriptor)

    def _open(self) -> tuple[int, int]:
        try:
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) in _files:
                return status.st_dev, status.st_ino
        except FileNotFoundError:
            pass
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        status = os.fstat(descriptor)
        identity = status.st_dev, status.st_ino
        _files[identity] = _File(descriptor)
        return identity

    def _wait(self, byte: int, kind: int, what: str, wait_s: float) -> None:
        ends_at = time.monotonic() + wait_s
        pause_s = 0.001
        while True:
            with _table:
                if self._try(byte, kind):
                    return
                if time.monotonic() >= ends_at:
                    folder = os.fsdecode(os.path.dirname(self._path))
                    waited = f"{wait_s:g} s" if wait_s else "not at all"
                    raise faults.PACKED_BUSY(path=folder, what=what, waited=waited)
                _table.wait(pause_s)
            pause_s = min(pause_s * 2, 0.1)

    def _try(self, byte: int, kind: int) -> bool:
        file = _files[self._identity]
        holders = file.held.get(byte, 0)
        if holders:
            if kind == fcntl.LOCK_SH and holders > 0:
                file.held[byte] = holders + 1
                return True
            return False
        try:
            fcntl.lockf(file.descriptor, kind | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise faults.PACKED_NO_LOCKS(
                path=os.fsdecode(os.path.dirname(self._path)), detail=error.strerror
            ) from error
        file.held[byte] = 1 if kind == fcntl.LOCK_SH else -1
        return True
