"""Files that come from elsewhere (the web, an archive, a bag) into the data set: content to the
annex, links or pointers to the folder, then one version and one entry in the ledger for all.

A kill at any moment leaves content recorded (`unrecorded`) and links that the same command finds
again; nothing that lay in the folder is replaced unless it can be had back.
"""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from itertools import chain
from types import TracebackType
from typing import NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.system_errors import as_fault
from ..wire.branch_paths import location_log
from ..wire.pointer import link_target, pointer
from .commit import SAME, Recorded, commit
from .exchange import take_place
from .index_file import clear_dead_locks, index_state
from .key_facts import KeyFacts
from .ledger_write import location_edits, path_of, record_sorted, set_location_logs
from .objects import Objects
from .packs import BLOB, ObjectWriter, sync_file_system
from .populate import fill_in
from .repository import Repository
from .rules import Rules
from .scratch import Scratch
from .sorted_spill import SortedSpill
from .spots import Spots
from .unrecorded import Unrecorded, unrecorded
from .waiting import Waiting

FILE, EXECUTABLE, LINK = b"100644", b"100755", b"120000"
_ORDER = 8
"""Bytes of the number that tells in which order files of the same path came."""

_FACTS_MAX = 10_000
"""After so many facts the ledger is told, before the version is made."""


class Arrival(NamedTuple):
    """One file to come in: where to, what it is, and the checked bytes of it in our scratch.

    Without ``file`` its content is here already, or shall stay elsewhere. ``over`` lets it take
    the place of what is at the path, if that can be had back. Without a key it is a symlink that
    says ``link``.
    """

    path: bytes
    key: Key | None
    size: int
    file: bytes | None = None
    executable: bool = False
    over: bool = False
    link: bytes = b""


