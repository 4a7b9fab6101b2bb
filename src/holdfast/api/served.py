"""A repository's content, served to others: what the servers over ssh and over HTTP have in common.

Content comes in by the same door as ever, checked, and is on the disk before a client is told.
It is removed only when nobody holds a lock on it or was promised it; that enough copies stay
elsewhere is for the client to prove, as with git-annex's own servers. For many threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from ..core import faults, secure_hashes
from ..core.abilities import Partial, Stream
from ..core.backends import is_verifiable
from ..core.errors import IntegrityError, PlaceUnavailableError, UsageError
from ..core.key import Key
from ..core.place import Place, Presence
from ..core.system_errors import as_fault
from ..dataset import locks
from ..dataset.annexed import TrackedFile, iter_unlocked
from ..dataset.objects import Held, Objects
from ..dataset.populate import WorkFiles
from ..dataset.promises import Promise
from ..dataset.repository import Repository
from ..dataset.room import Room
from ..transfer.receive import Intake, OnBytes, open_intake
from .datasets import Dataset
from .served_notes import BATCH_S, Change, Notes

BUSY_S = 5.0
"""How long content waits that another client seems to be bringing."""


class Rights(IntEnum):
    """How much a client may do."""

    READ = 0
    APPEND = 1
    """Bring content, but remove none."""
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Offered:
    """Content, opened to be sent: its descriptor and size. Close it with `close`."""

    key: Key
    file: int
    size: int
    changed_ns: int

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is still what it was when it was opened."""
        status = os.fstat(self.file)
        return (status.st_size, status.st_mtime_ns) == (self.size, self.changed_ns)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.file)


class Served:
    """One repository, as its servers see it. Close it: the ledger is told the last news then."""

    def __init__(self, dataset: Dataset) -> None:
        """Take up what a killed server left, when somebody first writes.

        Raises:
            NotFoundError: There is no annex.
        """
        self.dataset = dataset
        self.uuid = dataset.here
        self.objects = dataset.objects
        self._notes = Notes(dataset.repository, dataset.objects)
        self._guard = threading.Lock()
        """Directories of content are made writable for a moment: one thread at a time."""
        self._unlocked = _Unlocked(dataset)

    # reading

    def has(self, key: Key) -> bool:
        """Whether content is here and nobody is about to remove it."""
        return self.objects.ask([key])[0].presence is Presence.PRESENT

    def offer(self, key: Key) -> Offered | None:
        """Open content to send it, or None when it is not here."""
        path = self.objects.content_path(key)
        if path is None:
            return None
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        status = os.fstat(file)
        return Offered(key, file, status.st_size, status.st_mtime_ns)

    def timestamp(self) -> int:
        """Seconds of a clock that only goes forward, the same for all servers of this machine."""
        return int(time.monotonic())

    def promise(self, key: Key) -> Promise:
        """Keep content here; the promise says whether that could be."""
        with self._guard, _system_errors(key):
            return Promise(self.objects, key)

    def release(self, promise: Promise) -> None:
        """Content need not be kept any longer."""
        with self._guard, _system_errors(promise.key):
            promise.release()

    # bringing

    @contextmanager
    def open_put(self, key: Key, place: Place, progress: OnBytes = lambda _: None) -> Iterator[Put]:
        """Take content in; the `Put` says from which byte on it is wanted.

        Raises:
            PlaceUnavailableError: Another process is bringing this key.
            PlaceFullError, PolicyError: There is no room, or the key may not be kept here.
        """
        self.check_key(key)
        with self._notes.changing([key]) as change:
            with open_intake(_Durable(self.objects, self._partial), key, progress) as intake:
                put = Put(intake, place)
                yield put
            if put.taken:
                change.done(key)

    def begun(self, key: Key) -> int:
        """How much of a key's content an earlier try has left, of which the rest is wanted.

        Raises:
            PlaceUnavailableError: Another process is bringing this key.
        """
        with self._partial(key) as partial:
            size = partial.size
        usable = is_verifiable(key.backend) and key.size is not None and size <= key.size
        return size if usable else 0

    @contextmanager
    def _partial(self, key: Key) -> Iterator[Partial]:
        """The unfinished file of a key, ours alone.

        One whose client has just been cut off is let go of in a moment: we wait for that.
        """
        ends_at = time.monotonic() + BUSY_S
        with ExitStack() as stack:
            while True:
                try:
                    partial = stack.enter_context(self.objects.open_partial(key))
                    break
                except PlaceUnavailableError as error:
                    if error.code != faults.IN_USE.code or time.monotonic() >= ends_at:
                        raise
                time.sleep(0.05)
            yield partial

    def check_key(self, key: Key) -> None:
        """Refuse what may not be kept here, or what there is no room for.

        Raises:
            PolicyError, PlaceFullError, ConflictError: That is so.
        """
        self._check_writable  # noqa: B018 (looked at once)
        refused = secure_hashes.refusal(key.text, key.backend) if self._secure_only else None
        refused = refused or Room.of(self.dataset.repository).take(key.text, key.size)
        if refused is not None:
            raise refused

    def changing(self) -> AbstractContextManager[Change]:
        """Content comes within the block, of keys that are named to what it gives."""
        return self._notes.changing()

    def check_servable(self) -> None:
        """Refuse repositories whose content we must not bring or remove.

        Raises:
            ConflictError: It is one.
        """
        self.dataset.repository.check_writable()
        self.dataset.repository.check_plain_content()

    @cached_property
    def _check_writable(self) -> bool:
        self.check_servable()
        _have_identity(self.dataset.repository)
        return True

    @cached_property
    def _secure_only(self) -> bool:
        from ..dataset.shared_config import only_secure_hashes  # late: readers need no ledger

        return only_secure_hashes(self.dataset.repository, self.dataset.ledger)

    # removing

    def remove(self, key: Key, before: int | None = None) -> bool:
        """Remove content, unless somebody keeps it or our clock has passed ``before``.

        What is not here is success. False says that it stays.
        """
        self._check_writable  # noqa: B018
        with self._guard, _system_errors(key), self._notes.changing([key]) as change:
            try:
                held = self.objects.hold(key)
            except PlaceUnavailableError:
                return False
            gone = held is None or self._remove(held, before)
            if gone and (held is not None or self._is_said_to_be_here(key)):
                change.done(key)
            return gone

    def _is_said_to_be_here(self, key: Key) -> bool:
        return self.uuid in self.dataset.ledger.locations([key])[key]

    def _remove(self, held: Held, before: int | None) -> bool:
        try:
            self._unlocked.empty(held.key)
            # Looked at last: what was promised elsewhere must hold until it is gone here.
            if before is not None and self.timestamp() >= before:
                self._unlocked.fill(held.key)
                return False
            self.objects.remove(held)
            return True
        finally:
            if locks.is_held(held.lock):
                self.objects.release(held)

    # telling

    @property
    def has_news(self) -> bool:
        """Whether there is something that the ledger was not told yet."""
        return self._notes.waiting

    def tell(self, *, older_than_s: float = BATCH_S) -> None:
        """Tell the ledger what came and went; called now and then, and at the end."""
        with self._guard:
            self._unlocked.finish()
            self.objects.forget_empty()
        self._notes.tell(older_than_s=older_than_s)

    def close(self) -> None:
        """Tell the last news."""
        self.tell(older_than_s=0)
        self.dataset.close()


