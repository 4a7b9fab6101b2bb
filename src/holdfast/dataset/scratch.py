"""The annex's scratch folder, ``othertmp``: shared with git-annex by its rules.

Who uses it holds `othertmp.lck` shared; who gets that lock alone knows that everything in there
was left by the dead, and removes it. git-annex does so too, so scratch without the lock may vanish.
"""

from __future__ import annotations

import os
import shutil
import tempfile
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
            self.path = tempfile.mkdtemp(prefix=name, dir=folder)
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Remove the folder with what is in it. Closing again does nothing."""
        with self._stack:
            shutil.rmtree(self.path, ignore_errors=True)


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
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
