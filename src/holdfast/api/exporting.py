"""The files of a version, their content read here and checked as it is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from typing import IO, NamedTuple

from ..core import faults
from ..core.backends import checker
from ..core.errors import HoldError, IntegrityError
from ..core.key import Key
from ..core.names import way_out
from ..core.outcome import Outcome, Status
from ..core.system_errors import as_fault
from ..dataset.annexed import TrackedFile, iter_tracked
from ..dataset.packs import sync_file_system
from ..dataset.versions import commit_of
from ..wire.gitobjects import SYMLINK_MODE
from .datasets import Dataset

_CHUNK = 1 << 20


class Leaf(NamedTuple):
    """A file of a version: annexed (``key``), in git (``data``), or a symlink (``target``)."""

    path: bytes
    key: Key | None
    source: bytes | None
    data: bytes = b""
    target: bytes | None = None
    executable: bool = False

    @property
    def size(self) -> int:
        """How many bytes it has; of what is not here, what the key says."""
        if self.source is not None:
            return os.stat(self.source).st_size
        return len(self.data) if self.key is None else self.key.size or 0


def iter_leaves(dataset: Dataset, version: str) -> Iterator[Leaf]:
    """The files of a version, by path; data sets inside it are left out.

    Raises:
        NotFoundError: There is no such version.
        UsageError: A path in it leads out of where it is to be put.
    """
    commit = commit_of(dataset.repository, version)
    for file in iter_tracked(dataset.repository, (), commit):
        why = way_out(file.path)
        if why:
            raise faults.UNSAFE_NAME(path=os.fsdecode(file.path), detail=why)
        yield _leaf(dataset, file)


def _leaf(dataset: Dataset, file: TrackedFile) -> Leaf:
    if file.key is not None:
        source = dataset.objects.content_path(file.key)
        executable = file.mode == b"100755"
        if source is not None:
            executable = executable or bool(os.stat(source).st_mode & 0o100)
        return Leaf(file.path, file.key, source, executable=executable)
    answer = dataset.repository.git.objects.read(file.oid)
    if answer is None:
        raise faults.GIT_FAILED(command="cat-file", message=f"{file.oid.decode()} is missing")
    if file.mode == SYMLINK_MODE:
        return Leaf(file.path, None, None, target=answer[1])
    return Leaf(file.path, None, None, data=answer[1], executable=file.mode == b"100755")


def iter_bytes(leaf: Leaf) -> Iterator[bytes]:
    """The bytes of a file; the last come only after all were found to be what its key names.

    Raises:
        IntegrityError: They are not.
    """
    if leaf.key is None or leaf.source is None:
        yield leaf.data
        return
    check, kept = checker(leaf.key), b""
    try:
        with open(leaf.source, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                check.feed(chunk)
                if kept:
                    yield kept
                kept = chunk
        check.finish()
    except IntegrityError as error:
        raise faults.DAMAGED_HERE(key=leaf.key.text, detail=error.why) from None
    if kept:
        yield kept


@contextmanager
def new_name(target: bytes) -> Iterator[bytes]:
    """A path beside a target, which gets the target's name at the end, in one step, if all is well.

    Raises:
        ConflictError: The target is there already.
    """
    target = os.path.abspath(target)
    if os.path.lexists(target):
        raise faults.TARGET_EXISTS(path=os.fsdecode(target))
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, b".%b.part%b" % (name[:200], os.urandom(4).hex().encode()))
    try:
        os.makedirs(folder, exist_ok=True)
        yield temporary
        sync_file_system(folder)
        _give_name(temporary, target)
    except OSError as error:
        raise as_fault(error, os.fsdecode(target)) from error
    finally:
        _remove(temporary)


def _give_name(temporary: bytes, target: bytes) -> None:
    """Rename, but never over what somebody else made there meanwhile."""
    try:
        if not os.path.isdir(temporary):
            os.link(temporary, target)
            return
    except FileExistsError:
        raise faults.TARGET_EXISTS(path=os.fsdecode(target)) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
    if os.path.lexists(target):
        raise faults.TARGET_EXISTS(path=os.fsdecode(target))
    os.rename(temporary, target)


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        from shutil import rmtree

        rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def write_file(path: bytes, leaf: Leaf, see: Callable[[bytes], None] = lambda _: None) -> None:
    """Make a file, or a symlink, of a leaf, in folders that are made for it.

    Raises:
        IntegrityError: Its content is not what its key names. No such file is left.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if leaf.target is not None:
        os.symlink(leaf.target, path)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path, flags, 0o777 if leaf.executable else 0o666)
    try:
        with open(file, "wb", buffering=0) as out:
            for chunk in iter_bytes(leaf):
                see(chunk)
                write_whole(out, chunk)
    except HoldError:
        os.unlink(path)
        raise


def write_whole(out: RawIOBase | IO[bytes], chunk: bytes) -> None:
    """Write all of a chunk, in as many goes as the system needs."""
    view = memoryview(chunk)
    while view:
        view = view[out.write(view) or 0 :]


def is_missing(leaf: Leaf) -> bool:
    """Whether its content is not here."""
    return leaf.key is not None and leaf.source is None


def told_missing(leaf: Leaf, action: str, *, left_out: bool) -> Outcome:
    """What to say of content that is not here; the rest is exported if it is to be left out."""
    name = os.fsdecode(leaf.path)
    error = faults.NOT_EXPORTED(path=name)
    if left_out:
        error.safe = "all else is exported"
        error.hint = "hold get it, and export again under another name"
    size = leaf.key.size if leaf.key is not None else None
    return Outcome(action, Status.ERROR, name, leaf.key, size, error.what, error)


def told(leaf: Leaf, action: str, error: HoldError | None = None) -> Outcome:
    """What to say of a file that was exported, or failed to be."""
    name = os.fsdecode(leaf.path)
    if error is not None:
        return Outcome(action, Status.ERROR, name, leaf.key, error=error, note=error.why)
    return Outcome(action, Status.OK, name, leaf.key, leaf.size)
