"""Content to send, in files that go away with who has it, or else with the next run of tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..core.key import Key
from ..transfer.outgoing import LocalContent

_PREFIX = "hold-contents-"


def content_of(key: Key, data: bytes) -> LocalContent:
    """Content to send, in a file that lives as long as what is given back does."""
    with tempfile.NamedTemporaryFile(delete=False, dir=_Folder.of(os.getpid()).path) as file:
        file.write(data)
    content = LocalContent(key, file.name.encode())
    weakref.finalize(content, Path(file.name).unlink, missing_ok=True)
    return content


class _Folder:
    """What a process keeps its contents in, locked as long as it lives.

    A process that is killed leaves it; the next one that makes its own removes it.
    """

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix=_PREFIX)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    @staticmethod
    @cache
    def of(process: int) -> _Folder:
        """That of this process, by its number: one that was forked makes its own."""
        own = _Folder()
        for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with suppress(OSError):
                _remove_unless_locked(left)
        return own


def _remove_unless_locked(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
