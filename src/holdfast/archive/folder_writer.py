"""Writes files of an archive below a folder, and nothing outside of it.

Every folder on the way is opened without following links. Nothing that is there is replaced: what
says the same stays, anything else is refused. Files are written under other names, synced in
batches, and only then get their own.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from types import TracebackType

from ..core import faults
from ..core.errors import HoldError
from ..core.system_errors import as_fault, as_target_fault
from ..dataset import locks
from ..dataset.packs import sync_file_system
from ..wire.cid import RAW_SHA256, Cid
from ..wire.file_layout import FileBuilder
from ..wire.unixfs import PROFILE
from .piece_blocks import FileAt

SCRATCH = b".hold-restoring"
_LOCK = b".lock"
_BATCH_FILES = 512
_BATCH_BYTES = 256 << 20
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderWriter:
    """Writes into a folder, which one process alone does at a time. Use as a context manager."""

    def __init__(self, target: bytes) -> None:
        """Make the folder; what a killed process left unfinished in it is removed.

        Raises:
            PlaceUnavailableError: Another process restores there.
        """
        self._target = target
        self._waiting: list[tuple[bytes, bytes, int]] = []
        self._bytes = 0
        self._count = 0

    def __enter__(self) -> FolderWriter:
        if os.path.lexists(self._target) and not os.path.isdir(self._target):
            raise faults.ALREADY_THERE(
                path=os.fsdecode(self._target), what="a file", next="choose another folder: --to"
            )
        self._scratch = self._target + b"/" + SCRATCH
        try:
            os.makedirs(self._target, exist_ok=True)
            # The lock is beside the scratch folder's content, and goes with it at the end.
            os.makedirs(self._scratch, mode=0o700, exist_ok=True)
        except OSError as error:
            raise as_target_fault(error, os.fsdecode(self._scratch)) from error
        if os.path.islink(self._scratch):
            raise faults.NOT_RESTORED(
                path=os.fsdecode(self._scratch), detail="a link has the name of our scratch folder"
            )
        self._lock = locks.exclusive(self._scratch + b"/" + _LOCK, wait_s=0)
        self._lock.__enter__()
        for name in os.listdir(self._scratch):
            path = self._scratch + b"/" + name
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif name != _LOCK:
                os.unlink(path)
        self._top = os.open(self._target, _FOLDER & ~os.O_NOFOLLOW)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._top)
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._lock.__exit__(kind, error, trace)

    def make_folder(self, path: bytes) -> None:
        """Have a folder.

        Raises:
            PolicyError: Something else is in its place.
        """
        os.close(self._open_folder(path))

    def put_link(self, path: bytes, target: bytes) -> bool:
        """Have a symlink; False when it was there already.

        Raises:
            PolicyError: Something else is in its place, or no symlink can lead to that.
        """
        if b"\0" in target:
            raise faults.NOT_RESTORED(path=os.fsdecode(path), detail="no link leads to a NUL")
        folder, name = self._open_above(path)
        try:
            os.symlink(target, name, dir_fd=folder)
            return True
        except FileExistsError:
            if _link_at(folder, name) != target:
                raise _in_the_way(path) from None
            return False
        except OSError as error:
            raise as_fault(error, os.fsdecode(path)) from error
        finally:
            os.close(folder)

    def has(self, path: bytes, file: FileAt) -> bool:
        """Whether the file is there already, with just these bytes; it is read for that.

        Raises:
            PolicyError: Something else is in its place.
        """
        return self.holds(path, file.size, lambda chunks: cid_of(chunks, file.size) == file.cid)

    def holds(self, path: bytes, size: int, check: Callable[[Iterable[bytes]], bool]) -> bool:
        """Whether a file of that size is there already, with bytes that are right.

        Raises:
            PolicyError: Something else is in its place.
        """
        folder, name = self._open_above(path)
        try:
            try:
                seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if not stat.S_ISREG(seen.st_mode) or seen.st_size != size:
                raise _in_the_way(path)
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with open(descriptor, "rb", buffering=PROFILE.chunk_size) as there:
                if not check(iter(lambda: there.read(PROFILE.chunk_size), b"")):
                    raise _in_the_way(path)
            return True
        except OSError as error:
            raise as_fault(error, os.fsdecode(path)) from error
        finally:
            os.close(folder)

    def put_file(self, path: bytes, mode: int, chunks: Iterable[bytes]) -> int:
        """Write a file aside; it has its name after `flush`. Gives its size.

        Raises:
            HoldError: As ``chunks`` raises it; nothing of the file stays.
            PlaceFullError: There is no room.
        """
        self._count += 1
        temporary, size = b"%b/%d" % (self._scratch, self._count), 0
        try:
            with open(temporary, "xb", buffering=0) as file:
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[file.write(rest) :]
                    size += len(chunk)
                os.fchmod(file.fileno(), mode & 0o777)
        except BaseException as error:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            if isinstance(error, OSError):
                raise as_fault(error, os.fsdecode(path)) from error
            raise
        self._waiting.append((path, temporary, size))
        self._bytes += size
        return size

    @property
    def is_full(self) -> bool:
        """Whether a batch is complete: `flush` it."""
        return len(self._waiting) >= _BATCH_FILES or self._bytes >= _BATCH_BYTES

    def flush(self) -> Iterator[tuple[bytes, int, HoldError | None]]:
        """Sync what was written aside, and give all of it its names; says of each how it ended."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            sync_file_system(self._scratch)
        for path, temporary, size in waiting:
            try:
                self._name(path, temporary)
            except HoldError as error:
                yield path, size, error
            else:
                yield path, size, None
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def _name(self, path: bytes, temporary: bytes) -> None:
        folder, name = self._open_above(path)
        try:
            os.link(temporary, name, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            raise _in_the_way(path) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise as_fault(error, os.fsdecode(path)) from error
            self._copy(temporary, folder, name, path)
        finally:
            os.close(folder)

    def _copy(self, temporary: bytes, folder: int, name: bytes, path: bytes) -> None:
        """Where a file cannot have two names: rename it, unless something is there."""
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(temporary, name, dst_dir_fd=folder)
            with open(temporary, "xb"):
                return
        raise _in_the_way(path)

    def _open_above(self, path: bytes) -> tuple[int, bytes]:
        folder, _, name = path.rpartition(b"/")
        if not name or name in (b".", b"..", SCRATCH) or b"\0" in path:
            raise faults.NOT_RESTORED(path=os.fsdecode(path), detail="it is the name of no file")
        return self._open_folder(folder), name

    def _open_folder(self, path: bytes) -> int:
        """Open a folder below the top, made where it is missing; no link is followed."""
        names = path.split(b"/") if path else []
        if {b"", b".", b".."} & set(names) or b"\0" in path:
            raise faults.NOT_RESTORED(path=os.fsdecode(path), detail="its path leads out")
        if names[:1] == [SCRATCH]:
            raise faults.NOT_RESTORED(path=os.fsdecode(path), detail="that name is ours")
        found = os.dup(self._top)
        for name in names:
            try:
                below = _enter(found, name)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST):
                    raise _in_the_way(path) from None
                raise as_fault(error, os.fsdecode(path)) from error
            finally:
                os.close(found)
            found = below
        return found


def _enter(folder: int, name: bytes) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, dir_fd=folder)
        return os.open(name, _FOLDER, dir_fd=folder)


def _link_at(folder: int, name: bytes) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _in_the_way(path: bytes) -> HoldError:
    return faults.NOT_RESTORED(path=os.fsdecode(path), detail="something else is in its place")


def cid_of(chunks: Iterable[bytes], size: int) -> Cid:
    """The CID of a file whose bytes come as leaves, in order; of another size it is nobody's."""
    builder = FileBuilder(size) if size > PROFILE.chunk_size else None
    came, last = 0, Cid(RAW_SHA256 + sha256(b"").digest())
    for chunk in chunks:
        came += len(chunk)
        last = Cid(RAW_SHA256 + sha256(chunk).digest())
        whole = len(chunk) == PROFILE.chunk_size or came == size
        if came > size or not whole:
            return Cid(b"")
        if builder is not None:
            builder.add(last[4:])
    if came != size:
        return Cid(b"")
    return last if builder is None else builder.root