class Arrivals:
    """Takes files in, in batches; `finish` makes the version. Use as a context manager."""

    def __init__(self, repository: Repository, objects: Objects) -> None:
        repository.check_writable()
        repository.check_plain_content()
        if repository.adjusted_branch:
            raise faults.ADJUSTED(branch=repository.adjusted_branch)
        clear_dead_locks(repository)
        self.repository = repository
        self.objects = objects
        self.rules = Rules(repository)
        self.spots = Spots(repository, objects)
        self._stack = ExitStack()

    def __enter__(self) -> Arrivals:
        with ExitStack() as stack:
            folder = self.repository.annex_dir + b"/othertmp"
            self._note: Unrecorded = stack.enter_context(unrecorded(self.repository, self.objects))
            self._scratch = Scratch(folder, b"come")
            stack.callback(self._scratch.close)
            self._records = stack.enter_context(SortedSpill(folder))
            self._here = stack.enter_context(SortedSpill(folder))
            self.facts = stack.enter_context(KeyFacts(folder))
            """What else the ledger shall be told, at the end."""
            self._writer = stack.enter_context(
                ObjectWriter(self.repository.common_dir, self.repository.object_format)
            )
            self._seen = index_state(self.repository)
            self._pointer_sizes: set[int] = set()
            self._unsaid: list[Key] = []
            self.count = 0
            """How many files were taken."""
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def folder(self) -> bytes:
        """Where to put the bytes of files that arrive; removed in the end with what is in it."""
        return self._scratch.path

    def take(self, batch: Sequence[Arrival]) -> Iterator[tuple[Arrival, HoldError | None]]:
        """Take files in, and say of each whether that went well. Not recorded before `finish`."""
        if any(one.file is not None for one in batch):
            sync_file_system(self.folder)
        self._note.add([one.key for one in batch if one.key is not None and one.file is not None])
        for one in batch:
            try:
                self._take(one)
            except HoldError as error:
                yield one, error
            except OSError as error:
                yield one, as_fault(error, os.fsdecode(one.path))
            else:
                yield one, None
        if self.facts.count >= _FACTS_MAX:
            self._tell_ledger()

    def finish(self, message: str) -> None:
        """Make the version and tell the ledger, in one step."""
        if not (self._records or self.facts or self._here):
            return
        waiting = Waiting(self.repository, self._pointer_sizes)
        commit(
            self.repository, self._writer, _Records(self._records), self._here, message,
            seen=self._seen, whole=False, look=waiting.look if self._pointer_sizes else None,
            facts=self.facts,
        )  # fmt: skip
        if self._pointer_sizes:
            waiting.fill(_Records(self._records))
        self._forget_note()

    def iter_recorded(self, action: str, same: Status = Status.NOT_NEEDED) -> Iterator[Outcome]:
        """All that was taken and recorded, by path; after `finish`.

        ``same`` is the status of what lay there already.
        """
        for record in _Records(self._records):
            key = Key(record.key) if record.key else None
            status = same if record.verb == SAME else Status.OK
            yield Outcome(action, status, os.fsdecode(record.path), key, record.size)

    def _tell_ledger(self) -> None:
        """Tell the ledger what is known so far; the version is still to be made."""
        repository, edits = self.repository, self.facts.iter_edits()
        if repository.private:
            set_location_logs(repository, self._here, repository.here, present=True)
        else:
            own = location_edits(self._here, repository.here, present=True)
            edits = merge(own, edits, key=path_of)
        record_sorted(repository, edits)
        folder = repository.annex_dir + b"/othertmp"
        self._here = self._stack.enter_context(SortedSpill(folder))
        self.facts = self._stack.enter_context(KeyFacts(folder))
        self._forget_note()

    def _forget_note(self) -> None:
        for key in self._unsaid:
            self._note.forget(key)
        self._unsaid.clear()

    def _take(self, one: Arrival) -> None:
        refusal = self.spots.refusal(one.path)
        if refusal is not None:
            raise refusal
        spot = self.spots.look(one.path)
        full = os.path.join(self.repository.top, one.path)
        same = spot.key == one.key if one.key is not None else _says(full, one.link)
        if spot.there and not same and not (one.over and spot.kept):
            raise faults.SPOT_TAKEN(path=os.fsdecode(one.path))
        if one.key is not None:
            self._put(one, one.key)
        if not (spot.there and same):
            self._place(one, full, spot.status)
        self._remember(one, full, was_there=spot.there and same)

    def _put(self, one: Arrival, key: Key) -> None:
        if one.file is not None:
            if self.objects.has(key):
                os.unlink(one.file)
            else:
                os.chmod(one.file, 0o555 if one.executable else 0o444)
                self.objects.put(key, one.file)
            self._unsaid.append(key)
        if self.objects.has(key):
            self._here.add(location_log(key))
            self._pointer_sizes.add(len(pointer(key)))

    def _place(self, one: Arrival, full: bytes, seen: os.stat_result | None) -> None:
        """Put a link, or an unlocked file, at the path, where nothing is or what was seen."""
        os.makedirs(os.path.dirname(full), exist_ok=True)
        temporary = self.folder + b"/link"
        key = one.key
        target = one.link if key is None else link_target(key, one.path.count(b"/"))
        try:
            if key is not None and self.rules.is_unlocked(one.path, one.size):
                self._make_unlocked(key, temporary, executable=one.executable)
            elif seen is None:
                os.symlink(target, full)
                return
            else:
                os.symlink(target, temporary)
            if seen is None:
                os.link(temporary, full)
            elif not take_place(temporary, full, seen):
                raise faults.SPOT_TAKEN(path=os.fsdecode(one.path))
        except FileExistsError:
            raise faults.SPOT_TAKEN(path=os.fsdecode(one.path)) from None
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)

    def _make_unlocked(self, key: Key, temporary: bytes, *, executable: bool) -> None:
        fill_in(temporary, key, self.objects)
        os.chmod(temporary, 0o755 if executable else 0o644)

    def _remember(self, one: Arrival, full: bytes, *, was_there: bool) -> None:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            mode, blob = LINK, os.readlink(full)
        else:
            assert one.key is not None
            mode, blob = EXECUTABLE if status.st_mode & stat.S_IXUSR else FILE, pointer(one.key)
        oid = self._writer.add(BLOB, blob)
        verb = "add"
        if self.spots.is_tracked(one.path):
            verb = SAME if was_there else "modify"
        record = Recorded.of(one.path, mode, oid, status, one.key, one.size, verb)
        order = self.count.to_bytes(_ORDER, "big")
        self._records.add(one.path + b"\0" + order + marshal.dumps(tuple(record)))
        self.count += 1


def _says(path: bytes, target: bytes) -> bool:
    """Whether a path is a link that says just this."""
    return os.path.islink(path) and os.readlink(path) == target


class _Records:
    """What was taken, by path; of what came to one path the last."""

    def __init__(self, spill: SortedSpill) -> None:
        self._spill = spill

    def __iter__(self) -> Iterator[Recorded]:
        last: Recorded | None = None
        for item in chain(self._spill, (None,)):
            record = None if item is None else _record(item)
            if last is not None and (record is None or record.path != last.path):
                yield last
            last = record


def _record(item: bytes) -> Recorded:
    return Recorded._make(marshal.loads(item[item.index(b"\0") + 1 + _ORDER :]))
