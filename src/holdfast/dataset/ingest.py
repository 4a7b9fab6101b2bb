"""Taking one file of the folder into the annex, so that at every moment its name and its content
are both there: protect, read and hash once, second name in the annex, symlink over the first.

Another program may put another file at that name at any moment, another save a link. So the second
name is made in our scratch, where nobody else looks, and goes on only if it is of the file that was
hashed; and the link takes the place of that file alone.
"""

from __future__ import annotations

import errno
import os
import stat
import threading

from ..core import faults
from ..core.backends import digest_key, hasher, make_key, worm_key
from ..core.buffers import aligned_buffer
from ..core.extensions import ExtensionLimits
from ..core.key import Key
from ..wire.pointer import link_target
from .exchange import is_same, is_same_status, take_place
from .objects import Objects
from .reflink import clone
from .scratch import Scratch

_SMALL = 1 << 18
_CHUNK = 1 << 20
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class Ingester:
    """Takes files into one annex. Used by several threads at once."""

    def __init__(
        self, top: bytes, scratch: bytes, objects: Objects, limits: ExtensionLimits
    ) -> None:
        self._top = top + b"/"
        self._objects = objects
        self._limits = limits
        self._folder = Scratch(scratch, b"save")
        self._scratch = self._folder.path + b"/"
        self._buffers = threading.local()

    def close(self) -> None:
        """Remove the scratch directory."""
        self._folder.close()

    def lock_in(self, path: bytes, status: os.stat_result, backend: bytes) -> tuple[Key, bytes]:
        """Move a file's content into the annex and put a symlink in its place.

        Gives its key and the symlink's target. A file that cannot have a second name, or has one
        already, is copied.

        Raises:
            ConflictError: It was written to meanwhile; it stays as its writer left it.
        """
        full = self._top + path
        if status.st_mode & _WRITE_BITS or not status.st_mode & stat.S_IRUSR:
            os.chmod(full, (stat.S_IMODE(status.st_mode) & ~_WRITE_BITS) | 0o444)
        try:
            key = self._hash(full, path, status, backend)
            name = self._second_name(full, status, key)
            if name is None:
                self._copy_in(full, path, status, key)
            else:
                self._objects.put(key, name)
            target = self.replace_by_link(path, status, key)
        except BaseException:
            _restore_mode(full, status)
            raise
        return key, target

    def replace_by_link(self, path: bytes, status: os.stat_result, key: Key) -> bytes:
        """Put the symlink of a key in the place of a file, in one step; gives its target.

        Raises:
            ConflictError: Another file is there now; it stays.
        """
        target = link_target(key, path.count(b"/"))
        full = self._top + path
        temporary = self._scratch + b"%d" % threading.get_ident()
        os.symlink(target, temporary)
        try:
            if not take_place(temporary, full, status):
                raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))
        except BaseException as error:
            os.unlink(temporary)
            if not isinstance(error, OSError) or error.errno != errno.EXDEV:
                raise
            os.unlink(full)
            os.symlink(target, full)
        return target

    def has(self, key: Key) -> bool:
        """Whether content of this key is in the annex."""
        return self._objects.has(key)

    def copy_in(self, path: bytes, status: os.stat_result, backend: bytes) -> Key:
        """Put a copy of a file's content into the annex; the file stays as it is (unlocked)."""
        full = self._top + path
        key = self._hash(full, path, status, backend)
        if not self._objects.has(key):
            self._copy_in(full, path, status, key)
        return key

    def _second_name(self, full: bytes, status: os.stat_result, key: Key) -> bytes | None:
        """Give the file that was hashed a name in our scratch; None when it cannot have one.

        Nor can it where another file is there by now, or seems to be: some file systems call a
        file by another number under each of its names.
        """
        if status.st_nlink > 1 and not self._is_ours(full, key):
            return None
        name = self._scratch + b"name%d" % threading.get_ident()
        try:
            try:
                os.link(full, name, follow_symlinks=False)
            except FileExistsError:
                # A name is not moved to where the same file has one: it was left.
                os.unlink(name)
                os.link(full, name, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK):
                return None
            raise
        if not is_same(name, status):
            os.unlink(name)
            return None
        return name

    def _is_ours(self, full: bytes, key: Key) -> bool:
        """Whether the other name of a file is the one in the annex, from a save that was killed."""
        there = self._objects.content_path(key)
        return there is not None and os.path.samestat(os.stat(full), os.stat(there))

    def _hash(self, full: bytes, path: bytes, status: os.stat_result, backend: bytes) -> Key:
        name = path[path.rfind(b"/") + 1 :]
        descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if backend == b"WORM":
                key = worm_key(path, status.st_size, int(status.st_mtime))
            elif status.st_size <= _SMALL:
                key = digest_key(backend, os.read(descriptor, _SMALL + 1), name, self._limits)
            else:
                key = self._hash_large(descriptor, name, backend)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if not is_same_status(after, status) or key.size not in (None, after.st_size):
            raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))
        return key

    def _hash_large(self, descriptor: int, name: bytes, backend: bytes) -> Key:
        digest = hasher(backend)
        buffer = self._buffer()
        size = 0
        while count := os.readv(descriptor, [buffer]):
            digest.update(buffer[:count])  # type: ignore[arg-type]
            size += count
        return make_key(backend, name, size, digest.hexdigest(), self._limits)

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            buffer = self._buffers.buffer = aligned_buffer(_CHUNK)
        return buffer

    def _copy_in(self, full: bytes, path: bytes, status: os.stat_result, key: Key) -> None:
        temporary = self._scratch + b"copy%d" % threading.get_ident()
        copy_file(full, temporary)
        # What was hashed is what was copied: the same file, and nobody wrote to it.
        self._check_unchanged(full, path, status)
        if os.stat(temporary).st_size != status.st_size:
            raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))
        os.chmod(temporary, stat.S_IMODE(status.st_mode) & ~_WRITE_BITS | 0o444)
        self._objects.put(key, temporary)

    def _check_unchanged(self, full: bytes, path: bytes, status: os.stat_result) -> None:
        if not is_same(full, status):
            raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))


def _restore_mode(full: bytes, status: os.stat_result) -> None:
    try:
        if os.lstat(full).st_ino == status.st_ino:
            os.chmod(full, stat.S_IMODE(status.st_mode))
    except FileNotFoundError:
        return


def copy_file(source: bytes, target: bytes) -> None:
    """Copy bytes the cheapest way there is: shared blocks, in the kernel, by hand. Keeps mtime."""
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        status = os.fstat(reader.fileno())
        if not clone(reader.fileno(), writer.fileno()):
            _copy_bytes(reader.fileno(), writer.fileno(), status.st_size)
        os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_bytes(source: int, target: int, size: int) -> None:
    if hasattr(os, "copy_file_range"):
        try:
            done = 0
            while done < size or not size:
                count = os.copy_file_range(source, target, 1 << 30)
                if not count:
                    break
                done += count
            if done == size:
                return
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        os.lseek(source, 0, os.SEEK_SET)
        os.lseek(target, 0, os.SEEK_SET)
        os.ftruncate(target, 0)
    while block := os.read(source, _CHUNK):
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]
