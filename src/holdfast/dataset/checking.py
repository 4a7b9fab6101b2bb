"""Looking at content that is here: in its place, protected, whole, and what its key names."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from typing import NamedTuple

from ..core.backends import checker, is_verifiable
from ..core.buffers import aligned_buffer
from ..core.errors import IntegrityError
from ..core.key import Key
from .objects import Objects

_CHUNK = 1 << 20
_SMALL = 1 << 18


class Health(StrEnum):
    """What was found of one key."""

    GOOD = "good"
    MISSING = "missing"
    BAD = "bad"
    UNCHECKED = "unchecked"


class Checkup(NamedTuple):
    """The result for one key: bytes read, and in words what is wrong or was mended."""

    key: Key
    health: Health
    size: int = 0
    detail: str = ""


def check(objects: Objects, key: Key, *, fast: bool) -> Checkup:
    """Look at one key's content; mends its place and protection, changes nothing else.

    ``fast`` looks at the size only.
    """
    path = objects.path_of(key)
    try:
        status = os.stat(path)
    except OSError:
        found = objects.content_path(key)
        if found is None:
            return Checkup(key, Health.MISSING)
        mended = _move(objects, key, found)
        status = os.stat(path)
    else:
        mended = ""
        _protect(objects, path, status)
    size = status.st_size
    if key.size is not None and size != key.size:
        return Checkup(key, Health.BAD, 0, f"it has {size} bytes, not {key.size}")
    if fast:
        return Checkup(key, Health.GOOD, 0, mended)
    if not is_verifiable(key.backend):
        return Checkup(key, Health.UNCHECKED, 0, mended)
    try:
        _read(path, key, size)
    except IntegrityError as error:
        return Checkup(key, Health.BAD, size, error.why or error.what)
    return Checkup(key, Health.GOOD, size, mended)


def _read(path: bytes, key: Key, size: int) -> None:
    verifier = checker(key, "the annex")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size <= _SMALL:
            verifier.feed(data := os.read(descriptor, size + 1))
        if size > _SMALL or len(data) != size:
            buffer = aligned_buffer(_CHUNK)
            while count := os.readv(descriptor, [buffer]):
                verifier.feed(buffer[:count])  # type: ignore[arg-type]
    finally:
        os.close(descriptor)
    verifier.finish()


def _move(objects: Objects, key: Key, path: bytes) -> str:
    """Move content to where it belongs; says so."""
    objects.unprotect(path)
    objects.put(key, path)
    objects.forget_folders(path)
    return "moved to its place"


def _protect(objects: Objects, path: bytes, status: os.stat_result) -> None:
    mode = status.st_mode
    if mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) and status.st_nlink == 1:
        os.chmod(path, stat.S_IMODE(mode) & 0o555 | 0o444)
        objects.protect(path)
