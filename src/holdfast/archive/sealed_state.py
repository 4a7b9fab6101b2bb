"""How an archive is encrypted, noted beside its data set: by which globs, and scopes it has had."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from ..core import faults

_FILE = b"/encryption"


class Encryption(NamedTuple):
    """The globs of its scopes (none: one for all), and the scopes that were packed."""

    globs: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()


def read_encryption(folder: bytes) -> Encryption | None:
    """How the archive of that folder is encrypted; None when it is not.

    Raises:
        ConflictError: It is not as it was written.
    """
    try:
        with open(folder + _FILE, encoding="ascii") as file:
            value = json.load(file)
        return Encryption(tuple(value["globs"]), frozenset(value["scopes"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise faults.ARCHIVE_STATE(path=os.fsdecode(folder), detail=str(error)) from None


def write_encryption(folder: bytes, encryption: Encryption) -> None:
    """Note it; it is on the disk when this ends."""
    path = folder + _FILE
    with open(path + b".part", "w", encoding="ascii") as file:
        json.dump({"globs": encryption.globs, "scopes": sorted(encryption.scopes)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + b".part", path)
