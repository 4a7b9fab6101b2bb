"""The object directory of the annex: content under its key, write-protected, in either layout.

Layout, modes and locks are git-annex's (docs/formats/annex.md): file 0444 (x bits kept) in a
directory 0555 of its own; `KEY.lck` beside it is locked shared to keep, exclusively to remove;
`KEY.rtm` holds the time until which a server promised to keep it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import NamedTuple

from ..core import faults
from ..core.abilities import Answer, Partial, Stream
from ..core.errors import PlaceUnavailableError, ProtocolError
from ..core.key import Key, encode_file_name, object_path, object_path_lower, object_paths
from ..core.place import Place, Presence
from . import locks
from .repository import Repository

_CHUNK = 1 << 20
_TRIES = 20
_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


@contextmanager
def stream_of(path: bytes, offset: int) -> Iterator[Stream]:
    """A file of this machine from a byte offset on, open as long as the block."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(offset)
        yield Stream(offset, size, iter(lambda: file.read(_CHUNK), b""))


class Held(NamedTuple):
    """Content locked exclusively by us: its file, and the lock."""

    key: Key
    path: bytes
    lock: tuple[int, int]


class Objects:
    """The content held in one repository."""

    cost = 100.0
    sees_removal = True

    def __init__(self, annex_dir: bytes, place: Place, *, bare: bool, group: bool = False) -> None:
        self.place = place
        self._annex_dir = annex_dir
        self._root = annex_dir + b"/objects/"
        self._layouts = (
            (object_path_lower, object_path) if bare else (object_path, object_path_lower)
        )
        self._lock_down = not group
        self._perhaps_empty: set[bytes] = set()
        self._is_sparse = False

    # reading

    def path_of(self, key: Key) -> bytes:
        """Where content of this key belongs in this repository."""
        return self._root + self._layouts[0](key)

    def paths_of(self, keys: Sequence[bytes]) -> list[bytes]:
        """`path_of` each of many keys."""
        if self._layouts[0] is object_path:
            return list(map(self._root.__add__, object_paths(keys)))
        return [self.path_of(Key(key)) for key in keys]

    def content_path(self, key: Key) -> bytes | None:
        """The file that holds the content, in whichever layout, or None."""
        for layout in self._layouts:
            path = self._root + layout(key)
            if os.access(path, os.F_OK):
                return path
        return None

    def has(self, key: Key) -> bool:
        """Whether content of this key is here."""
        return self.content_path(key) is not None

    def looks_like(self, key: Key, status: os.stat_result) -> bool:
        """Whether a file has size and time of the content that is here, as a copy of it has."""
        path = self.content_path(key)
        if path is None:
            return False
        try:
            held = os.stat(path)
        except FileNotFoundError:  # it has just left
            return False
        return (held.st_size, held.st_mtime_ns) == (status.st_size, status.st_mtime_ns)

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Those of these whose content is not here; cheap where little is here."""
        try:
            folders = set(os.listdir(self._root))
        except FileNotFoundError:
            return list(keys)

        # Names of the first folder have two letters in one layout, three in the other.
        lengths = {len(name) for name in folders}
        layouts = [one for one in self._layouts if keys and one(keys[0]).find(b"/") in lengths]

        def is_missing(key: Key) -> bool:
            paths = [layout(key) for layout in layouts]
            near = [path for path in paths if path[: path.find(b"/")] in folders]
            return not any(os.access(self._root + path, os.F_OK) for path in near)

        return list(filter(is_missing, keys))

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Which of these are here and not about to be removed."""
        return [self._ask(key) for key in keys]

    def _ask(self, key: Key) -> Answer:
        for layout in self._layouts:
            path = self._root + layout(key)
            # The lock first: it goes after the content, so without it what is there stays.
            if os.access(path + b".lck", os.F_OK) and locks.is_locked_for_removal(path + b".lck"):
                return Answer(Presence.UNKNOWN, "it is being removed there")
            if os.access(path, os.F_OK):
                return Answer(Presence.PRESENT)
        return Answer(Presence.ABSENT)

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from a byte offset.

        Raises:
            NotFoundError: It is not here.
        """
        path = self.content_path(key)
        if path is None:
            raise faults.NOT_PRESENT(path=key.text)
        with stream_of(path, offset) as stream:
            yield stream

    def iter_keys(self) -> Iterator[tuple[Key, bytes]]:
        """Every key whose content is here, with its file; in the order of the disk."""
        for directory, _, names in os.walk(self._root):
            name = os.path.basename(directory)
            if name in names:
                try:
                    yield Key.from_file_name(name), directory + b"/" + name
                except ProtocolError:
                    continue

    def close(self) -> None:
        """Nothing is kept open."""

    # bringing

    def partial_path(self, key: Key) -> bytes:
        """Where the unfinished file of a key is, when there is one."""
        return self._annex_dir + b"/tmp/" + encode_file_name(key)

    @contextmanager
    def open_partial(self, key: Key) -> Iterator[Partial]:
        """The unfinished file of a key, ours alone; what an earlier try left is still in it."""
        name = encode_file_name(key)
        folder = self._annex_dir + b"/tmp"
        lock_folder = self._annex_dir + b"/transfer/download/lck"
        os.makedirs(folder, exist_ok=True)
        os.makedirs(lock_folder, exist_ok=True)
        lock = lock_folder + b"/lck." + name
        try:
            with locks.exclusive(lock, wait_s=0):
                path = folder + b"/" + name
                try:
                    size = os.stat(path).st_size
                except FileNotFoundError:
                    size = 0
                try:
                    yield Partial(path, size)
                finally:
                    _unlink(lock)
        except PlaceUnavailableError as error:
            if error.code == faults.BUSY.code:
                raise faults.IN_USE(key=key.text, lock=os.fsdecode(lock)) from None
            raise

    def commit(self, key: Key, path: bytes) -> None:
        """Move a file of checked bytes to its final name, write-protected."""
        mode = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, mode & ~_WRITE_BITS | 0o444)
        self.put(key, path)

    def put(self, key: Key, path: bytes) -> None:
        """Rename a write-protected file to its final name and lock its directory down.

        Replaces what was there under this key: these bytes were just read and are right. Where
        both are names of one file, the other one stays as well.
        """
        target = self.path_of(key)
        for left in range(_TRIES - 1, -1, -1):
            try:
                self.make_room(target)
                os.rename(path, target)
                break
            except (FileExistsError, FileNotFoundError, PermissionError):
                # Others may bring or remove the same content: the directory changed under us.
                if not left:
                    raise
        self.protect(target)

    def make_room(self, target: bytes) -> None:
        """Make the directory of an object, writable."""
        folder = _folder_of(target)
        if self._is_sparse:
            # In a place with little in it most folders above are new as well.
            self._is_sparse = _make_folders(folder)
        try:
            os.mkdir(folder)
        except FileNotFoundError:
            self._is_sparse = True
            _make_folders(folder)
            _make(folder)
        except FileExistsError:
            self.unprotect(target)

    def protect(self, target: bytes) -> None:
        """Take write permission from the directory of an object."""
        if self._lock_down:
            os.chmod(_folder_of(target), 0o555)

    def unprotect(self, target: bytes) -> None:
        """Give the owner write permission on the directory of an object."""
        if self._lock_down:
            os.chmod(_folder_of(target), 0o755)

    # keeping and removing

    @contextmanager
    def lock_content(self, key: Key) -> Iterator[Answer]:
        """Keep content here until the block ends."""
        path = self.content_path(key)
        if path is None:
            yield Answer(Presence.ABSENT)
            return
        with ExitStack() as stack:
            try:
                self.unprotect(path)
                stack.callback(self._forget_lock, path)
                stack.enter_context(locks.shared(path + b".lck", wait_s=0))
            except FileNotFoundError:  # it has just left, and its folder with it
                yield Answer(Presence.ABSENT)
                return
            except PlaceUnavailableError:
                yield Answer(Presence.UNKNOWN, "it is being removed there")
                return
            present = os.access(path, os.F_OK)
            self._protect_if_there(path)
            yield Answer(Presence.PRESENT if present else Presence.ABSENT)

    def _protect_if_there(self, path: bytes) -> None:
        if os.access(path, os.F_OK):
            self.protect(path)

    def _forget_lock(self, path: bytes) -> None:
        """Remove the lock file of content that nobody keeps any more; others may still."""
        # Another thread may protect the directory meanwhile: then the file stays, and does no harm.
        with suppress(FileNotFoundError, PermissionError):
            self.unprotect(path)
            identity = locks.try_exclusive(path + b".lck")
            if identity is not None:
                try:
                    _unlink(path + b".lck")
                finally:
                    locks.release(identity)
        self._protect_if_there(path)

    @contextmanager
    def hold_for_removal(self, key: Key) -> Iterator[Held | None]:
        """Hold content exclusively while its removal is decided; None when it is not here.

        Raises:
            PlaceUnavailableError: Somebody keeps it.
        """
        held = self.hold(key)
        try:
            yield held
        finally:
            if held is not None and locks.is_held(held.lock):
                self.release(held)

    def hold(self, key: Key) -> Held | None:
        """Lock content exclusively, or None when it is not here; `release` it, in any case.

        Raises:
            PlaceUnavailableError: Somebody keeps it.
        """
        for layout in self._layouts:
            path = self._root + layout(key)
            try:
                self.unprotect(path)
                identity = locks.try_exclusive(path + b".lck")
            except FileNotFoundError:
                continue
            held = self._keep(key, path, identity)
            if held is not None:
                return held
        return None

    def _keep(self, key: Key, path: bytes, identity: tuple[int, int] | None) -> Held | None:
        """What we hold, once its lock was tried; None when there is nothing to hold."""
        lock = path + b".lck"
        if identity is None:
            self.protect(path)
            raise faults.IN_USE(key=key.text, lock=os.fsdecode(lock))
        held = Held(key, path, identity)
        if retained_until(path) > time.time():
            self.release(held)
            raise faults.IN_USE(key=key.text, lock=os.fsdecode(path + b".rtm"))
        if not os.access(path, os.F_OK):
            self.release(held)
            self.forget_folders(path)
            return None
        return held

    def release(self, held: Held) -> None:
        """Let go of content that was held; protected again if it is still there."""
        path = held.path
        _unlink(path + b".lck")
        locks.release(held.lock)
        if os.access(path, os.F_OK):
            self.protect(path)

    def remove(self, held: Held) -> None:
        """Remove content that we hold, and let go of it; `forget_empty` once all is removed."""
        path = held.path
        os.unlink(path)
        os.unlink(path + b".lck")
        locks.release(held.lock)
        if self._has_bad:
            # A damaged copy that was set aside would look like one still to be repaired.
            _unlink(self.bad_path(held.key))
        folder = path[: path.rfind(b"/")]
        try:
            os.rmdir(folder)
        except OSError:
            for ending in (b".rtm", b".rtl"):
                _unlink(path + ending)
            with suppress(OSError):
                os.rmdir(folder)
        self._perhaps_empty.add(folder[: folder.rfind(b"/")])

    def forget_empty(self) -> None:
        """Remove the directories that removals left empty; together, as most share the upper."""
        for _ in range(2):
            above: set[bytes] = set()
            for folder in self._perhaps_empty:
                try:
                    os.rmdir(folder)
                except OSError:
                    continue
                above.add(folder[: folder.rfind(b"/")])
            self._perhaps_empty = above
        self._perhaps_empty = set()

    @cached_property
    def _has_bad(self) -> bool:
        """Whether damaged content was ever set aside here."""
        return os.path.isdir(self._annex_dir + b"/bad")

    def tidy(self, key: Key) -> None:
        """Set right what a killed process left around a key: modes, its lock, empty folders."""
        path = self.content_path(key) or self.path_of(key)
        if not os.path.isdir(os.path.dirname(path)):
            return
        if os.access(path + b".lck", os.F_OK):
            self.unprotect(path)
            # A lock that is held belongs to somebody alive, who will remove it.
            with suppress(PlaceUnavailableError), locks.exclusive(path + b".lck", wait_s=0):
                _unlink(path + b".lck")
        if os.access(path, os.F_OK):
            self.protect(path)
        else:
            self.forget_folders(path)

    def forget_folders(self, path: bytes) -> None:
        """Remove the directories of an object that is gone, as far as they are empty."""
        for _ in range(3):
            path = os.path.dirname(path)
            try:
                os.rmdir(path)
            except OSError:
                break

    def bad_path(self, key: Key) -> bytes:
        """Where damaged content of this key is put."""
        return self._annex_dir + b"/bad/" + encode_file_name(key)

    def set_aside(self, key: Key, path: bytes) -> bytes:
        """Move damaged content to ``annex/bad``; gives its new path."""
        target = self.bad_path(key)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        self.unprotect(path)
        os.replace(path, target)
        for ending in (b".lck", b".rtm", b".rtl"):
            _unlink(path + ending)
        self.forget_folders(path)
        return target


def objects_of(repository: Repository, place: Place) -> Objects:
    """The content of a repository, as a place."""
    group = repository.config.get("core.sharedrepository")
    return Objects(
        repository.annex_dir,
        place,
        bare=repository.bare,
        group=group is not None and group not in ("false", "umask", "0"),
    )


def _folder_of(path: bytes) -> bytes:
    return path[: path.rindex(b"/")]


def _make_folders(folder: bytes) -> bool:
    """Make the folders above one, and tell whether there is a new one.

    Cheaper than looking first, since most are new.
    """
    parent = os.path.dirname(folder)
    try:
        os.mkdir(parent)
    except FileNotFoundError:
        _make_folders(parent)
        _make(parent)
    except FileExistsError:
        return False
    return True


def _make(folder: bytes) -> None:
    """Make a folder that another thread may be making too."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return


def retained_until(path: bytes) -> float:
    """Until when a server promised to keep content, in seconds since 1970; 0 when it did not."""
    if not os.access(path + b".rtm", os.F_OK):
        return 0.0
    try:
        with open(path + b".rtm", "rb") as file:
            return float(file.read().strip().removesuffix(b"s") or 0)
    except FileNotFoundError:
        return 0.0
    except ValueError:
        # Unreadable: keep it, as long as such a promise can last.
        return time.time() + 600


def _unlink(path: bytes) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