class Put:
    """Content on its way in."""

    def __init__(self, intake: Intake, place: Place) -> None:
        self._intake = intake
        self._place = place
        self._complete = intake.is_complete()
        self.taken = False
        """Whether the content is there now."""

    @property
    def offset(self) -> int:
        """From which byte on it is wanted; what came before is checked with the rest."""
        return self._intake.size

    def go_on_from(self, offset: int) -> bool:
        """Take what comes from this byte on, if that can be: from `offset`, or from the start."""
        if not offset and self._intake.size:
            self._complete = False
            self._intake.restart()
        return offset == self.offset

    def take(self, chunks: Iterator[bytes], size: int) -> bool:
        """Take ``size`` bytes from `offset` on; whether they, and all before, are the content.

        Raises:
            HoldError: What ``chunks`` raises; what came is kept, unless it says they are wrong.
        """
        intake = self._intake
        if not self._complete:
            try:
                intake.take(self._place, Stream(intake.size, intake.size + size, chunks))
            except IntegrityError:
                return False
        else:
            # All was here: what comes now is passed over.
            for _ in chunks:
                pass
        intake.commit()
        self.taken = True
        return True

    def take_present(self) -> bool:
        """Take what came in another way, if it is all of it."""
        return self._complete and self.take(iter(()), 0)


class _Durable:
    """Our content as a target of which nobody is told before it is on the disk."""

    def __init__(
        self, objects: Objects, partial: Callable[[Key], AbstractContextManager[Partial]]
    ) -> None:
        self.has: Callable[[Key], bool] = objects.has
        self.open_partial = partial
        self._objects = objects

    def commit(self, key: Key, path: bytes) -> None:
        """Sync it, give it its final name, and sync that; a client may now remove its own copy.

        Who sends one at a time waits for each anyway; many at once are synced by `Bulk`.
        """
        _sync(path)
        self._objects.commit(key, path)
        _sync(os.path.dirname(self._objects.path_of(key)))


def _sync(path: bytes) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Unlocked:
    """Unlocked files, whose content goes with that of the annex. For one thread at a time."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._seen: tuple[int, int, int] | None = None
        self._files: dict[Key, list[TrackedFile]] = {}
        self._work: WorkFiles | None = None

    def empty(self, key: Key) -> None:
        """Put pointers where this content lies unchanged in files."""
        for file in self._of(key):
            self._changes().depopulate(file)

    def fill(self, key: Key) -> None:
        """Undo `empty`."""
        for file in self._of(key):
            self._changes().populate(file)

    def finish(self) -> None:
        """Tell git's index of all."""
        if self._work is not None:
            self._work.finish()
            self._work = None

    def _changes(self) -> WorkFiles:
        if self._work is None:
            self._work = WorkFiles(self._dataset.repository, self._dataset.objects)
        return self._work

    def _of(self, key: Key) -> list[TrackedFile]:
        repository = self._dataset.repository
        if repository.bare:
            return []
        seen = _identity(repository.git_dir + b"/index")
        if seen is not None and seen != self._seen:
            self._files = {}
            for file in iter_unlocked(repository):
                assert file.key is not None
                self._files.setdefault(file.key, []).append(file)
            self._seen = seen
        return self._files.get(key, [])


@contextmanager
def _system_errors(key: Key) -> Iterator[None]:
    """What the system says, as one of our faults."""
    try:
        yield
    except OSError as error:
        raise as_fault(error, key.text) from error


def _have_identity(repository: Repository) -> None:
    """Whoever serves may have told git no name; the ledger's commits need one all the same."""
    try:
        repository.ident("GIT_COMMITTER_IDENT")
        repository.ident("GIT_AUTHOR_IDENT")
    except UsageError:
        names = {f"GIT_{role}_NAME": "hold" for role in ("AUTHOR", "COMMITTER")}
        emails = {f"GIT_{role}_EMAIL": "hold@localhost" for role in ("AUTHOR", "COMMITTER")}
        repository.git.assume(names | emails)


def _identity(path: bytes) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
