"""Which runs of ours are writing to a place far away, and which of them died over it.

Each leaves a locked file here while it lives; one whose lock can be had is of a run that was
killed, and names what it may have left there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass
class Run:
    """A run that writes: the name of what it leaves there, and whether nothing of it is left."""

    name: bytes
    is_clean: bool = False


@contextmanager
def running(folder: bytes, place: str) -> Iterator[Run]:
    """A run that writes to a place, known to be alive until the block ends.

    It is forgotten then if it is clean; else the next one cleans up after it.
    """
    os.makedirs(folder, exist_ok=True)
    name = os.urandom(8).hex().encode()
    path = b"%b/%b.%b" % (folder, place.encode(), name)
    lock = os.open(path + b".new", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):
            # Where files cannot be locked, nobody finds it free either.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(path + b".new", path)
        run = Run(name)
        yield run
        if run.is_clean:
            os.unlink(path)
    finally:
        os.close(lock)


def iter_dead(folder: bytes, place: str) -> Iterator[bytes]:
    """The names of runs that were killed; each is forgotten once the next one is asked for."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    start = place.encode() + b"."
    for name in names:
        if not name.startswith(start) or name.endswith(b".new"):
            continue
        path = folder + b"/" + name
        with suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield name.removeprefix(start)
                os.unlink(path)
            finally:
                os.close(lock)
