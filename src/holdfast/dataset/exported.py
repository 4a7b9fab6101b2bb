"""The files of exported trees, by key: where a place that holds a tree has some content.

The trees are read once, as a stream. What is kept in memory is 16 bytes a file; names are in a
file without a name, on disk.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from typing import IO
from zlib import crc32

from ..core.errors import HoldError
from ..core.key import Key
from .annexed import iter_annexed
from .repository import Repository

_HEAD = struct.Struct(">II")


class ExportedFiles:
    """Finds the files of some trees that hold a key. Threads and forked processes may share it."""

    def __init__(self, repository: Repository, trees: Sequence[bytes]) -> None:
        """``trees`` are in git's hex; they are read when a key is first asked for."""
        self._repository = repository
        self._trees = trees
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._offsets = array("Q")
        self._index = array("Q")
        """Sorted: the hash of a key, and the number of its record."""

    def paths_of(self, key: Key) -> list[bytes]:
        """The files that hold a key, in the order of trees and paths; none is in it twice."""
        with self._lock:
            if self._file is None:
                self._read()
        wanted = crc32(key)
        found: list[bytes] = []
        position = bisect_left(self._index, wanted << 32)
        while position < len(self._index) and self._index[position] >> 32 == wanted:
            known, path = self._record(self._index[position] & 0xFFFFFFFF)
            if known == key and path not in found:
                found.append(path)
            position += 1
        return found

    def _record(self, number: int) -> tuple[bytes, bytes]:
        assert self._file is not None
        file, offset = self._file.fileno(), self._offsets[number]
        key_size, path_size = _HEAD.unpack(os.pread(file, _HEAD.size, offset))
        both = os.pread(file, key_size + path_size, offset + _HEAD.size)
        return both[:key_size], both[key_size:]

    def _read(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as we do)
        offset = 0
        for tree in self._trees:
            # One that nobody fetched yet cannot be looked into; the others can.
            with suppress(HoldError):
                for found in iter_annexed(self._repository, (), tree.decode()):
                    assert found.key is not None
                    self._index.append(crc32(found.key) << 32 | len(self._offsets))
                    self._offsets.append(offset)
                    head = _HEAD.pack(len(found.key), len(found.path))
                    offset += file.write(head + found.key + found.path)
        file.flush()
        self._index = array("Q", sorted(self._index))
        self._file = file
