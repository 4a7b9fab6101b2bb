"""What the ledger keeps of single keys, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.key import Key


class MemoryNotes:
    """Logs of single keys (`stores.special.KeyNotes`), by their paths in the ledger."""

    def __init__(self) -> None:
        self.files: dict[bytes, bytes] = {}

    def read(self, log: Callable[[Key], bytes], keys: Sequence[Key]) -> dict[Key, bytes]:
        """Those that were written."""
        return {key: self.files[log(key)] for key in keys if log(key) in self.files}

    def edit(self, log: Callable[[Key], bytes], key: Key, edit: Callable[[bytes], bytes]) -> None:
        """Change one."""
        self.files[log(key)] = edit(self.files.get(log(key), b""))
