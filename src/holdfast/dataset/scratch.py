"""The annex's scratch folder, ``othertmp``: shared with git-annex by its rules.

Who uses it holds `othertmp.lck` shared; who gets that lock alone knows that everything in there
was left by the dead, and removes it. git-annex does so too, so scratch without the lock may vanish.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from ..core.errors import PlaceUnavailableError
from . import locks


class Scratch:
    """A folder of our own for unfinished files, until `close`."""

    def __init__(self, folder: bytes, name: bytes) -> None:
        """Make one in the scratch folder of an annex; its name begins with ``name``."""
        self._stack = ExitStack()
        try:
            self._stack.enter_context(using_scratch(folder))
            self.path = folder + b"/" + name + os.urandom(6).hex().encode()
            os.mkdir(self.path, 0o700)
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Remove the folder with what is in it. Closing again does nothing."""
        with self._stack:
            _remove_folder(self.path)


@contextmanager
def using_scratch(folder: bytes) -> Iterator[None]:
    """Use the scratch folder; what dead processes left in it is removed first, if it can be."""
    lock = folder + b".lck"
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    _clean(folder, lock)
    with locks.shared(lock):
        os.makedirs(folder, exist_ok=True)
        yield


def _clean(folder: bytes, lock: bytes) -> None:
    try:
        if not os.listdir(folder):
            return
    except FileNotFoundError:
        return
    # Held shared: somebody alive is using it, maybe ourselves; a later run will clean.
    with suppress(PlaceUnavailableError), locks.exclusive(lock, wait_s=0):
        _empty(folder)


def _empty(folder: bytes) -> None:
    """Remove what is in a folder, as far as it can be."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.is_dir(follow_symlinks=False):
                _remove_folder(entry.path)
            else:
                os.unlink(entry.path)


def _remove_folder(folder: bytes) -> None:
    _empty(folder)
    with suppress(OSError):
        os.rmdir(folder)
