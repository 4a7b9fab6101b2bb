"""Where content from a stream goes: checked, under temporary names, synced together, then named.

No file is synced by itself. A batch ends when it is large, when it is old, and when there is
nothing more to do at the moment; only then are its files told of.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Generic, Protocol, TypeVar

from ..core.abilities import Stream, Writable
from ..core.backends import checker
from ..core.errors import HoldError, IntegrityError
from ..core.faults import WRONG_CONTENT
from ..core.key import Key
from ..core.place import Place
from ..core.system_errors import as_fault
from .receive import (
    OnBytes,
    Received,
    receive_stream,
    remark_of,
    system_errors,
    wrong_content,
)

BATCH_FILES = 512
BATCH_BYTES = 256 << 20
BATCH_S = 2.0
"""What a kill may cost: the files of one batch have to come again."""

_SYNC_SHARE = 10
"""So many times as long as a sync takes we go on before the next."""

WHOLE_MAX = 1 << 20
"""Up to this size a file that broke off comes again from its start."""

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH

Task = TypeVar("Task")


class BulkTarget(Writable, Protocol):
    """A place of ours that takes checked, write-protected files as well."""

    def put(self, key: Key, path: bytes) -> None:
        """Rename a file to its final name."""


class Staging:
    """A folder for files on their way into a place; each thread has a `Door` of its own to it."""

    def __init__(
        self,
        target: BulkTarget,
        folder: bytes,
        sync: Callable[[bytes], None],
        begun: frozenset[bytes],
    ) -> None:
        """``begun`` has the file names of keys that an earlier transfer has left something of."""
        self.target = target
        self.folder = folder
        self.sync = sync
        self.begun = begun
        self._numbers = count()

    def new_name(self) -> bytes:
        """A path in the folder that nobody has."""
        return b"%b/%d" % (self.folder, next(self._numbers))


@contextmanager
def open_staging(
    target: BulkTarget, scratch: bytes, unfinished: bytes, sync: Callable[[bytes], None]
) -> Iterator[Staging]:
    """A new folder in ``scratch``, removed in the end with what is still in it.

    ``sync`` makes a folder's files durable in one call; ``unfinished`` is the folder in which the
    target keeps what earlier transfers left.
    """
    os.makedirs(scratch, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=b"get", dir=scratch)
    try:
        begun = frozenset(os.listdir(unfinished)) if os.path.isdir(unfinished) else frozenset()
        yield Staging(target, folder, sync, begun)
    finally:
        # What cannot be removed now is removed by whoever next has the scratch folder alone.
        with suppress(OSError):
            for name in os.listdir(folder):
                os.unlink(folder + b"/" + name)
            os.rmdir(folder)


class Door(Generic[Task]):
    """Takes content in for one thread, and tells what became of each task once that is safe.

    Without a staging all goes into the place at once.
    """

    def __init__(
        self,
        target: Writable,
        report: Callable[[Task, Received | HoldError], None],
        staging: Staging | None = None,
    ) -> None:
        self.target: Writable = target if staging is None else _Detour(target, self)
        """Where `receive` shall bring content to."""
        self._report = report
        self._staging = staging
        self._files: list[tuple[Key, bytes]] = []
        self._held: list[tuple[Task, Received]] = []
        self._bytes = 0
        self._began = 0.0
        self._patience_s = BATCH_S

    def take(self, key: Key, place: Place, stream: Stream, progress: OnBytes) -> Received:
        """Take content from a stream that begins at its start, as `receive_stream` does."""
        staging = self._staging
        if (
            staging is None
            or (key.size or WHOLE_MAX + 1) > WHOLE_MAX
            or stream.size not in (None, key.size)
            or stream.offset
            or key.file_name in staging.begun
        ):
            return receive_stream(self.target, key, place, stream, progress)
        return self._take_whole(staging, key, place, stream, progress)

    def tell(self, task: Task, result: Received | HoldError) -> None:
        """Tell of a task; one whose content was staged waits for its batch."""
        if len(self._files) == len(self._held) or isinstance(result, HoldError):
            self._report(task, result)
            return
        self._held.append((task, result))
        self._bytes += result.size
        if (
            len(self._held) >= BATCH_FILES
            or self._bytes >= BATCH_BYTES
            or time.monotonic() - self._began >= self._patience_s
        ):
            self.flush()

    def flush(self) -> None:
        """Sync what was staged, give it its final names, and tell of it."""
        files, held = self._files, self._held
        self._files, self._held, self._bytes = [], [], 0
        if self._staging is None or not files:
            return
        failure = self._sync(self._staging)
        for (key, path), (task, result) in zip(files, held, strict=True):
            self._report(task, failure or _put(self._staging.target, key, path) or result)

    def _sync(self, staging: Staging) -> HoldError | None:
        """Make all staged files durable, or say why that cannot be."""
        began = time.monotonic()
        try:
            staging.sync(staging.folder)
        except OSError as error:
            return as_fault(error, os.fsdecode(staging.folder))
        # Where others write much, a sync waits for all of theirs: then it is done less often.
        self._patience_s = max(BATCH_S, _SYNC_SHARE * (time.monotonic() - began))
        return None

    def add(self, key: Key, path: bytes) -> None:
        """A checked, write-protected file in the folder of the staging."""
        if not self._files:
            self._began = time.monotonic()
        self._files.append((key, path))

    def stage(self, key: Key, path: bytes) -> None:
        """Take over a checked file from elsewhere on the same file system."""
        assert self._staging is not None
        name = self._staging.new_name()
        mode = stat.S_IMODE(os.stat(path).st_mode)
        os.chmod(path, mode & ~_WRITE_BITS | 0o444)
        os.rename(path, name)
        self.add(key, name)

    def _take_whole(
        self, staging: Staging, key: Key, place: Place, stream: Stream, progress: OnBytes
    ) -> Received:
        check, path = checker(key, place.label), staging.new_name()
        with system_errors(path):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            came = 0
            try:
                for chunk in stream.chunks:
                    # Hashed first: a byte too many is not even written.
                    check.feed(chunk)
                    _write(file, chunk)
                    came += len(chunk)
                    progress(len(chunk))
                check.finish()
                os.fchmod(file, 0o444)
            except BaseException as error:
                os.unlink(path)
                if isinstance(error, HoldError):
                    progress(-came)
                # What a source found wrong by itself says more: where it is damaged, say.
                if isinstance(error, IntegrityError) and error.code == WRONG_CONTENT.code:
                    raise wrong_content(place, key, error.why, remark_of(stream)) from None
                raise
            finally:
                os.close(file)
        self.add(key, path)
        return Received(size=came, fresh=True, place=place)


class _Detour:
    """The target of a staging, to which content goes by way of the staging."""

    def __init__(self, target: Writable, door: Door[Any]) -> None:
        self.has = target.has
        self.open_partial = target.open_partial
        self.commit = door.stage


def _put(target: BulkTarget, key: Key, path: bytes) -> HoldError | None:
    """Give a staged file its final name, or say why that cannot be."""
    try:
        target.put(key, path)
    except OSError as error:
        return as_fault(error, key.text)
    return None


def _write(file: int, chunk: bytes) -> None:
    written = os.write(file, chunk)
    while written < len(chunk):
        written += os.write(file, chunk[written:])
