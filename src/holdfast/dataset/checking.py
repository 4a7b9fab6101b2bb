"""Looking at content that is here: in its place, protected, whole, and what its key names."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum

from ..core.backends import checker, is_verifiable
from ..core.errors import IntegrityError
from ..core.key import Key
from .objects import Objects

_CHUNK = 1 << 20


class Health(StrEnum):
    """What was found of one key."""

    GOOD = "good"
    MISSING = "missing"
    BAD = "bad"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Checkup:
    """The result for one key: bytes read, and in words what is wrong or was mended."""

    key: Key
    health: Health
    size: int = 0
    detail: str = ""


def check(objects: Objects, key: Key, *, fast: bool) -> Checkup:
    """Look at one key's content; mends its place and protection, changes nothing else.

    ``fast`` looks at the size only.
    """
    path = objects.content_path(key)
    if path is None:
        return Checkup(key, Health.MISSING)
    mended = _mend(objects, key, path)
    path = objects.path_of(key) if mended else path
    size = os.stat(path).st_size
    if key.size is not None and size != key.size:
        return Checkup(key, Health.BAD, 0, f"it has {size} bytes, not {key.size}")
    if fast:
        return Checkup(key, Health.GOOD, 0, mended)
    if not is_verifiable(key.backend):
        return Checkup(key, Health.UNCHECKED, 0, mended)
    try:
        _read(path, key)
    except IntegrityError as error:
        return Checkup(key, Health.BAD, size, error.why or error.what)
    return Checkup(key, Health.GOOD, size, mended)


def _read(path: bytes, key: Key) -> None:
    verifier = checker(key, "the annex")
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        buffer = bytearray(min(_CHUNK, size + 1))
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            verifier.feed(view[:count])  # type: ignore[arg-type]
    verifier.finish()


def _mend(objects: Objects, key: Key, path: bytes) -> str:
    """Move content to where it belongs and protect it; says what was done, empty for nothing."""
    right = objects.path_of(key)
    if path != right:
        objects.unprotect(path)
        objects.put(key, path)
        objects.forget_folders(path)
        return "moved to its place"
    mode = os.stat(path).st_mode
    if mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) and os.stat(path).st_nlink == 1:
        os.chmod(path, stat.S_IMODE(mode) & 0o555 | 0o444)
        objects.protect(path)
    return ""
