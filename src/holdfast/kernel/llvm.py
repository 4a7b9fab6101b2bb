"""The kernel as code that the package llvmlite makes: for where there is no C compiler.

It is called through ctypes, which lets Python's other threads run.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import threading
from ctypes import c_int64, c_void_p

from llvmlite import binding

from ..wire.fr32 import PADDED_GROUP, PAYLOAD_GROUP, Buffer
from ..wire.merkle import NODE_SIZE
from ..wire.piece import UNIT_GROUPS, Numbers, Running, sha256_each
from .llvm_code import VECTOR_LANES, write_module
from .pointers import address_of

_BATCH = 2 * NODE_SIZE * VECTOR_LANES


class LlvmKernel:
    """See `holdfast.wire.piece.Kernel`."""

    takes_along = False

    def __init__(self, *, hardware: bool | None = None) -> None:
        """Make the code, in some tenths of a second.

        Raises:
            RuntimeError: LLVM does not make it for this machine.
        """
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        features = binding.get_host_cpu_features()
        if hardware is None:
            hardware = platform.machine() == "x86_64" and bool(features.get("sha"))
        self.name = "LLVM " + ("sha-ni" if hardware else "vectors")
        parsed = binding.parse_assembly(str(write_module(hardware=hardware)))
        parsed.verify()
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=features.flatten(), opt=2
        )
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        self._nodes = self._function("nodes", c_void_p, c_void_p, c_int64)
        self._roots = self._function("roots", c_void_p, c_int64, c_int64, c_void_p, c_void_p)
        self._local = threading.local()

    def _function(self, name: str, *takes: type) -> ctypes._NamedFuncPointer:
        address = self._engine.get_function_address(name)
        return ctypes.CFUNCTYPE(None, *takes)(address)  # type: ignore[return-value]

    def nodes(self, row: Buffer) -> bytes:
        """See `Kernel`."""
        size = len(row) // 2
        whole = bytes(row).ljust(-(-len(row) // _BATCH) * _BATCH, b"\0")
        made = ctypes.create_string_buffer(len(whole) // 2)
        with address_of(whole) as source:
            self._nodes(source, made, size // NODE_SIZE)
        return made.raw[:size]

    def roots(self, data: Buffer, groups: int = UNIT_GROUPS) -> bytes:
        """See `Kernel`."""
        count = len(data) // (PAYLOAD_GROUP * groups)
        made = ctypes.create_string_buffer(NODE_SIZE * count)
        with address_of(data) as source:
            self._roots(source, groups, count, self._scratch(), made)
        return made.raw

    def roots_beside(
        self, data: Buffer, block: Buffer, whole: Running | None = None
    ) -> tuple[bytes, bytes]:
        """See `Kernel`."""
        if whole is not None:
            whole.update(block)
        return self.roots(data), hashlib.sha256(block).digest()

    def roots_beside_each(
        self, data: Buffer, base: Buffer, places: Numbers, sizes: Numbers
    ) -> tuple[bytes, bytes]:
        """See `Kernel`."""
        return self.roots(data), sha256_each(base, places, sizes)

    def running(self) -> Running:
        """See `Kernel`."""
        return hashlib.sha256()

    def running_md5(self) -> Running:
        """See `Kernel`."""
        return hashlib.md5(usedforsecurity=False)

    def _scratch(self) -> object:
        """Room for a unit's leaves, and for a batch when there are fewer."""
        found = getattr(self._local, "scratch", None)
        if found is None:
            found = ctypes.create_string_buffer(PADDED_GROUP * UNIT_GROUPS + _BATCH)
            self._local.scratch = found
        return found
