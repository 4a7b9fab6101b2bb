"""Removing a whole repository: set aside under another name first, then deleted.

So nobody meets half of one, and write-protected content is no hindrance. What a killed process
left is deleted by the next one when leave was given (a note beside it says so), else put back.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..core import faults
from ..core.errors import PlaceUnavailableError
from . import locks
from .objects import retained_until
from .repository import Repository

ASIDE = b".hold-removing-"
"""How the name of what is being removed begins."""

GRANTED = b".granted"
_LOCK = b".lck"


@contextmanager
def removal(top: bytes) -> Iterator[None]:
    """Be the only one who removes this folder.

    Raises:
        PlaceUnavailableError: Somebody else does.
    """
    path = _aside(top) + _LOCK
    with locks.exclusive(path, wait_s=0):
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)


def finish_earlier(top: bytes) -> bool:
    """Do what a killed removal could not; True when it was to delete the repository."""
    aside = _aside(top)
    if os.path.lexists(aside + GRANTED):
        _delete_granted(aside)
        return True
    if os.path.lexists(aside):
        restore(top)
    return False


def set_aside(top: bytes, *, leave_folder: bool) -> bytes:
    """Rename a repository, so that nobody reaches it; gives the new path.

    Raises:
        AccessError: It cannot be renamed.
    """
    aside = _aside(top)
    try:
        os.rename(top, aside)
    except OSError as error:
        detail = f"it cannot be renamed: {(error.strerror or str(error)).lower()}"
        raise faults.NO_PERMISSION(path=os.fsdecode(top), detail=detail) from error
    if leave_folder:
        os.mkdir(top)
    return aside


def restore(top: bytes) -> None:
    """Put back what was set aside."""
    with suppress(FileNotFoundError):
        os.rmdir(top)
    os.rename(_aside(top), top)


def delete(top: bytes, others: Sequence[bytes] = ()) -> None:
    """Delete what was set aside, and other folders that belong to it; leave is given with this."""
    aside = _aside(top)
    temporary = aside + GRANTED + b".new"
    with open(temporary, "wb") as file:
        file.write(json.dumps([os.fsdecode(path) for path in (aside, *others)]).encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, aside + GRANTED)
    _delete_granted(aside)


def _delete_granted(aside: bytes) -> None:
    with open(aside + GRANTED, "rb") as file:
        folders = json.load(file)
    for folder in folders:
        delete_tree(os.fsencode(folder))
    os.unlink(aside + GRANTED)


def delete_tree(folder: bytes) -> None:
    """Delete a folder and all in it, also what is write-protected; fine when it is gone."""
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(folder)
        return
    if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(folder, stat.S_IRWXU)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                delete_tree(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(folder)


def check_nobody_holds(annex_dir: bytes) -> None:
    """Refuse while somebody relies on content in an annex: for another drop, say.

    Raises:
        PlaceUnavailableError: Content is locked, or promised to be kept for a while.
    """
    now = time.time()
    for folder, _, names in os.walk(annex_dir + b"/objects"):
        for name in names:
            path = folder + b"/" + name
            if name.endswith(b".lck"):
                _check_free(path)
            elif name.endswith(b".rtm") and retained_until(path.removesuffix(b".rtm")) > now:
                raise faults.IN_USE(key=os.fsdecode(name), lock=os.fsdecode(path))


def _check_free(path: bytes) -> None:
    try:
        with locks.exclusive(path, wait_s=0):
            return
    except PlaceUnavailableError:
        key = os.fsdecode(os.path.basename(path).removesuffix(_LOCK))
        raise faults.IN_USE(key=key, lock=os.fsdecode(path)) from None


def superproject(repository: Repository) -> bytes | None:
    """The repository that has this one as its submodule, or None."""
    return repository.git.line("rev-parse", "--show-superproject-working-tree")


def linked_work_trees(repository: Repository) -> list[bytes]:
    """Other folders where versions of this repository are checked out."""
    fields = repository.git.iter_fields("worktree", "list", "--porcelain", "-z")
    found = [field[9:] for field in fields if field.startswith(b"worktree ")]
    return [path for path in found[1:] if os.path.isdir(path)]


def _aside(top: bytes) -> bytes:
    parent, name = os.path.split(top)
    return os.path.join(parent, ASIDE + name[:200])
