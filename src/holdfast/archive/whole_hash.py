"""The hash of a whole file whose leaves are hashed by several threads: each takes its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.backends import backend_of, check_hashed, is_verifiable
from ..core.errors import IntegrityError
from ..core.key import Key
from ..wire.piece import Kernel, Running


class WholeHash:
    """What has all leaves of a file fed to it in order, beside the hashing of each of them.

    A leaf waits for those before it. With several threads that costs more on the clock than the
    processor's time it saves, so the packer has it so where it works alone.
    """

    def __init__(self, key: Key, running: Running) -> None:
        self._key = key
        self._running = running
        self._size = 0
        self._is_given_up = False
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, offset: int, size: int) -> Iterator[Running | None]:
        """What the leaf at an offset is to be fed to meanwhile; nothing if it was given up.

        The leaves before it have to be under way, or it waits for ever.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_given_up or self._size == offset)
        if self._is_given_up:
            yield None
            return
        yield self._running
        with self._changed:
            self._size += size
            self._changed.notify_all()

    def give_up(self) -> None:
        """A leaf could not be read, or hashed: nobody should wait for it."""
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()

    def feed(self, view: memoryview, digest: bytes) -> None:
        """A leaf and its digest, as other checks of a file want them: it had its turn already."""

    def fault(self) -> str:
        """Why all that was fed is not what the key says; nothing when it is."""
        try:
            check_hashed(self._key, self._size, self._running.hexdigest())
        except IntegrityError as error:
            return error.why
        return ""


def whole_hash(key: Key, kernel: Kernel) -> WholeHash | None:
    """A hash for that key, if the kernel is quicker at it beside other work than alone."""
    if not kernel.takes_along or not is_verifiable(key.backend):
        return None
    if backend_of(key) == b"MD5":
        return WholeHash(key, kernel.running_md5())
    if backend_of(key) == b"SHA256":
        return WholeHash(key, kernel.running())
    return None
