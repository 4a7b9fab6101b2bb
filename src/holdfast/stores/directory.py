"""`directory`: a folder that can be opened, on a drive or a shared disk.

Content lies at ``abc/def/KEYFILE/KEYFILE``, read only in a read-only folder, as git-annex's
directory special remote keeps it. It comes there by one rename of that folder, out of a folder of
ours below ``tmp``, once it is checked and on the disk.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.policy import DropProof, Waiver
from ..core.system_errors import as_fault, foreseen
from .directory_staging import Staged, Staging, move_in
from .placing import Placing, placing_of
from .special import Setup, SpecialRemote
from .syncing import sync_file_system
from .words import check_words

CHUNK = 1 << 20
BATCH_FILES = 1024
BATCH_BYTES = 256 << 20
BATCH_S = 5.0
"""What a kill may cost: the files of one batch have to be sent again."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class _Batch:
    """Files that wait for a sync, and those that got their names since the last one."""

    def __init__(self) -> None:
        self.named: list[Staged] = []
        self._staged: list[Staged] = []
        self._size = 0
        self._began = time.monotonic()

    @property
    def is_full(self) -> bool:
        late = time.monotonic() - self._began >= BATCH_S
        return len(self._staged) >= BATCH_FILES or self._size >= BATCH_BYTES or late

    def add(self, staged: Staged) -> None:
        self._staged.append(staged)
        self._size += staged.size

    def take(self) -> list[Staged]:
        """What waits; the next batch begins."""
        taken, self._staged, self._size = self._staged, [], 0
        self._began = time.monotonic()
        return taken


