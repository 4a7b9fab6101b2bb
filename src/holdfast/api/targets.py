"""Places that content is brought to and removed from: a repository on this machine, or a store.

A copy in a repository that we can open is as good as one here: bytes are hashed as they pass, its
own ledger and its unlocked files are kept true, and content there can be locked. A store (a server,
a bucket, a drive with a layout of its own) does its part by its own means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, cast

from ..core import faults
from ..core.abilities import Lockable, Readable, SlowToStart, Store
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Place, Presence, Trust
from ..core.policy import DropProof, Hold, Waiver, Witness
from ..core.progress import Progress
from ..core.rates import Direction
from ..dataset.ledger import Ledger
from ..dataset.ledger_write import set_locations
from ..dataset.objects import Objects, objects_of
from ..dataset.packs import sync_file_system
from ..dataset.populate import WorkFiles
from ..dataset.repository import Repository
from ..dataset.scratch import using_scratch
from ..dataset.shared_config import only_secure_hashes
from ..transfer.local import Wanted, iter_bring
from ..transfer.outgoing import LocalContent
from ..transfer.send import Sent, iter_send
from ..transfer.throttle import ThrottledContent
from .datasets import Dataset
from .sources import local_folder, open_sources
from .unlocked import unlocked_by_key

Leave = Callable[[], DropProof | Waiver]
"""Gives leave to remove, found out while the copy is locked; raises PolicyError without one."""

_SURE_SIZE = 1 << 20
"""A place is asked before larger content is sent there, whatever the ledger says."""


class Target(Protocol):
    """A place that content is brought to from here, and removed from."""

    @property
    def place(self) -> Place:
        """Which place it is."""

    def get_ready(self) -> None:
        """Content is going to be brought there: let what takes long begin."""

    def missing(self, keys: Sequence[Key]) -> set[Key]:
        """Those of some keys that have to be brought there."""

    def bring(self, items: Sequence[tuple[str, Key]], progress: Progress) -> Iterator[Sent]:
        """Bring content from here; each key, with a name for it, ends once."""

    def witness(self, stack: ExitStack, key: Key) -> Witness:
        """What it says of a copy, which is held there while the stack lasts, if it can hold one."""

    def remove(self, key: Key, leave: Leave) -> None:
        """Remove a copy; leave is asked for when it is locked, where it can be.

        Raises:
            PolicyError: There is no leave, or somebody else holds it.
            PlaceUnavailableError: The place went away.
        """

    def record(self, keys: Sequence[Key], *, present: bool) -> None:
        """Tell the ledger, or ledgers, that it has, or no longer has, these keys."""

    def keeps_only_secure(self) -> bool:
        """Whether it has a rule of its own to keep only what nobody can forge."""

    def finish(self) -> None:
        """Bring what is left to order: pointers, empty folders."""


@contextmanager
def open_target(
    dataset: Dataset, name: str, jobs: int | None = None, *, tell_it: bool = True
) -> Iterator[Target]:
    """Open the place that a remote names, by its name or UUID.

    Without ``tell_it`` what comes there is written in our ledger alone, which is pushed there next.

    Raises:
        NotFoundError: No remote is called so.
        PlaceUnavailableError: It cannot be reached, or cannot be written to.
        PolicyError: There is a remote that was set up by somebody else and not approved.
    """
    remotes = dataset.repository.config.sections("remote")
    name = remote_named(remotes, name)
    settings = remotes[name]
    _check_approved(remotes)
    folder = local_folder(dataset.top, settings["url"]) if "url" in settings else None
    if settings.get("annex-ignore") == "true" or settings.get("annex-readonly") == "true":
        raise faults.NO_WAY(place=name, kind="remote that is only read, or left alone")
    if folder is None:
        with open_sources(dataset) as sources:
            store = sources.only(name).readers[0]
            if not hasattr(store, "send") or not hasattr(store, "remove"):
                detail = "nothing is sent there or removed"
                raise faults.STORE_READ_ONLY(place=name, detail=detail, next="hold siblings")
            yield Distant(dataset, cast(Store, store), dataset.jobs(jobs), sources.write_notes)
        return
    with _open_neighbour(dataset, name, folder) as other:
        neighbour = Neighbour(dataset, other, name, dataset.jobs(jobs))
        neighbour.is_told = tell_it
        yield neighbour


def remote_named(remotes: Mapping[str, Mapping[str, str]], name: str) -> str:
    """The remote that is called so, by its name or UUID.

    Raises:
        NotFoundError: There is none.
    """
    for remote, settings in remotes.items():
        if name in (remote, settings.get("annex-uuid")):
            return remote
    raise faults.NO_SUCH_PLACE(place=name, known=", ".join(sorted(remotes)) or "none")


def _check_approved(remotes: Mapping[str, Mapping[str, str]]) -> None:
    """Content might be told to go where somebody else said: then nothing is sent to anyone."""
    for name, settings in remotes.items():
        state = settings.get("annex-verified", "verified")
        if state != "verified":
            raise faults.PLACE_UNVERIFIED(place=name, state=state)


@contextmanager
def _open_neighbour(dataset: Dataset, name: str, folder: bytes) -> Iterator[Repository]:
    if not os.path.isdir(folder):
        raise faults.UNREACHABLE(place=name, detail=f"{os.fsdecode(folder)} is not there")
    other = Repository(folder)
    try:
        if other.uuid is None:
            raise faults.NO_WAY(place=name, kind="repository with no annex")
        other.check_writable()
        other.check_plain_content()
        yield other
    finally:
        other.close()


class Neighbour:
    """Another repository that we can open."""

    is_told = True
    """Whether its own ledger is written too."""

    def __init__(self, dataset: Dataset, repository: Repository, name: str, jobs: int) -> None:
        assert repository.uuid is not None
        self._dataset = dataset
        self._repository = repository
        self._jobs = jobs
        trust = dataset.ledger.trust.get(repository.uuid, Trust.SEMITRUSTED)
        self.place = Place(repository.uuid, name, trust)
        self.objects: Objects = objects_of(repository, self.place)
        self._work = None if repository.bare else WorkFiles(repository, self.objects)

    def get_ready(self) -> None:
        """Nothing takes long."""

    def missing(self, keys: Sequence[Key]) -> set[Key]:
        """Those of some keys that are not there."""
        return set(self.objects.missing(keys))

    def bring(self, items: Sequence[tuple[str, Key]], progress: Progress) -> Iterator[Sent]:
        """Bring content from here: linked or copied, hashed as it passes, one sync for a batch."""
        scratch = self._repository.annex_dir + b"/othertmp"
        with using_scratch(scratch):
            done = iter_bring(
                [Wanted(path, key) for path, key in items], self._dataset.objects, self.objects,
                source_name="here", sync=sync_file_system, scratch=scratch, jobs=self._jobs,
                throttle=self._dataset.limits.throttle(self.place, Direction.UP),
            )  # fmt: skip
            for brought in done:
                progress.advance(1, brought.size)
                yield Sent(brought.wanted.path, brought.wanted.key, brought.size, brought.error)

    def witness(self, stack: ExitStack, key: Key) -> Witness:
        """Whether it is there, locked while the stack lasts."""
        answer = stack.enter_context(self.objects.lock_content(key))
        return Witness(key, self.place, answer.presence, Hold.LOCKED, answer.remark)

    def remove(self, key: Key, leave: Leave) -> None:
        """Remove content there, locked for it; files that show it become pointers again."""
        with self.objects.hold_for_removal(key) as held:
            leave()
            if self._work is not None:
                for file in unlocked_by_key(self._repository, {key}).get(key, ()):
                    self._work.depopulate(file)
            if held is not None:
                self.objects.remove(held)

    def record(self, keys: Sequence[Key], *, present: bool) -> None:
        """Tell our ledger and its own; what came there is put into its unlocked files."""
        if not keys:
            return
        told = [self._dataset.repository, *([self._repository] if self.is_told else [])]
        for repository in told:
            set_locations(repository, keys, self.place.id, present=present)
        if present and self._work is not None:
            for files in unlocked_by_key(self._repository, frozenset(keys)).values():
                for file in files:
                    self._work.populate(file)

    def keeps_only_secure(self) -> bool:
        """Whether its configuration says so."""
        return only_secure_hashes(self._repository, Ledger(self._repository))

    def finish(self) -> None:
        """End what works on its files."""
        if self._work is not None:
            self._work.finish()
        self.objects.forget_empty()


class Distant:
    """A store: what it says counts as seen, or as locked where it can promise to keep a copy."""

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        jobs: int,
        write_notes: Callable[[], None] = lambda: None,
    ) -> None:
        """``write_notes`` tells the ledger what the store keeps there, before where content is."""
        self._dataset = dataset
        self._write_notes = write_notes
        self._store = store
        self._jobs = jobs

    @property
    def place(self) -> Place:
        """Which place it is."""
        return self._store.place

    def get_ready(self) -> None:
        """Log in there, while the caller finds out what is to be sent."""
        if isinstance(self._store, SlowToStart):
            self._store.get_ready()

    def missing(self, keys: Sequence[Key]) -> set[Key]:
        """Those that it has not, when asked. Small ones it is not said to have are sent unasked."""
        claims = self._dataset.ledger.locations(keys)
        unsure = [
            key
            for key in keys
            if self.place.id in claims[key] or key.size is None or key.size > _SURE_SIZE
        ]
        answers = zip(unsure, self._store.ask(unsure), strict=True)
        there = {key for key, answer in answers if answer.presence is Presence.PRESENT}
        return {key for key in keys if key not in there}

    def bring(self, items: Sequence[tuple[str, Key]], progress: Progress) -> Iterator[Sent]:
        """Send content from here over lanes; it is hashed as it is read."""
        throttle = self._dataset.limits.throttle(self.place, Direction.UP)
        if throttle is None:
            return iter_send(items, self._store, self._content, jobs=self._jobs, progress=progress)
        return iter_send(
            items, self._store, lambda key: ThrottledContent(self._content(key), throttle),
            jobs=self._jobs, progress=progress, on_stop=throttle.stop,
        )  # fmt: skip

    def _content(self, key: Key) -> LocalContent:
        path = self._dataset.objects.content_path(key)
        if path is None:
            raise faults.NOT_PRESENT(path=key.text)
        return LocalContent(key, path)

    def witness(self, stack: ExitStack, key: Key) -> Witness:
        """What it answers now; with its promise to keep the copy, where it can give one."""
        return witness_of(stack, self._store, key)

    def remove(self, key: Key, leave: Leave) -> None:
        """Remove content there, with leave."""
        self._store.remove(key, leave())

    def record(self, keys: Sequence[Key], *, present: bool) -> None:
        """Tell our ledger."""
        if keys:
            self._write_notes()
            set_locations(self._dataset.repository, keys, self.place.id, present=present)

    def keeps_only_secure(self) -> bool:
        """It has no rule of its own."""
        return False

    def finish(self) -> None:
        """Nothing is left to do."""


def witness_of(stack: ExitStack, reader: Readable, key: Key) -> Witness:
    """What a place answers now; with its promise to keep the copy, where it can give one."""
    if hasattr(reader, "lock_content"):
        answer = stack.enter_context(cast(Lockable, reader).lock_content(key))
        if answer.presence is not Presence.UNKNOWN:
            hold = Hold.LOCKED if answer.presence is Presence.PRESENT else Hold.NONE
            return Witness(key, reader.place, answer.presence, hold, answer.remark, answer.until)
    try:
        answer = reader.ask([key])[0]
    except HoldError as error:
        return Witness(key, reader.place, Presence.UNKNOWN, remark=error.why or error.what)
    hold = Hold.SEEN if answer.presence is Presence.PRESENT else Hold.NONE
    return Witness(key, reader.place, answer.presence, hold, answer.remark)
