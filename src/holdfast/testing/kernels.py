"""Every kernel that this machine can run, to hold them against each other."""

from __future__ import annotations

import os
from functools import cache

from ..kernel.choose import chosen
from ..kernel.compiled import CompiledKernel, Library
from ..wire.piece import PLAIN, Kernel


@cache
def every_kernel() -> dict[str, Kernel]:
    """By name; hashlib's is always among them, those in C and by LLVM where they can be."""
    found: list[Kernel] = [PLAIN]
    library = compiled_library()
    if library is not None:
        found += [CompiledKernel(library, kind) for kind in library.kinds]
    try:
        from ..kernel.llvm import LlvmKernel
    except ImportError:
        pass
    else:
        found += [LlvmKernel(hardware=False), LlvmKernel()]
    return {kernel.name: kernel for kernel in found}


def compiled_library() -> Library | None:
    """The library in C; None where there is none."""
    kernel = chosen({**os.environ, "HOLDFAST_KERNEL": "auto"}).kernel
    return kernel.library if isinstance(kernel, CompiledKernel) else None
