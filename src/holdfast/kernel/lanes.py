"""Files copied side by side, their hashes made on the way.

One hash waits for itself most of the time: sixteen MD5 at once take little longer than one, and so
do two SHA-256 where the machine has instructions for it. Reading, hashing and writing go on in
small parts that stay near the processor, and Python's other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_uint64
from typing import Any, NamedTuple, Protocol

from ..core.buffers import aligned_buffer
from ..wire.piece import Kernel
from .choose import compiled
from .compiled import HARDWARE, Library
from .pointers import address_of

LANES = 16
"""So many files at a time, as the library has it."""

_STEP = 512 << 10
_PART = 128 << 10
"""Bytes of each file in one call, and in one turn of it."""


class _File(ctypes.Structure):
    """lane_file of the library."""

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
    failed_read: int
    failed_write: int
    """What the system said, or 0."""


class CopyLanes:
    """Sixteen lanes, each for one file at a time. For one thread at a time; they keep 2 MiB."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
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
            self._hashes.copy(self._files, room)

    def taken(self, lane: int) -> Taken:
        """What the last step did for a lane's file."""
        file = self._files[lane]
        return Taken(file.taken, bool(file.is_end), file.failed_read, file.failed_write)

    def end(self, lane: int) -> bytes:
        """Free a lane; gives the hash of all that it took in."""
        self._files[lane] = _File(-1, -1)
        return self._hashes.end(lane)


Files = ctypes.Array[_File]


class Hashes(Protocol):
    """Sixteen running hashes of one kind."""

    def copy(self, files: Files, room: int) -> None:
        """Go on with every file; ``room`` is where there is room for a part of each."""

    def end(self, lane: int) -> bytes:
        """The digest of a lane, which begins anew."""


class Md5Hashes:
    """MD5, by the code of one kind, or the best."""

    def __init__(self, library: Library, kind: int | None = None) -> None:
        self._kind = library.md5_kind if kind is None else kind
        self._code = library.code
        self._state = ctypes.create_string_buffer(self._code.hold_md5_size())
        self._code.hold_md5_begin(self._state)

    def copy(self, files: Files, room: int) -> None:
        """See `Hashes`."""
        self._code.hold_md5_copy(self._kind, self._state, files, _STEP, room, _PART)

    def end(self, lane: int) -> bytes:
        """See `Hashes`."""
        made = ctypes.create_string_buffer(16 * LANES)
        self._code.hold_md5_end(self._kind, self._state, 1 << lane, made)
        return made.raw[16 * lane : 16 * (lane + 1)]


class Sha256Hashes:
    """SHA-256, for a machine that has instructions for it."""

    def __init__(self, library: Library) -> None:
        self._code = library.code
        self._size = self._code.hold_sha256_size()
        self._states = ctypes.create_string_buffer(LANES * self._size)
        for lane in range(LANES):
            self._begin(lane)

    def copy(self, files: Files, room: int) -> None:
        """See `Hashes`."""
        self._code.hold_sha256_copy(self._states, files, _STEP, room, _PART)

    def end(self, lane: int) -> bytes:
        """See `Hashes`."""
        made = ctypes.create_string_buffer(32)
        self._code.hold_sha256_digest(self._state(lane), made)
        self._begin(lane)
        return made.raw

    def _begin(self, lane: int) -> None:
        self._code.hold_sha256_begin(self._state(lane))

    def _state(self, lane: int) -> Any:
        return ctypes.byref(self._states, lane * self._size)


def copy_lanes(kernel: Kernel, algorithm: str) -> CopyLanes | None:
    """Lanes of an algorithm, as hashlib calls it; None where they would gain no time."""
    found = compiled(kernel)
    if found is not None and algorithm == "md5":
        return CopyLanes(Md5Hashes(found.library))
    if found is not None and algorithm == "sha256" and found.kind == HARDWARE:
        return CopyLanes(Sha256Hashes(found.library))
    return None
