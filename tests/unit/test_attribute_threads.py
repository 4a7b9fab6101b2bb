"""Several threads that ask for rules at once all get the rules, not what was known before."""

from __future__ import annotations

import threading
from collections.abc import Callable

from holdfast.dataset.attribute_files import WorkTreeAttributes


class Slow(WorkTreeAttributes):
    """Reads a rule slowly, while somebody else asks for it."""

    def __init__(self, reading: threading.Event, go_on: threading.Event) -> None:
        self._info = b""
        self._below = []
        self._files = {}
        self._known = set()
        self._lock = threading.Lock()
        self._reading = reading
        self._go_on = go_on
        self._tree = self._build()

    def _read_folder(self, folder: bytes) -> bytes:
        if folder:
            return b""
        self._reading.set()
        self._go_on.wait(10)
        return b"* annex.largefiles=nothing\n"


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def test_who_asks_while_a_file_is_read_waits_for_its_rules() -> None:
    reading, go_on = threading.Event(), threading.Event()
    attributes = Slow(reading, go_on)

    def ask() -> bytes | None:
        return attributes.get(b"sub/file", b"annex.largefiles")

    first, told_first = in_thread(ask)
    assert reading.wait(10)
    second, told_second = in_thread(ask)
    second.join(0.2)
    go_on.set()
    for thread in (first, second):
        thread.join(10)
    assert told_first == told_second == [b"nothing"]
