"""The hash of a whole file, made beside those of its leaves by the one thread that has them all."""

from __future__ import annotations

from ..core.backends import backend_of, check_hashed, is_verifiable
from ..core.errors import IntegrityError
from ..core.key import Key
from ..wire.piece import Kernel, Running


class WholeHash:
    """What has all leaves of a file fed to it beside the hashing of each of them.

    Several threads would wait for each other's leaves, which costs more on the clock than it saves
    of the processor's time: the packer has it where it works alone.
    """

    def __init__(self, key: Key, running: Running) -> None:
        self._key = key
        self._running = running
        self._size = 0

    def next(self, offset: int, size: int) -> Running | None:
        """What the leaf at an offset is fed to; nothing once one before it could not be read."""
        if offset != self._size:
            return None
        self._size += size
        return self._running

    def feed(self, view: memoryview, digest: bytes) -> None:
        """A leaf and its digest, as other checks of a file want them: it was fed already."""

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
