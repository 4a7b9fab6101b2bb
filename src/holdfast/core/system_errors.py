"""What the operating system says (OSError), as one of our faults. The one place for it."""

from __future__ import annotations

import errno
import os

from . import faults
from .errors import HoldError
from .faults import Fault

_FAULTS: dict[int, Fault] = {
    errno.ENOSPC: faults.NO_ROOM,
    errno.EDQUOT: faults.NO_ROOM,
    errno.EFBIG: faults.NO_ROOM,
    errno.EACCES: faults.NO_PERMISSION,
    errno.EPERM: faults.NO_PERMISSION,
    errno.EROFS: faults.NO_PERMISSION,
    errno.ENAMETOOLONG: faults.NAME_TOO_LONG,
    errno.EIO: faults.DISK_ERROR,
    errno.ESTALE: faults.DISK_ERROR,
    errno.EMFILE: faults.DISK_ERROR,
    errno.ENFILE: faults.DISK_ERROR,
    errno.ENOMEM: faults.DISK_ERROR,
}
"""What may happen to anybody, however right our code is."""


def foreseen(error: OSError, path: str = "") -> HoldError | None:
    """The fault behind a system error; None when it is none of those that may happen to anybody.

    ``path`` is what people know the file by; without it, what the error names.
    """
    fault = _FAULTS.get(error.errno or 0)
    if fault is None:
        return None
    return fault(path=path or _named(error), detail=_said(error))


def as_fault(error: OSError, path: str, *, reading: bool = False) -> HoldError:
    """The fault behind a system error that came of reading or writing a file, whatever it is.

    ``reading`` says that it is known to be of reading, where a permission is missing.
    """
    if reading and error.errno == errno.EACCES:
        return faults.NOT_READABLE(path=path, detail=_said(error))
    return foreseen(error, path) or faults.DISK_ERROR(path=path, detail=_said(error))


def as_target_fault(error: OSError, path: str) -> HoldError:
    """The fault behind a system error that came of making what a person asked to be made there."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return faults.NOTHING_MADE_THERE(path=path, detail=_said(error))
    return as_fault(error, path)


def _named(error: OSError) -> str:
    name = error.filename
    if name is None:
        return "this machine"
    return os.fsdecode(name) if isinstance(name, bytes | str) else str(name)


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
