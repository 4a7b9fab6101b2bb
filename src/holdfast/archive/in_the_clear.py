"""What is the same of all that is packed and not encrypted."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .entries import Entry
from .plan_records import FileRecord


class InTheClear:
    """What is the same of sources that are not encrypted."""

    is_sealed = False

    def amended(self, state_folder: bytes, entries: Iterator[Entry]) -> Iterator[Entry]:
        """As they are."""
        return entries

    def shown(self, record: FileRecord) -> FileRecord:
        """As it is."""
        return record


def now() -> str:
    """The time, as manifests have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