class Directory:
    """A folder as a place; its files can be opened (`LocalFiles`), but no copy in it be locked."""

    def __init__(self, place: Place, folder: bytes, placing: Placing, *, cost: float) -> None:
        """Nothing is looked at yet."""
        self.place = place
        self.cost = cost
        self._folder = folder
        self._placing = placing

    # looking and reading

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look for each key's file; its size has to be right too."""
        if not os.path.isdir(self._folder):
            return [Answer(Presence.UNKNOWN, f"{self._shown} is not there") for _ in keys]
        return [self._ask(key) for key in keys]

    def is_bare(self) -> bool:
        """Whether nothing at all is there, as where a drive is mounted otherwise."""
        with suppress(OSError), os.scandir(self._folder) as found:
            return next(found, None) is None
        return False

    def content_path(self, key: Key) -> bytes | None:
        """The file that holds the content, or None when it is not there."""
        for path in self._placing.candidates(key):
            found = self._folder + b"/" + path
            with suppress(OSError):
                if stat.S_ISREG(os.stat(found).st_mode):
                    return found
        return None

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream the file from an offset."""
        path = self.content_path(key)
        if path is None:
            self._check_there()
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail="no file of it")
        with self._system_errors(path), open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            yield Stream(offset, size, self._iter_chunks(path, file.fileno()))

    def close(self) -> None:
        """Nothing is kept open."""

    # sending

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Put one content there, durable; many go faster by `iter_send`."""
        for _, error in self.iter_send([(key, content)], progress):
            if error is not None:
                raise error

    def iter_send(
        self, items: Iterable[tuple[Key, Content]], progress: OnBytes
    ) -> Iterator[tuple[Key, HoldError | None]]:
        """Put contents there in batches: written and checked, synced by one call, then named."""
        self._placing.check_holds_keys()
        self._check_there()
        with self._system_errors(self._folder):
            staging = Staging(self._folder)
        with staging:
            batch = _Batch()
            for key, content in items:
                try:
                    if self._has(key, content.size):
                        yield key, None
                        continue
                    batch.add(self._stage(staging, key, content, progress))
                except HoldError as error:
                    yield key, error
                    continue
                if batch.is_full:
                    yield from self._move_in(batch)
            yield from self._move_in(batch)
            yield from self._tell(batch)

    # removing

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Unlink the file; folders that are empty then go too."""
        assert leave.key == key and leave.place == self.place.id
        self._placing.check_holds_keys()
        self._check_there()
        for path in self._placing.candidates(key):
            full = self._folder + b"/" + path
            with self._system_errors(full):
                _remove(full)

    # parts

    @property
    def _shown(self) -> str:
        return os.fsdecode(self._folder)

    def _ask(self, key: Key) -> Answer:
        remark = ""
        for path in self._placing.candidates(key):
            try:
                found = os.stat(self._folder + b"/" + path)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    return Answer(Presence.UNKNOWN, (error.strerror or str(error)).lower())
                continue
            if stat.S_ISREG(found.st_mode) and key.stored_size in (None, found.st_size):
                return Answer(Presence.PRESENT)
            remark = f"it has {found.st_size} bytes there instead of {key.stored_size}"
        return Answer(Presence.ABSENT, remark)

    def _has(self, key: Key, size: int) -> bool:
        for path in self._placing.candidates(key):
            with suppress(OSError):
                if os.stat(self._folder + b"/" + path).st_size == size:
                    return True
        return False

    def _check_there(self) -> None:
        if not os.path.isdir(self._folder):
            detail = f"{self._shown} is not there"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)

    def _iter_chunks(self, path: bytes, descriptor: int) -> Iterator[bytes]:
        with self._system_errors(path):
            while chunk := os.read(descriptor, CHUNK):
                yield chunk

    def _stage(self, staging: Staging, key: Key, content: Content, progress: OnBytes) -> Staged:
        """Write a checked file; what is half written when it fails is gone afterwards."""
        with self._system_errors(self._folder):
            staged = staging.open(key)
        came = 0
        try:
            for chunk in _chunks_of(key, content):
                with self._system_errors(self._folder):
                    staging.write(chunk)
                came += len(chunk)
                progress(len(chunk))
            with self._system_errors(self._folder):
                return staging.close_file(staged, came)
        except BaseException as error:
            staging.discard(staged)
            if isinstance(error, HoldError):
                progress(-came)
            raise

    def _move_in(self, batch: _Batch) -> Iterator[tuple[Key, HoldError | None]]:
        """Make files durable and give them their names.

        One sync serves the files of this batch and the names of the one before, which are told of
        after it.
        """
        staged = batch.take()
        if not staged:
            return
        try:
            with self._system_errors(self._folder):
                sync_file_system(self._folder)
        except HoldError as error:
            yield from ((one.key, error) for one in (*batch.named, *staged))
            batch.named = []
            return
        yield from ((one.key, None) for one in batch.named)
        batch.named = []
        for one in staged:
            refusal = self._move_one(one)
            if refusal is None:
                batch.named.append(one)
            else:
                yield one.key, refusal

    def _tell(self, batch: _Batch) -> Iterator[tuple[Key, HoldError | None]]:
        """Make the last names durable, and tell of them."""
        failure: HoldError | None = None
        try:
            with self._system_errors(self._folder):
                if batch.named:
                    sync_file_system(self._folder)
        except HoldError as error:
            failure = error
        yield from ((one.key, failure) for one in batch.named)

    def _move_one(self, staged: Staged) -> HoldError | None:
        try:
            with self._system_errors(self._folder):
                move_in(staged, self._folder + b"/" + self._placing.final(staged.key))
        except HoldError as error:
            return error
        return None

    @contextmanager
    def _system_errors(self, path: bytes) -> Iterator[None]:
        """What the system says of this folder, as one of our errors."""
        try:
            yield
        except OSError as error:
            self._check_there()
            known = foreseen(error, os.fsdecode(path))
            detail = (error.strerror or str(error)).lower()
            raise known or faults.UNREACHABLE(place=self.place.label, detail=detail) from error


def _chunks_of(key: Key, content: Content) -> Iterator[bytes]:
    try:
        yield from content.chunks()
    except OSError as error:
        raise as_fault(error, key.text, reading=True) from error


def _remove(path: bytes) -> None:
    folder = os.path.dirname(path)
    with suppress(FileNotFoundError, NotADirectoryError):
        os.chmod(folder, 0o755)
        os.unlink(path)
    # Somebody may be putting something beside it just now: only what is empty goes.
    with suppress(OSError):
        for _ in range(3):
            os.rmdir(folder)
            folder = os.path.dirname(folder)


def open_store(remote: SpecialRemote) -> Directory:
    """The folder that this clone's settings name.

    Raises:
        PlaceUnavailableError: They name none.
    """
    folder = remote.local.get("annex-directory", "")
    if not os.path.isabs(folder):
        raise faults.NO_WAY(place=remote.place.label, kind="directory, with no folder set here")
    return Directory(remote.place, os.fsencode(folder), placing_of(remote), cost=remote.cost(100.0))


def plan_setup(given: Mapping[str, str]) -> Setup:
    """A new one needs ``directory=PATH``, which stays in this clone.

    Raises:
        UsageError: It is missing, or a word is not known.
    """
    check_words("directory", given, ["directory"], ["ignoreinodes"])
    config = {word: value for word, value in given.items() if word != "directory"}
    return Setup(config, {"annex-directory": os.path.abspath(given["directory"])})


def prepare(remote: SpecialRemote) -> None:
    """Make the folder, if it is not there.

    Raises:
        AccessError: It cannot be made.
    """
    folder = remote.local["annex-directory"]
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise as_fault(error, folder) from error
