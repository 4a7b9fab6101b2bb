"""What is being brought or removed but not yet in the ledger: a note that outlives a kill.

Keys are written down before their content moves; the ledger is told once, at the end. Whoever
opens the data set next, after a kill, looks where those keys really are and tells the ledger then.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from ..core.errors import PlaceUnavailableError, ProtocolError
from ..core.key import Key
from ..wire.branch_paths import location_log
from . import locks
from .annexed import iter_unlocked
from .index_file import clear_dead_locks
from .ledger_write import set_location_logs
from .objects import Objects
from .populate import WorkFiles
from .repository import Repository
from .scratch import using_scratch
from .sorted_spill import SortedSpill

_LOCK = b".lck"


class Unrecorded:
    """The note of one running verb."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        self._repository = repository
        self._objects = objects
        folder = _folder(repository)
        os.makedirs(folder, exist_ok=True)
        # Locked before it is made: nobody shall take it for the note of a dead process.
        # Its lock is on a file beside it, since closing a file ends all locks we have on it.
        self._path = os.path.join(folder, os.urandom(8).hex().encode())
        self._stack = ExitStack()
        self._stack.enter_context(locks.exclusive(self._path + _LOCK, wait_s=0))
        self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115
        self._open: set[Key] = set()
        self._here = self._stack.enter_context(SortedSpill(repository.annex_dir))
        self._gone = self._stack.enter_context(SortedSpill(repository.annex_dir))

    def add(self, keys: Collection[Key]) -> None:
        """Write down keys whose content is about to come or go."""
        rest = memoryview(b"".join(key + b"\n" for key in keys))
        # On a disk that is nearly full a write may take a part only, and say no more than that.
        while rest:
            rest = rest[self._file.write(rest) :]
        self._open.update(keys)

    def ended(self, key: Key, *, present: bool) -> None:
        """Say how it ended for one of them; where this is not called, the end looks for itself."""
        self._open.discard(key)
        (self._here if present else self._gone).add(location_log(key))

    def forget(self, key: Key) -> None:
        """Take one back: nothing was done to its content."""
        self._open.discard(key)

    def record(self) -> None:
        """Tell the ledger how it ended for each, and forget the note."""
        for key in self._open:
            (self._here if self._objects.has(key) else self._gone).add(location_log(key))
        tell(self._repository, self._here, self._gone)
        os.unlink(self._path)
        os.unlink(self._path + _LOCK)

    def close(self) -> None:
        """Let go of the note; what was not recorded is left to the next one."""
        self._stack.close()
        self._file.close()


@contextmanager
def unrecorded(repository: Repository, objects: Objects) -> Iterator[Unrecorded]:
    """A note for the length of a verb; the ledger is told at the end, also when it fails."""
    with using_scratch(repository.annex_dir + b"/othertmp"):
        clear_dead_locks(repository)
        recover(repository, objects)
        note = Unrecorded(repository, objects)
        try:
            try:
                yield note
            finally:
                note.record()
        finally:
            note.close()


def tell(repository: Repository, here: SortedSpill, gone: SortedSpill) -> None:
    """Make the ledger say so, of the keys with these location logs."""
    for found, present in ((here, True), (gone, False)):
        if found:
            set_location_logs(repository, found, repository.here, present=present)


def recover(repository: Repository, objects: Objects) -> int:
    """Bring to an end what killed processes could not; gives how many keys that were."""
    folder = _folder(repository)
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    count = 0
    for name in sorted({name.removesuffix(_LOCK) for name in names}):
        path = os.path.join(folder, name)
        # A note that is locked belongs to somebody alive.
        with suppress(PlaceUnavailableError), locks.exclusive(path + _LOCK, wait_s=0):
            try:
                with open(path, "rb") as file:
                    keys = list(_read_keys(file.read()))
            except FileNotFoundError:
                os.unlink(path + _LOCK)
                continue
            _tidy(repository, objects, keys)
            _tell_of(repository, objects, keys)
            os.unlink(path)
            os.unlink(path + _LOCK)
            count += len(keys)
    return count


def _tell_of(repository: Repository, objects: Objects, keys: Iterable[Key]) -> None:
    """Make the ledger say of each key whether it is here, as it is."""
    with SortedSpill(repository.annex_dir) as here, SortedSpill(repository.annex_dir) as gone:
        for key in keys:
            (here if objects.has(key) else gone).add(location_log(key))
        tell(repository, here, gone)


def _tidy(repository: Repository, objects: Objects, keys: Sequence[Key]) -> None:
    """Protect content that is here, forget the folders of what is gone; index and files agree."""
    for key in keys:
        objects.tidy(key)
    if repository.bare:
        return
    wanted = set(keys)
    files = [file for file in iter_unlocked(repository) if file.key in wanted]
    if files:
        with WorkFiles(repository, objects) as work:
            for file in files:
                if not work.populate(file) and (
                    seen := work.seen_pointer(file) or work.seen_content(file)
                ):
                    work.refresh(file, seen)


def _read_keys(content: bytes) -> Iterator[Key]:
    # The last line may have been cut by the kill; its content had not moved yet.
    for line in content.split(b"\n")[:-1]:
        try:
            yield Key.parse(line)
        except ProtocolError:
            continue


def _folder(repository: Repository) -> bytes:
    return repository.annex_dir + b"/hold-unrecorded"
