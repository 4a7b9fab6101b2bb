"""Promises to keep content for others: a shared lock while we live, a time on disk if we do not.

As git-annex's servers do it: ``OBJ.lck`` is held shared, and ``OBJ.rtm`` holds the time until which
nobody may remove the content, even when this process is gone. ``OBJ.rtl`` guards the latter. Of
several promises the latest time stays. Format: docs/formats/annex.md, "Journal and locks".
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress

from ..core.abilities import Answer
from ..core.key import Key
from ..core.place import Presence
from . import locks
from .objects import Objects, retained_until

PROMISE_S = 600
"""How long git-annex's own servers keep content for a client that they do not hear of again."""


class Promise:
    """Content of a key, kept here until `release`; `abandon` leaves it kept for its time."""

    def __init__(self, objects: Objects, key: Key) -> None:
        """Lock it; ``answer`` says whether it is kept."""
        self.key = key
        self._objects = objects
        self._stack = ExitStack()
        self._until = self._before = 0.0
        self.answer: Answer = self._stack.enter_context(objects.lock_content(key))
        if self.answer.presence is Presence.PRESENT:
            try:
                self.prolong()
            except BaseException:
                self._stack.close()
                raise

    @property
    def kept(self) -> bool:
        """Whether the content is here and stays."""
        return self.answer.presence is Presence.PRESENT

    def prolong(self) -> None:
        """Let the time on disk begin anew."""
        path = self._objects.content_path(self.key)
        if path is None:
            return
        with _times(self._objects, path):
            found = retained_until(path)
            # What we wrote ourselves is not what was promised to others.
            self._before = found if found != self._until else self._before
            self._until = round(time.time() + PROMISE_S, 6)
            if found < self._until:
                _write(path, self._until)

    def release(self) -> None:
        """Nobody needs it kept any longer, as far as this promise goes."""
        path = self._objects.content_path(self.key) if self.kept else None
        if path is not None:
            with _times(self._objects, path):
                self._take_back(path)
        self._stack.close()

    def _take_back(self, path: bytes) -> None:
        """Undo what `prolong` wrote; a later time is somebody else's, an earlier one may be."""
        if retained_until(path) > self._until:
            return
        if self._before > time.time():
            _write(path, self._before)
            return
        _unlink(path + b".rtm")
        _unlink(path + b".rtl")

    def abandon(self) -> None:
        """Let go of the lock; the time on disk stands."""
        self._stack.close()


def _times(objects: Objects, path: bytes) -> ExitStack:
    """The right to read and change the time on disk; the directory is writable meanwhile."""
    stack = ExitStack()
    objects.unprotect(path)
    stack.callback(_protect, objects, path)
    stack.enter_context(locks.exclusive(path + b".rtl"))
    return stack


def _protect(objects: Objects, path: bytes) -> None:
    with suppress(FileNotFoundError):
        objects.protect(path)


def _write(path: bytes, until: float) -> None:
    """Whole or not at all, and on the disk: it is a promise."""
    temporary = path + b".rtm.new"
    with open(temporary, "wb") as file:
        file.write(b"%.6fs" % until)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path + b".rtm")


def _unlink(path: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
