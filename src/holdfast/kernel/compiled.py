"""The kernel in C (kernel/c), reached through ctypes, which lets Python's other threads run.

The library knows nothing of Python, so one serves every Python on a machine.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
from array import array
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_long, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from ..wire.fr32 import PADDED_GROUP, PAYLOAD_GROUP, Buffer
from ..wire.merkle import NODE_SIZE
from ..wire.piece import UNIT_GROUPS, Numbers, Running, sha256_each
from .pointers import address_of

VERSION = 4
"""Of the library's interface; `hold_version` has to say the same."""

PORTABLE, AVX2, HARDWARE = range(3)

_NAMES_AT_ONCE = 4096
_SHA256, _MD5 = "sha256", "md5_serial"
_DIGEST_SIZES = {_SHA256: 32, _MD5: 16}

_Signatures = dict[str, tuple[list[Any], Any]]
_SIGNATURES: _Signatures = {
    "hold_version": ([], c_int),
    "hold_hardware": ([], c_char_p),
    "hold_kinds": ([], c_int),
    "hold_nodes": ([c_int, c_void_p, c_void_p, c_size_t], None),
    "hold_roots": ([c_int, c_void_p, c_size_t, c_size_t, c_void_p, c_void_p], None),
    "hold_md5_size": ([], c_size_t),
    "hold_md5_begin": ([c_void_p], None),
    "hold_md5_copy": ([c_int, c_void_p, c_void_p, c_uint64, c_void_p, c_size_t], None),
    "hold_md5_end": ([c_int, c_void_p, c_uint, c_void_p], None),
    "hold_md5_many": ([c_int, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p], None),
    "hold_read_files": (
        [c_char_p, c_void_p, c_void_p, c_void_p, c_size_t, c_long, c_void_p],
        None,
    ),
    "hold_look_at": ([c_char_p, c_char_p, c_size_t, c_void_p, c_void_p], None),
}
_HARDWARE_SIGNATURES: _Signatures = {
    "hold_roots_beside": (
        [
            c_void_p, c_size_t, c_size_t, c_void_p, c_void_p,
            c_void_p, c_size_t, c_void_p, c_void_p, c_void_p,
        ],
        None,
    ),
    "hold_sha256_copy": ([c_void_p, c_void_p, c_uint64, c_void_p, c_size_t], None),
    "hold_roots_beside_each": (
        [
            c_void_p, c_size_t, c_size_t, c_void_p, c_void_p,
            c_void_p, c_void_p, c_void_p, c_size_t, c_void_p,
        ],
        None,
    ),
    "hold_md5_serial_size": ([], c_size_t),
    "hold_md5_serial_begin": ([c_void_p], None),
    "hold_md5_serial_update": ([c_void_p, c_void_p, c_size_t], None),
    "hold_md5_serial_digest": ([c_void_p, c_void_p], None),
    "hold_sha256_size": ([], c_size_t),
    "hold_sha256_begin": ([c_void_p], None),
    "hold_sha256_update": ([c_void_p, c_void_p, c_size_t], None),
    "hold_sha256_digest": ([c_void_p, c_void_p], None),
}  # fmt: skip


class Library:
    """The library, loaded, with what it takes and gives declared.

    Raises:
        OSError: It cannot be loaded here, or is not the library that belongs to this code.
    """

    def __init__(self, path: Path) -> None:
        self.code = ctypes.CDLL(str(path))
        try:
            self._declare(_SIGNATURES)
            if self.code.hold_version() != VERSION:
                raise OSError("it is of another version")
            self.kinds = [kind for kind in range(3) if self.code.hold_kinds() >> kind & 1]
            if HARDWARE in self.kinds:
                self._declare(_HARDWARE_SIGNATURES)
        except AttributeError as error:
            raise OSError(f"it lacks a function: {error}") from None

    def _declare(self, signatures: _Signatures) -> None:
        for name, (takes, gives) in signatures.items():
            function = getattr(self.code, name)
            function.argtypes, function.restype = takes, gives

    def name_of(self, kind: int) -> str:
        """What a kind of code is called."""
        if kind == HARDWARE:
            return str(self.code.hold_hardware().decode())
        return ("portable", "avx2")[kind]

    @property
    def md5_kind(self) -> int:
        """The best kind that has MD5, for which no machine has instructions."""
        return max(kind for kind in self.kinds if kind != HARDWARE)


