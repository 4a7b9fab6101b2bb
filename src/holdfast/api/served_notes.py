"""What clients brought and removed, told to the ledger in batches while a server goes on.

Each change is written down before it is made (`dataset/unrecorded.py`), so that a kill loses none.
A batch ends when it is old or long; changes that are still under way keep theirs open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ..core.key import Key
from ..dataset.objects import Objects
from ..dataset.populate import WorkFiles
from ..dataset.repository import Repository
from ..dataset.unrecorded import Unrecorded, unrecorded
from .unlocked import unlocked_by_key

BATCH_S = 2.0
BATCH_KEYS = 20_000


class _Batch:
    """Changes whose end the ledger is told of together."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self.began = time.monotonic()
        self.users = 0
        self.keys: set[Key] = set()
        self.changed: set[Key] = set()
        self._repository = repository
        self._objects = objects
        self._stack = ExitStack()
        self.note: Unrecorded = self._stack.enter_context(unrecorded(repository, objects))

    def close(self) -> None:
        """Fill unlocked files of what came, and tell the ledger how it is now."""
        # A server lives long: its next commit has a time, and perhaps settings, of its own.
        self._repository.forget_config()
        with self._stack:
            for key in self.keys - self.changed:
                self.note.forget(key)
            if self.changed and not self._repository.bare:
                found = unlocked_by_key(self._repository, self.changed)
                if found:
                    with WorkFiles(self._repository, self._objects) as work:
                        for files in found.values():
                            for file in files:
                                work.populate(file)


class Change:
    """One client's part in a batch."""

    def __init__(self, batch: _Batch, lock: threading.Lock) -> None:
        self._batch = batch
        self._lock = lock

    def add(self, keys: Sequence[Key]) -> None:
        """Write down keys whose content is about to come or go."""
        with self._lock:
            new = [key for key in keys if key not in self._batch.keys]
            self._batch.keys.update(new)
            self._batch.note.add(new)

    def done(self, key: Key) -> None:
        """It came, or went: the ledger has to be told. Of others it is told nothing."""
        with self._lock:
            self._batch.changed.add(key)


class Notes:
    """The notes of one server. Safe to share between threads."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._current: _Batch | None = None
        self._ended: list[_Batch] = []

    @contextmanager
    def changing(self, keys: Sequence[Key] = ()) -> Iterator[Change]:
        """Content of these keys, and of those added, comes or goes within the block."""
        with self._lock:
            if self._current is None:
                self._current = _Batch(self._repository, self._objects)
            batch = self._current
            batch.users += 1
        change = Change(batch, self._lock)
        try:
            change.add(keys)
            yield change
        finally:
            with self._lock:
                batch.users -= 1

    @property
    def waiting(self) -> bool:
        """Whether there is something to tell."""
        return self._current is not None or bool(self._ended)

    def tell(self, *, older_than_s: float = 0.0) -> None:
        """Tell the ledger of what has ended; of young batches only when they are long."""
        with self._telling:
            for batch in self._take_ended(older_than_s):
                batch.close()

    def _take_ended(self, older_than_s: float) -> list[_Batch]:
        with self._lock:
            batch = self._current
            if batch is not None and (
                time.monotonic() - batch.began >= older_than_s or len(batch.keys) >= BATCH_KEYS
            ):
                self._ended.append(batch)
                self._current = None
            done = [batch for batch in self._ended if not batch.users]
            self._ended = [batch for batch in self._ended if batch.users]
        return done
