"""A data set in a RIA store that is a folder on this machine's file systems."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.system_errors import as_fault, foreseen
from ..wire import ria
from .ora_scratch import Scratch
from .ora_store import OraStore
from .syncing import sync_file_system
from .unpacking import ReadRange

CHUNK = 1 << 20
BATCH_FILES = 1024
BATCH_BYTES = 256 << 20
BATCH_S = 5.0
"""What a kill may cost: the files of one batch have to be sent again."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class OraFolder:
    """The folder; content in it is written to files of ours first, and renamed when it is right.

    ``here`` names our folder for unfinished files there, ``force`` allows writing to what has a
    layout that we do not know.
    """

    place: Place
    store: bytes
    identity: str
    here: str
    cost: float
    force: bool = False

    # looking and reading

    @property
    def top(self) -> bytes:
        """The data set's folder."""
        return os.path.join(self.store, ria.dataset_path(self.identity).encode())

    def layout(self) -> ria.Layout:
        """How objects are laid out.

        Raises:
            PlaceUnavailableError: The data set is not in the store, or the store is not there.
        """
        return self._layout_of(self.top)

    def content_path(self, key: Key) -> bytes | None:
        """The file that holds the content, or None when it is not there."""
        for path in self._paths(key):
            with suppress(OSError):
                if stat.S_ISREG(os.stat(path).st_mode):
                    return path
        return None

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key's file; its size has to be right too."""
        try:
            self.layout()
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, f"{error.what} ({error.why})") for _ in keys]
        return [self._ask(key) for key in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream the file from an offset."""
        path = self.content_path(key)
        if path is None:
            self.layout()
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="no file of it")
        with self._system_errors(path), open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            yield Stream(offset, size, self._iter_chunks(path, file.fileno()))

    @contextmanager
    def open_archive(self) -> Iterator[ReadRange | None]:
        """The archive, if there is one."""
        path = os.path.join(self.top, ria.ARCHIVE.encode())
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self.layout()
            yield None
            return
        except OSError as error:
            raise self._told(error, path) from error
        try:
            yield lambda offset, size: self._iter_range(descriptor, path, offset, size)
        finally:
            os.close(descriptor)

    def has_archive(self) -> bool:
        """Whether there is an archive beside the files."""
        return os.path.exists(os.path.join(self.top, ria.ARCHIVE.encode()))

    def close(self) -> None:
        """Nothing is kept open."""

    # writing

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there in batches: written and checked, synced by one call, then named."""
        layout = self._writable_layout()
        with self._system_errors(self.top):
            scratch = Scratch(self.top, self.here)
        with scratch:
            batch: list[tuple[Key, bytes, bytes]] = []
            size, began = 0, time.monotonic()
            for key, content in items:
                final = self._final(layout, key)
                try:
                    if self._has(final, content.size):
                        yield key, None
                        continue
                    batch.append((key, self._stage(scratch, content, progress), final))
                except HoldError as error:
                    yield key, error
                    continue
                size += content.size
                late = time.monotonic() - began >= BATCH_S
                if len(batch) >= BATCH_FILES or size >= BATCH_BYTES or late:
                    yield from self._name(batch)
                    batch, size, began = [], 0, time.monotonic()
            yield from self._name(batch)

    def unlink(self, key: Key) -> None:
        """Remove the file of a key, and its folder."""
        layout = self._writable_layout()
        for path in ria.object_paths(layout, key):
            full = self._objects + path
            with self._system_errors(full):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(full)
                with suppress(OSError):
                    os.rmdir(os.path.dirname(full))

    # parts

    @property
    def _objects(self) -> bytes:
        return self.top + b"/annex/objects/"

    def _paths(self, key: Key) -> list[bytes]:
        try:
            return [self._objects + path for path in ria.object_paths(self._known, key)]
        except HoldError:
            return []

    @cached_property
    def _known(self) -> ria.Layout:
        """The layout, read once: for paths of files that may be there or not."""
        return self.layout()

    def _final(self, layout: ria.Layout, key: Key) -> bytes:
        return self._objects + ria.object_paths(layout, key)[0]

    def _layout_of(self, folder: bytes) -> ria.Layout:
        path = folder + b"/" + ria.VERSION_FILE.encode()
        try:
            with open(path, "rb") as file:
                return ria.parse_layout(file.read(4096))
        except OSError as error:
            detail = f"{os.fsdecode(path)}: {(error.strerror or str(error)).lower()}"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail) from error

    def _writable_layout(self) -> ria.Layout:
        """How objects are laid out, where we may write them."""
        store, objects = self._layout_of(self.store), self.layout()
        check_writable(self.place, store, objects, forced=self.force)
        return objects

    def _ask(self, key: Key) -> Answer:
        remark = ""
        for path in self._paths(key):
            try:
                found = os.stat(path)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    return Answer(Presence.UNKNOWN, (error.strerror or str(error)).lower())
                continue
            if key.size in (None, found.st_size):
                return Answer(Presence.PRESENT)
            remark = f"it has {found.st_size} bytes there instead of {key.size}"
        return Answer(Presence.ABSENT, remark)

    def _has(self, path: bytes, size: int) -> bool:
        with suppress(OSError):
            return os.stat(path).st_size == size
        return False

    def _stage(self, scratch: Scratch, content: Content, progress: OnBytes) -> bytes:
        """Write a checked file; what is half written when it fails is gone afterwards."""
        came = 0
        try:
            with self._system_errors(self.top), scratch.new_file() as file:
                for chunk in _chunks_of(content):
                    with self._system_errors(self.top):
                        file.write(chunk)
                    came += len(chunk)
                    progress(len(chunk))
            return file.path
        except HoldError:
            progress(-came)
            raise

    def _name(
        self, batch: Sequence[tuple[Key, bytes, bytes]]
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Make files durable, give them their names, make those durable too; then tell."""
        if not batch:
            return
        answers: list[tuple[Key, HoldError | None]] = []
        try:
            with self._system_errors(self.top):
                sync_file_system(self.top)
                answers = [(key, self._rename(path, final)) for key, path, final in batch]
                sync_file_system(self.top)
        except HoldError as error:
            answers = [(key, error) for key, _, _ in batch]
        yield from answers

    def _rename(self, path: bytes, final: bytes) -> HoldError | None:
        try:
            with self._system_errors(final):
                make_folders(os.path.dirname(final), 3)
                os.rename(path, final)
        except HoldError as error:
            return error
        return None

    def _iter_chunks(self, path: bytes, descriptor: int) -> Iterator[bytes]:
        with self._system_errors(path):
            while chunk := os.read(descriptor, CHUNK):
                yield chunk

    def _iter_range(self, descriptor: int, path: bytes, offset: int, size: int) -> Iterator[bytes]:
        with self._system_errors(path):
            while size > 0 and (chunk := os.pread(descriptor, min(size, CHUNK), offset)):
                yield chunk
                offset, size = offset + len(chunk), size - len(chunk)

    @contextmanager
    def _system_errors(self, path: bytes) -> Iterator[None]:
        """What the system says of this folder, as one of our errors."""
        try:
            yield
        except OSError as error:
            raise self._told(error, path) from error

    def _told(self, error: OSError, path: bytes) -> HoldError:
        if not os.path.isdir(self.top):
            detail = f"{os.fsdecode(self.top)} is not there"
            return faults.UNREACHABLE(place=self.place.label, detail=detail)
        detail = (error.strerror or str(error)).lower()
        known = foreseen(error, os.fsdecode(path))
        return known or faults.UNREACHABLE(place=self.place.label, detail=detail)


def _chunks_of(content: Content) -> Iterator[bytes]:
    try:
        yield from content.chunks()
    except OSError as error:
        raise as_fault(error, "content here", reading=True) from error


class LocalOraStore(OraStore):
    """A store without an archive: its files can be opened (`LocalFiles`), for copies in bulk."""

    def __init__(self, files: OraFolder) -> None:
        """Nothing is looked at yet."""
        super().__init__(files)
        self.content_path = files.content_path


def check_writable(place: Place, store: ria.Layout, objects: ria.Layout, *, forced: bool) -> None:
    """Refuse to write where we do not know the layout.

    Raises:
        AccessError: We do not, and nobody forces us.
    """
    if forced or ria.is_known(store, objects):
        return
    found = f"{store.version} of the store, {objects.version} of objects"
    raise faults.STORE_READ_ONLY(
        place=place.label,
        detail=f"its layout is not one we know: {found}",
        next=f"git config annex.ora-remote.{place.name}.force-write true    (if it is a known one)",
    )


def make_folders(folder: bytes, depth: int) -> None:
    """Make a folder, and those above it; as open to a group as the one they are in."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    except FileNotFoundError:
        if not depth:
            raise
        make_folders(os.path.dirname(folder), depth - 1)
        with suppress(FileExistsError):
            os.mkdir(folder)
    above = os.stat(os.path.dirname(folder)).st_mode
    if above & stat.S_IWGRP:
        with suppress(OSError):
            os.chmod(folder, stat.S_IMODE(above))
