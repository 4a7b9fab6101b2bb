"""Several streams hashed side by side, for algorithms that go one step at a time.

One MD5 leaves most of a processor idle; eight at once take little longer than one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from ..wire.fr32 import Buffer
from . import MD5_LANES, SHA256_LANES
from .choose import Choice, chosen, compiled


class Lanes(Protocol):
    """Up to MD5_LANES running hashes. Whoever has one uses it from one thread at a time."""

    def update(self, parts: list[Buffer]) -> None:
        """The next bytes of each lane, from the first on; any number, none for those that rest.

        It is quickest when all get the same number.
        """

    def finish(self, lanes: list[int]) -> list[bytes]:
        """The digests of some lanes, which begin anew; others go on."""


class PlainMd5Lanes:
    """The same by hashlib, one lane after the other."""

    def __init__(self) -> None:
        self._hashes = [hashlib.md5(usedforsecurity=False) for _ in range(MD5_LANES)]

    def update(self, parts: list[Buffer]) -> None:
        """See `Lanes`."""
        assert len(parts) <= MD5_LANES, "there are eight lanes"
        for made, part in zip(self._hashes, parts, strict=False):
            made.update(part)

    def finish(self, lanes: list[int]) -> list[bytes]:
        """See `Lanes`."""
        digests = [self._hashes[lane].digest() for lane in lanes]
        for lane in lanes:
            self._hashes[lane] = hashlib.md5(usedforsecurity=False)
        return digests


def md5_lanes(choice: Choice | None = None) -> Lanes:
    """Eight MD5 side by side, by the best code here."""
    kernel = compiled((choice or chosen()).kernel)
    return PlainMd5Lanes() if kernel is None else kernel.md5_lanes()


def hash_many(
    buffers: Sequence[Buffer], algorithm: str, choice: Choice | None = None
) -> list[bytes]:
    """The digest of each buffer, as ``hashlib.new(algorithm, buffer)`` makes it.

    MD5 goes eight at a time and SHA-256 in pairs where the machine can; others one by one.
    """
    kernel = compiled((choice or chosen()).kernel)
    if kernel is None or algorithm not in ("md5", "sha256"):
        return [hashlib.new(algorithm, data, usedforsecurity=False).digest() for data in buffers]
    digests = []
    if algorithm == "sha256":
        for some in _batches(buffers, SHA256_LANES):
            digests += kernel.sha256_many(some)
        return digests
    lanes = kernel.md5_lanes()
    for some in _batches(buffers, MD5_LANES):
        lanes.update(some)
        digests += lanes.finish(list(range(len(some))))
    return digests


def _batches(buffers: Sequence[Buffer], size: int) -> list[list[Buffer]]:
    return [list(buffers[at : at + size]) for at in range(0, len(buffers), size)]
