"""Locks that clients hold over HTTP: each has a name, and lasts while somebody keeps it."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass

from ..api.served import Served
from ..core.key import Key
from ..dataset.promises import PROMISE_S, Promise

LOCKS_MAX = 2000
"""So many at a time: whoever may read may lock, and each keeps content from being removed."""

PROLONG_S = 120.0
"""How often the time on disk of a lock that is kept begins anew."""


@dataclass(slots=True)
class _Lock:
    promise: Promise
    until: float
    keepers: int = 0


class HttpLocks:
    """All locks of one server. Safe to share between threads."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._locks: dict[str, _Lock] = {}
        self._guard = threading.Lock()

    def take(self, key: Key) -> str | None:
        """Keep content for ten minutes, or longer; the lock's name, or None when that cannot be."""
        self.forget_old()
        if len(self._locks) >= LOCKS_MAX:
            return None
        promise = self._served.promise(key)
        if not promise.kept:
            promise.abandon()
            return None
        name = str(uuid.uuid4())
        with self._guard:
            self._locks[name] = _Lock(promise, time.monotonic() + PROMISE_S)
        return name

    def keep(self, name: str) -> bool:
        """Somebody is connected who wants it kept; False when there is no such lock."""
        with self._guard:
            lock = self._locks.get(name)
            if lock is not None:
                lock.keepers += 1
            return lock is not None

    def prolong_kept(self) -> None:
        """Let the time of those that somebody keeps begin anew, now and then."""
        now = time.monotonic()
        with self._guard:
            for lock in self._locks.values():
                if lock.keepers and lock.until - now < PROMISE_S - PROLONG_S:
                    lock.until = now + PROMISE_S
                    lock.promise.prolong()

    def leave(self, name: str) -> None:
        """Somebody who kept it hung up without a word: it stays for its time."""
        with self._guard:
            lock = self._locks.get(name)
            if lock is not None:
                lock.keepers -= 1

    def release(self, name: str) -> None:
        """It need not be kept any longer."""
        with self._guard:
            lock = self._locks.pop(name, None)
        if lock is not None:
            self._served.release(lock.promise)

    def forget_old(self) -> None:
        """Let go of those whose time has run out, and that nobody keeps."""
        now = time.monotonic()
        with self._guard:
            old = [n for n, lock in self._locks.items() if lock.until < now and not lock.keepers]
            for name in old:
                self._locks.pop(name).promise.abandon()

    def close(self) -> None:
        """The server ends; what was promised on disk stays promised for its time."""
        with self._guard:
            locks, self._locks = list(self._locks.values()), {}
        for lock in locks:
            lock.promise.abandon()
