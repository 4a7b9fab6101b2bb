"""Which kernel hashes here: the fastest that can run and was found right.

Three levels: ``compiled`` (C), ``llvm`` (code made by the package llvmlite, where it is installed),
``plain`` (hashlib). Every one is tried on known bytes before it is used; what cannot run is passed
over, and `Choice.passed` says why.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..settings import KERNELS, kernel_wish
from ..wire.piece import PLAIN, UNIT_SIZE, Kernel
from . import build

if TYPE_CHECKING:
    from .compiled import CompiledKernel

COMPILED, LLVM, PLAIN_LEVEL = KERNELS

_SAMPLE = bytes((i * i + 7 * i) % 251 for i in range(251)) * (2 * UNIT_SIZE // 251 + 1)
_SAMPLE_ROOTS = bytes.fromhex(
    "508095c8c92b903c80f5699b849b79295b1a711b1b3f2592f895560aa791062e"
    "e35c875b5ba9bb643f03f3c05b286471099c871b56963e21cd1310fcaa46680b"
)


class Choice(NamedTuple):
    """The kernel, its level, and why better levels were passed over."""

    kernel: Kernel
    level: str
    passed: Mapping[str, str] = {}  # never changed


class _UnfitError(Exception):
    """Why a level is not used."""


def chosen(environ: Mapping[str, str] = os.environ) -> Choice:
    """The best kernel here, found once for a process. ``HOLDFAST_KERNEL`` names the first to try.

    The first call may take some seconds, when a library has to be built. It never fails.

    Raises:
        UsageError: HOLDFAST_KERNEL has a word that means nothing.
    """
    return _choose(kernel_wish(environ), build.cache_folder(environ))


def is_ready(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the best kernel can be had at once: nothing is to be built first.

    For work that a kernel makes quicker, but not by the seconds that building takes.
    """
    wanted = kernel_wish(environ)
    return wanted != COMPILED or build.is_there(build.cache_folder(environ))


def best() -> Kernel:
    """The best kernel here; see `chosen`."""
    return chosen().kernel


def at_hand() -> Kernel:
    """The best kernel that can be had at once; see `is_ready`."""
    return best() if is_ready() else PLAIN


def compiled(kernel: Kernel) -> CompiledKernel | None:
    """The kernel, if it is the one in C, which can do more than others."""
    if not kernel.name.startswith("C "):
        return None
    from .compiled import CompiledKernel

    return kernel if isinstance(kernel, CompiledKernel) else None


def check(kernel: Kernel) -> None:
    """Try a kernel on known bytes.

    Raises:
        ValueError: It is not right.
    """
    sample = memoryview(_SAMPLE)[: 2 * UNIT_SIZE]
    right = (
        kernel.roots(sample) == _SAMPLE_ROOTS
        and _is_right_beside(kernel, sample, before=0)
        and _is_right_beside(kernel, sample, before=7)
        and _is_right_each(kernel, sample)
        and kernel.nodes(_SAMPLE[: 64 * 13]) == PLAIN.nodes(_SAMPLE[: 64 * 13])
        and kernel.roots(sample[:254], 2) == PLAIN.roots(sample[:254], 2)
    )
    if not right:
        raise ValueError(f"{kernel.name} hashes wrongly here")


def _is_right_beside(kernel: Kernel, sample: memoryview, before: int) -> bool:
    block = sample[: UNIT_SIZE + 13]
    right = (_SAMPLE_ROOTS, sha256(block).digest())
    both = (kernel.running(), sha256()), (kernel.running_md5(), md5(usedforsecurity=False))
    for whole, expected in both:
        whole.update(sample[:before])
        expected.update(sample[:before])
        expected.update(block)
        if kernel.roots_beside(sample, block, whole) != right:
            return False
        if whole.digest() != expected.digest():
            return False
    return kernel.roots_beside(sample, block) == right


def _is_right_each(kernel: Kernel, sample: memoryview) -> bool:
    places, sizes = array("Q", range(0, 7700, 700)), array("Q", range(0, 110, 10))
    right = [sha256(_SAMPLE[at : at + n]).digest() for at, n in zip(places, sizes, strict=True)]
    found = kernel.roots_beside_each(sample, _SAMPLE, places, sizes)
    return found == (_SAMPLE_ROOTS, b"".join(right))


@cache
def _choose(wish: str, folder: Path) -> Choice:
    makers: dict[str, Callable[[Path], Kernel]] = {COMPILED: _compiled, LLVM: _llvm}
    passed = {}
    for level in KERNELS[KERNELS.index(wish) : -1]:
        try:
            kernel = makers[level](folder)
            check(kernel)
        except (_UnfitError, ValueError) as error:
            passed[level] = str(error)
        else:
            return Choice(kernel, level, passed)
    return Choice(PLAIN, PLAIN_LEVEL, passed)


def _compiled(folder: Path) -> Kernel:
    try:
        from .compiled import CompiledKernel, Library
    except ImportError:
        raise _UnfitError("this Python was built without ctypes") from None
    try:
        path = build.library(folder)
        kernel = CompiledKernel(Library(path))
    except build.NotBuiltError as error:
        raise _UnfitError(str(error)) from None
    except OSError as error:
        raise _UnfitError(f"the library could not be loaded: {error}") from None
    _check_md5(kernel)
    return kernel


def _check_md5(kernel: CompiledKernel) -> None:
    every = array("Q", range(0, 68 * 21, 68))
    found = kernel.md5_many(_SAMPLE, every, every)
    if found != b"".join(md5(_SAMPLE[at : 2 * at], usedforsecurity=False).digest() for at in every):
        raise ValueError(f"{kernel.name} makes wrong MD5 here")


def _llvm(_folder: Path) -> Kernel:
    try:
        from .llvm import LlvmKernel
    except ImportError as error:
        detail = "llvmlite" if error.name == "llvmlite" else "ctypes, of Python itself,"
        raise _UnfitError(f"the Python package {detail} is not installed") from None
    try:
        return LlvmKernel()
    except RuntimeError as error:
        raise _UnfitError(f"llvmlite made no code: {error}") from None
