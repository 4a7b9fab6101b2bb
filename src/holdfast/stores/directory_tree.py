"""A tree of files in a folder: staged in a folder of ours, synced by the batch, renamed in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from ..core import faults
from ..core.abilities import OnBytes, PathAndContent
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place
from ..core.system_errors import as_fault
from .directory_staging import Staged, Staging
from .special import SpecialRemote
from .syncing import sync_file_system

STAGED_IN = b".hold-export"
"""The folder for what is on its way; gone when nothing is."""

_BATCH_FILES = 1024
_BATCH_BYTES = 256 << 20
_KEY = Key(b"WORM--content")
"""What a staged file is called, whatever it holds."""


class DirectoryTree:
    """A `TreeStore`."""

    can_rename = True

    def __init__(self, place: Place, folder: bytes) -> None:
        """Nothing is looked at yet."""
        self.place = place
        self._folder = folder

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """See `TreeStore.sizes`."""
        self._check_there()
        return [self._size(path) for path in paths]

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Put files there in batches; each gets its name when it is on the disk."""
        self._check_there()
        top = self._folder + b"/" + STAGED_IN
        with self._system_errors():
            os.makedirs(top, exist_ok=True)
            staging = Staging(top)
        try:
            with staging:
                rest = iter(items)
                while batch := self._stage_batch(staging, rest, progress):
                    yield from self._move_in(batch)
        finally:
            for folder in (top + b"/tmp", top):
                with suppress(OSError):
                    os.rmdir(folder)

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file; folders are made for it, and those it leaves empty are removed."""
        self._check_there()
        if self._obstacle(old) or self._size(old) is None:
            raise faults.NOT_THERE(place=self.place.label, key=os.fsdecode(old), detail="no file")
        with self._system_errors():
            self._rename(self._full(old), new)
        self._remove_empty(old)

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """See `TreeStore.remove_files`."""
        self._check_there()
        for path in paths:
            if self._obstacle(path):
                continue
            with self._system_errors(), suppress(FileNotFoundError):
                os.unlink(self._full(path))
            self._remove_empty(path)

    def close(self) -> None:
        """Remove what a run that was killed left, if this one had nothing to put."""
        if os.path.isdir(self._folder + b"/" + STAGED_IN):
            with suppress(HoldError):
                list(self.iter_put((), lambda _: None))

    # parts

    def _full(self, path: bytes) -> bytes:
        return self._folder + b"/" + path

    def _size(self, path: bytes) -> int | None:
        try:
            found = os.lstat(self._full(path))
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def _check_there(self) -> None:
        if not os.path.isdir(self._folder):
            detail = f"{os.fsdecode(self._folder)} is not there"
            raise faults.UNREACHABLE(place=self.place.label, detail=detail)

    @contextmanager
    def _system_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._check_there()
            raise as_fault(error, os.fsdecode(self._folder)) from error

    def _stage_batch(
        self, staging: Staging, rest: Iterator[PathAndContent], progress: OnBytes
    ) -> list[tuple[bytes, Staged | HoldError]]:
        """Files written and checked, or why not; nothing when there are no more."""
        batch: list[tuple[bytes, Staged | HoldError]] = []
        size = 0
        for path, content in islice(rest, _BATCH_FILES):
            try:
                staged = self._stage(staging, content.chunks(), progress)
                size += staged.size
                batch.append((path, staged))
            except HoldError as error:
                batch.append((path, error))
            if size >= _BATCH_BYTES:
                break
        return batch

    def _stage(self, staging: Staging, chunks: Iterator[bytes], progress: OnBytes) -> Staged:
        with self._system_errors():
            staged, came = staging.open(_KEY), 0
            try:
                for chunk in chunks:
                    staging.write(chunk)
                    came += len(chunk)
                    progress(len(chunk))
                return staging.close_file(staged, came)
            except BaseException:
                staging.discard(staged)
                progress(-came)
                raise

    def _move_in(
        self, batch: Sequence[tuple[bytes, Staged | HoldError]]
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        failure = self._sync()
        for path, staged in batch:
            error = staged if isinstance(staged, HoldError) else failure
            if isinstance(staged, Staged) and error is None:
                error = self._move_one(path, staged)
            yield path, error

    def _sync(self) -> HoldError | None:
        try:
            with self._system_errors():
                sync_file_system(self._folder)
        except HoldError as error:
            return error
        return None

    def _move_one(self, path: bytes, staged: Staged) -> HoldError | None:
        try:
            with self._system_errors():
                self._rename(staged.path, path)
                os.rmdir(staged.folder)
        except HoldError as error:
            return error
        return None

    def _rename(self, source: bytes, path: bytes) -> None:
        """Give a file its name, in folders that are made for it.

        Raises:
            ConflictError: A file, or a link to who knows where, is where a folder should be.
        """
        final = self._full(path)
        obstacle = self._obstacle(path)
        if obstacle:
            raise faults.NO_FOLDER_THERE(place=self.place.label, path=os.fsdecode(obstacle))
        os.makedirs(os.path.dirname(final), exist_ok=True)
        os.rename(source, final)

    def _obstacle(self, path: bytes) -> bytes | None:
        """What is no folder on the way to a file: a file, or a link to who knows where."""
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            folder = self._full(b"/".join(parts[:depth]))
            try:
                if not stat.S_ISDIR(os.lstat(folder).st_mode):
                    return folder
            except FileNotFoundError:
                return None
        return None

    def _remove_empty(self, path: bytes) -> None:
        """Away with the folders of a path that hold nothing any more."""
        folder = os.path.dirname(path)
        with suppress(OSError):
            while folder:
                os.rmdir(self._full(folder))
                folder = os.path.dirname(folder)


def open_tree(remote: SpecialRemote) -> DirectoryTree:
    """The folder that this clone's settings name.

    Raises:
        PlaceUnavailableError: They name none.
    """
    folder = remote.local.get("annex-directory", "")
    if not os.path.isabs(folder):
        raise faults.NO_WAY(place=remote.place.label, kind="directory, with no folder set here")
    return DirectoryTree(remote.place, os.fsencode(folder))
