"""Files copied side by side, their MD5 made on the way.

One MD5 leaves most of a processor idle; sixteen at once take little longer than one. Reading,
hashing and writing go on in small parts that stay near the processor, and Python's other threads
run meanwhile.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_int32, c_uint64
from typing import NamedTuple

from ..core.buffers import aligned_buffer
from .compiled import Library
from .pointers import address_of

LANES = 16
"""So many files at a time, as the library has it."""

_STEP = 512 << 10
_PART = 128 << 10
"""Bytes of each file in one call, and in one turn of it."""


class _File(ctypes.Structure):
    """md5_file of the library."""

    _fields_ = (
        ("source", c_int32),
        ("target", c_int32),
        ("taken", c_uint64),
        ("is_end", c_int32),
        ("failed_read", c_int32),
        ("failed_write", c_int32),
    )


class Taken(NamedTuple):
    """What became of a file in one step."""

    size: int
    is_end: bool
    failed_read: OSError | None
    failed_write: OSError | None


class CopyLanes:
    """Sixteen lanes, each for one file at a time. For one thread at a time; they keep 2 MiB."""

    def __init__(self, library: Library, kind: int | None = None) -> None:
        self._kind = library.md5_kind if kind is None else kind
        self._code = library.code
        self._state = ctypes.create_string_buffer(self._code.hold_md5_size())
        self._code.hold_md5_begin(self._state)
        self._files = (_File * LANES)()
        self._room = aligned_buffer(LANES * _PART)
        for lane in range(LANES):
            self._files[lane] = _File(-1, -1)

    def __len__(self) -> int:
        return LANES

    def begin(self, lane: int, source: int, target: int | None) -> None:
        """Put a file on a free lane: descriptors to read it from, and to write it to, if at all."""
        self._files[lane] = _File(source, -1 if target is None else target)

    def step(self) -> None:
        """Go on with every file, by 512 KiB at most."""
        for file in self._files:
            file.taken = 0
        with address_of(self._room) as room:
            self._code.hold_md5_copy(self._kind, self._state, self._files, _STEP, room, _PART)

    def taken(self, lane: int) -> Taken:
        """What the last step did for a lane's file."""
        file = self._files[lane]
        return Taken(
            file.taken, bool(file.is_end), _error(file.failed_read), _error(file.failed_write)
        )

    def end(self, lane: int) -> bytes:
        """Free a lane; gives the MD5 of all that it took in."""
        self._files[lane] = _File(-1, -1)
        made = ctypes.create_string_buffer(16 * LANES)
        self._code.hold_md5_end(self._kind, self._state, 1 << lane, made)
        return made.raw[16 * lane : 16 * (lane + 1)]


def _error(number: int) -> OSError | None:
    return OSError(number, os.strerror(number)) if number else None
