"""What the ledger keeps of single keys for places, read and changed in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..core.key import Key
from .ledger import Ledger
from .ledger_write import Edit, record
from .repository import Repository

_WAITING_MAX = 10_000


class KeyNotes:
    """Logs of single keys; changes wait until `finish`, or until they are many.

    Threads may share it.
    """

    def __init__(self, repository: Repository, ledger: Ledger) -> None:
        self._repository = repository
        self._ledger = ledger
        self._waiting: dict[bytes, list[Edit]] = {}
        self._lock = threading.Lock()

    def read(self, log: Callable[[Key], bytes], keys: Sequence[Key]) -> dict[Key, bytes]:
        """The logs of these keys that exist, with what was edited by us and not written yet."""
        paths = {key: log(key) for key in keys}
        with self._lock:
            found = self._ledger.read_many(list(paths.values()))
            for path in paths.values():
                for edit in self._waiting.get(path, ()):
                    found[path] = edit(found.get(path, b""))
        return {key: found[path] for key, path in paths.items() if path in found}

    def edit(self, log: Callable[[Key], bytes], key: Key, edit: Edit) -> None:
        """Change one; it is written with the others."""
        with self._lock:
            self._waiting.setdefault(log(key), []).append(edit)
            if len(self._waiting) >= _WAITING_MAX:
                self._write()

    def finish(self) -> None:
        """Write what waits, in one commit."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            record(
                self._repository,
                [(path, edit) for path, edits in self._waiting.items() for edit in edits],
            )
            self._waiting.clear()
            self._ledger = Ledger(self._repository)
