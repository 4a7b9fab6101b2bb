"""What is being brought or removed but not yet in the ledger: a note that outlives a kill.

Keys are written down before their content moves; the ledger is told once, at the end. Whoever
opens the data set next, after a kill, looks where those keys really are and tells the ledger then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ..core.errors import PlaceUnavailableError, ProtocolError
from ..core.key import Key
from . import locks
from .ledger_write import set_locations
from .objects import Objects
from .repository import Repository
from .scratch import using_scratch

_LOCK = b".lck"


class Unrecorded:
    """The note of one running verb."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        folder = _folder(repository)
        os.makedirs(folder, exist_ok=True)
        # Locked before it has its name: nobody shall take it for the note of a dead process.
        # Its lock is on a file beside it, since closing a file ends all locks we have on it.
        descriptor, self._path = tempfile.mkstemp(dir=folder, prefix=b".")
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        final = os.path.join(folder, os.path.basename(self._path).lstrip(b"."))
        self._stack = ExitStack()
        self._stack.enter_context(locks.exclusive(final + _LOCK, wait_s=0))
        os.rename(self._path, final)
        self._path = final
        self._keys: list[Key] = []

    def add(self, keys: Sequence[Key]) -> None:
        """Write down keys whose content is about to come or go."""
        self._file.write(b"".join(key + b"\n" for key in keys))
        self._keys += keys

    def record(self) -> None:
        """Tell the ledger how it ended for each, and forget the note."""
        tell(self._repository, self._objects, self._keys)
        os.unlink(self._path)
        os.unlink(self._path + _LOCK)
        self._keys = []

    def close(self) -> None:
        """Let go of the note; what was not recorded is left to the next one."""
        self._stack.close()
        self._file.close()


@contextmanager
def unrecorded(repository: Repository, objects: Objects) -> Iterator[Unrecorded]:
    """A note for the length of a verb; the ledger is told at the end, also when it fails."""
    with using_scratch(repository.annex_dir + b"/othertmp"):
        recover(repository, objects)
        note = Unrecorded(repository, objects)
        try:
            try:
                yield note
            finally:
                note.record()
        finally:
            note.close()


def tell(repository: Repository, objects: Objects, keys: Iterable[Key]) -> None:
    """Make the ledger say of each key whether it is here, as it is."""
    here: list[Key] = []
    gone: list[Key] = []
    for key in dict.fromkeys(keys):
        (here if objects.has(key) else gone).append(key)
    for found, present in ((here, True), (gone, False)):
        if found:
            set_locations(repository, found, repository.here, present=present)


def recover(repository: Repository, objects: Objects) -> int:
    """Tell the ledger what killed processes could not; gives how many keys that were."""
    folder = _folder(repository)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    count = 0
    for name in names:
        if name.startswith(b".") or name.endswith(_LOCK):
            continue
        path = os.path.join(folder, name)
        try:
            with locks.exclusive(path + _LOCK, wait_s=0):
                with open(path, "rb") as file:
                    keys = list(_read_keys(file.read()))
                tell(repository, objects, keys)
                os.unlink(path)
                os.unlink(path + _LOCK)
                count += len(keys)
        except (PlaceUnavailableError, FileNotFoundError):
            continue
    return count


def _read_keys(content: bytes) -> Iterator[Key]:
    # The last line may have been cut by the kill; its content had not moved yet.
    for line in content.split(b"\n")[:-1]:
        try:
            yield Key.parse(line)
        except ProtocolError:
            continue


def _folder(repository: Repository) -> bytes:
    return repository.annex_dir + b"/hold-unrecorded"