class CompiledKernel:
    """See `holdfast.wire.piece.Kernel`. Of one kind; the best this machine can run by default."""

    def __init__(self, library: Library, kind: int | None = None) -> None:
        self.kind = max(library.kinds) if kind is None else kind
        self.library = library
        self.name = f"C {library.name_of(self.kind)}"
        self.takes_along = self.kind == HARDWARE
        self._code = library.code
        self._local = threading.local()

    def nodes(self, row: Buffer) -> bytes:
        """See `Kernel`."""
        made = ctypes.create_string_buffer(len(row) // 2)
        with address_of(row) as source:
            self._code.hold_nodes(self.kind, source, made, len(row) // (2 * NODE_SIZE))
        return made.raw

    def roots(self, data: Buffer, groups: int = UNIT_GROUPS) -> bytes:
        """See `Kernel`."""
        count = len(data) // (PAYLOAD_GROUP * groups)
        made = ctypes.create_string_buffer(NODE_SIZE * count)
        with address_of(data) as source:
            self._code.hold_roots(self.kind, source, groups, count, self._scratch(), made)
        return made.raw

    def roots_beside(
        self, data: Buffer, block: Buffer, whole: Running | None = None
    ) -> tuple[bytes, bytes]:
        """See `Kernel`. Both at once where the machine has instructions for SHA-256."""
        if self.kind != HARDWARE:
            # hashlib's code for one long hash is the best there is on such a machine.
            if whole is not None:
                whole.update(block)
            return self.roots(data), hashlib.sha256(block).digest()
        mine = whole if isinstance(whole, _Running) else None
        if whole is not None and mine is None:
            whole.update(block)
        by_sha256 = mine.state if mine is not None and mine.name == _SHA256 else None
        by_md5 = mine.state if mine is not None and mine.name == _MD5 else None
        count = len(data) // (PAYLOAD_GROUP * UNIT_GROUPS)
        made = ctypes.create_string_buffer(NODE_SIZE * count)
        digest = ctypes.create_string_buffer(32)
        with address_of(data) as source, address_of(block) as beside:
            self._code.hold_roots_beside(
                source, UNIT_GROUPS, count, self._scratch(), made,
                beside, len(block), digest, by_sha256, by_md5,
            )  # fmt: skip
        return made.raw, digest.raw

    def roots_beside_each(
        self, data: Buffer, base: Buffer, places: Numbers, sizes: Numbers
    ) -> tuple[bytes, bytes]:
        """See `Kernel`."""
        if self.kind != HARDWARE:
            return self.roots(data), sha256_each(base, places, sizes)
        count = len(data) // (PAYLOAD_GROUP * UNIT_GROUPS)
        made = ctypes.create_string_buffer(NODE_SIZE * count)
        digests = ctypes.create_string_buffer(32 * len(places))
        with address_of(data) as source, address_of(base) as start:
            self._code.hold_roots_beside_each(
                source, UNIT_GROUPS, count, self._scratch(), made, start,
                places.buffer_info()[0], sizes.buffer_info()[0], len(places), digests,
            )  # fmt: skip
        return made.raw, digests.raw

    def md5_many(self, base: Buffer, places: Numbers, sizes: Numbers) -> bytes:
        """The MD5 of each of the buffers at places in ``base``, one after the other."""
        digests = ctypes.create_string_buffer(16 * len(places))
        kind = min(self.kind, self.library.md5_kind)
        with address_of(base) as start:
            self._code.hold_md5_many(
                kind, start, places.buffer_info()[0], sizes.buffer_info()[0], len(places), digests
            )
        return digests.raw

    def read_files(
        self, paths: list[bytes], base: Buffer, places: Numbers, sizes: Numbers, unsettled_s: float
    ) -> bytes:
        """See `holdfast.kernel.many.read_files`; a byte for each file, 1 for one that is wrong."""
        wrong = ctypes.create_string_buffer(len(paths))
        with address_of(base) as start:
            self._code.hold_read_files(
                b"\0".join(paths) + b"\0", start, places.buffer_info()[0],
                sizes.buffer_info()[0], len(paths), round(unsettled_s * 1e9), wrong,
            )  # fmt: skip
        return wrong.raw

    def look_at(self, folder: bytes, names: Sequence[bytes]) -> tuple[Numbers, Numbers]:
        """See `holdfast.kernel.many.look_at`."""
        modes, sizes = array("Q"), array("Q")
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            found = array("Q", bytes(8 * len(some))), array("Q", bytes(8 * len(some)))
            addresses = (column.buffer_info()[0] for column in found)
            self._code.hold_look_at(folder, b"\0".join(some) + b"\0", len(some), *addresses)
            modes += found[0]
            sizes += found[1]
        return modes, sizes

    def running(self) -> Running:
        """See `Kernel`."""
        return _Running(self._code, _SHA256) if self.kind == HARDWARE else hashlib.sha256()

    def running_md5(self) -> Running:
        """See `Kernel`."""
        if self.kind != HARDWARE:
            return hashlib.md5(usedforsecurity=False)
        return _Running(self._code, _MD5)

    def _scratch(self) -> object:
        """Room for a unit's leaves, one for each thread."""
        found = getattr(self._local, "scratch", None)
        if found is None:
            found = ctypes.create_string_buffer(PADDED_GROUP * UNIT_GROUPS)
            self._local.scratch = found
        return found


class _Running:
    """A `Running` that the library can take along with other work."""

    def __init__(self, code: ctypes.CDLL, name: str) -> None:
        self.name = name
        self._update, self._digest = (
            getattr(code, f"hold_{name}_{verb}") for verb in ("update", "digest")
        )
        self.state = ctypes.create_string_buffer(getattr(code, f"hold_{name}_size")())
        getattr(code, f"hold_{name}_begin")(self.state)

    def update(self, data: Buffer, /) -> None:
        """Take more bytes in."""
        with address_of(data) as source:
            self._update(self.state, source, len(data))

    def digest(self) -> bytes:
        """The digest of all bytes so far."""
        made = ctypes.create_string_buffer(_DIGEST_SIZES[self.name])
        self._digest(self.state, made)
        return made.raw

    def hexdigest(self) -> str:
        """The same in hex."""
        return self.digest().hex()
