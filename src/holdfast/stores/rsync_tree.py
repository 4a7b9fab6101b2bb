"""A tree of files that rsync reaches: many put by one call, from a folder of links to them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from ..core import faults
from ..core.abilities import Content, OnBytes, PathAndContent
from ..core.errors import HoldError
from ..core.place import Place
from ..core.system_errors import as_fault
from .rsync import ASK_MAX, BATCH_BYTES, BATCH_FILES, open_store
from .rsync_program import Rsync
from .special import SpecialRemote


class RsyncTree:
    """A `TreeStore`. rsync gives no file another name: what moved is sent again."""

    can_rename = False

    def __init__(self, place: Place, rsync: Rsync) -> None:
        """Nothing is asked yet."""
        self.place = place
        self._rsync = rsync

    def sizes(self, paths: Sequence[bytes]) -> list[int | None]:
        """List the files, by one call for many."""
        found: dict[bytes, int] = {}
        for start in range(0, len(paths), ASK_MAX):
            listed, complaint = self._rsync.sizes(paths[start : start + ASK_MAX])
            if complaint:
                raise faults.UNREACHABLE(place=self.place.label, detail=complaint)
            found.update(listed)
        return [found.get(path) for path in paths]

    def iter_put(
        self, items: Iterable[PathAndContent], progress: OnBytes
    ) -> Iterator[tuple[bytes, HoldError | None]]:
        """Send files by batches, one call each; rsync gives each its name when it is whole."""
        rest = iter(items)
        while batch := _take(rest):
            with tempfile.TemporaryDirectory(prefix="hold-rsync-") as folder:
                answers = {
                    path: _stage(os.fsencode(folder), path, content)
                    for path, content in batch.items()
                }
                good = [path for path, error in answers.items() if error is None]
                if good:
                    answers.update(dict.fromkeys(good, self._send(os.fsencode(folder))))
            for path, error in answers.items():
                if error is None:
                    progress(batch[path].size)
                yield path, error

    def rename(self, old: bytes, new: bytes) -> None:
        """Never asked for."""
        raise faults.NOT_THERE(place=self.place.label, key=repr(old), detail="nothing is renamed")

    def remove_files(self, paths: Sequence[bytes]) -> None:
        """Delete the files, and the folders that are empty then, by one call for many."""
        for start in range(0, len(paths), ASK_MAX):
            self._rsync.delete_files(paths[start : start + ASK_MAX])

    def close(self) -> None:
        """Nothing is kept open."""

    def _send(self, folder: bytes) -> HoldError | None:
        """The error of a call is that of all its files: which of them came is not known."""
        try:
            self._rsync.send_tree(folder, anew=True)
        except HoldError as error:
            return error
        return None


def _take(rest: Iterator[PathAndContent]) -> Mapping[bytes, Content]:
    batch: dict[bytes, Content] = {}
    size = 0
    for path, content in islice(rest, BATCH_FILES):
        batch[path] = content
        size += content.size
        if size >= BATCH_BYTES:
            break
    return batch


def _stage(folder: bytes, path: bytes, content: Content) -> HoldError | None:
    link = folder + b"/" + path
    try:
        source = os.path.abspath(content.path())
        os.makedirs(os.path.dirname(link), 0o755, exist_ok=True)
        os.symlink(source, link)
    except HoldError as error:
        return error
    except OSError as error:
        return as_fault(error, os.fsdecode(path), reading=True)
    return None


def open_tree(remote: SpecialRemote) -> RsyncTree:
    """What the place's rsyncurl leads to.

    Raises:
        PlaceUnavailableError: Its configuration names none.
        PolicyError: Its address is one that ssh would take for an option.
    """
    return RsyncTree(remote.place, open_store(remote).program)
