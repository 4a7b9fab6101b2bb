"""Saving: changes of the folder become a new version, in one pass over what changed.

Reading and hashing need no lock and run in threads; then, under git's index lock and the journal
lock, index, trees, ledger and refs are written for the whole batch. Nothing is reported before it
is on the disk.
"""

from __future__ import annotations

import errno
import marshal
import os
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import IO, NamedTuple

from ..core import faults
from ..core.errors import HoldError
from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Place
from ..core.progress import Progress
from ..core.system_errors import as_fault
from ..wire.branch_paths import location_log
from ..wire.gitobjects import Oid, hash_object
from ..wire.pointer import key_of_link, link_target, pointer
from .annexed import TrackedFile, with_keys
from .changes import SUBMODULE_MODE, Change, IndexState, Scan
from .commit import SAME, Recorded, commit
from .filtered import iter_filtered_blobs
from .git import hex_oid
from .git_folder import link_git_folder
from .index_file import clear_dead_locks, index_state
from .ingest import Ingester
from .objects import objects_of
from .packs import BLOB, ObjectWriter
from .populate import matches
from .registering import Addition, register
from .repository import Repository
from .rules import Rules
from .scratch import using_scratch
from .sorted_spill import SortedSpill
from .submodules import head_of
from .waiting import Waiting

FILE, EXECUTABLE, LINK = b"100644", b"100755", b"120000"
BLOCK = 2048
_LARGE = 16 << 20
_IN_MEMORY = 4 << 20
_SPILL = 1024
_TRIES = 3
_PAUSE_S = 0.1


class Taken(NamedTuple):
    """What became of one change: how git shall have it, or why it was left out.

    Exactly one of these is set for content that is new: ``oid``, ``blob`` (bytes to store) or
    ``filtered`` (git has to read the file). None of them: the path is gone. ``in_head`` is what
    the last version has there.
    """

    path: bytes
    mode: bytes = b""
    oid: Oid | None = None
    blob: bytes | None = None
    filtered: bool = False
    status: os.stat_result | None = None
    key: Key | None = None
    size: int = 0
    stored: bool = False
    verb: str = "add"
    error: Exception | None = None
    in_head: IndexState | None = None
    staged: bool = False


@dataclass(frozen=True)
class SavePlan:
    """What to save and how."""

    paths: Sequence[bytes] = ()
    message: str | None = None
    to_git: bool = False
    updated: bool = False
    jobs: int = 2


@dataclass
class _Batch:
    """What was taken so far, spilled to disk when it is much."""

    file: IO[bytes]
    here: SortedSpill
    """The location logs of content that is here now."""
    verbs: Counter[str] = field(default_factory=Counter)
    same: int = 0
    """How many were only touched: the index is told, and nobody else."""
    pointer_sizes: set[int] = field(default_factory=set)
    """The sizes of the pointers to content that is here now: a handful, however much it is."""
    _open: list[tuple[object, ...]] = field(default_factory=list)
    _late: Recorded | None = None

    def add(self, record: Recorded) -> None:
        """Remember one thing that will be in the version."""
        self._open.append(tuple(record))
        if record.verb == SAME:
            self.same += 1
        else:
            self.verbs[record.verb] += 1
        if len(self._open) == _SPILL:
            self._spill()

    def add_late(self, record: Recorded) -> None:
        """Remember one thing out of order; it stands for what was taken of its path before."""
        if all(other.path != record.path or other.verb == SAME for other in self):
            self.verbs[record.verb] += 1
        self._late = record

    def _spill(self) -> None:
        block = marshal.dumps(self._open)
        self.file.seek(0, os.SEEK_END)
        self.file.write(len(block).to_bytes(8, "big") + block)
        self._open.clear()

    @property
    def count(self) -> int:
        """How many things the version changes."""
        return self.verbs.total()

    def message(self) -> str:
        """What to say of a version that nobody said anything of."""
        words = {"add": "added", "modify": "modified", "delete": "deleted"}
        return "Save " + ", ".join(f"{n} {words[verb]}" for verb, n in sorted(self.verbs.items()))

    def __iter__(self) -> Iterator[Recorded]:
        if self._late is None:
            return self._iter_in_order()
        path = self._late.path
        others = (record for record in self._iter_in_order() if record.path != path)
        return merge(others, (self._late,), key=lambda record: record.path)

    def _iter_in_order(self) -> Iterator[Recorded]:
        position = 0
        while True:
            self.file.seek(position)
            length = int.from_bytes(self.file.read(8), "big")
            if not length:
                break
            position += 8 + length
            yield from map(Recorded._make, marshal.loads(self.file.read(length)))
        yield from map(Recorded._make, self._open)


def iter_save(repository: Repository, plan: SavePlan, progress: Progress) -> Iterator[Outcome]:
    """Save what changed below some paths, or everywhere; tells of each file once it is safe."""
    repository.check_writable()
    repository.check_plain_content()
    if repository.adjusted_branch:
        raise faults.ADJUSTED(branch=repository.adjusted_branch)
    clear_dead_locks(repository)
    link_git_folder(repository)
    failures: list[Outcome] = []
    scratch = os.path.join(repository.annex_dir, b"othertmp")
    with (
        using_scratch(scratch),
        tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=os.fsdecode(scratch)) as file,
        SortedSpill(scratch) as here,
        ObjectWriter(repository.common_dir, repository.object_format) as writer,
    ):
        seen = index_state(repository)
        batch = _Batch(file, here)
        inside: list[Addition] = []
        for taken in _iter_taken(repository, plan, progress):
            if taken.error is not None:
                failures.append(told_failure(taken))
            else:
                _keep(taken, batch, writer)
                if taken.mode == SUBMODULE_MODE and taken.verb == "add":
                    inside.append(Addition(taken.path))
        if inside:
            register(repository, inside)
            batch.add_late(_list_of_modules(repository, writer))
        if batch.count or batch.same:
            message = plan.message or batch.message()
            whole = not plan.paths and not plan.updated and not failures
            waiting = Waiting(repository, batch.pointer_sizes)
            look = waiting.look if batch.here else None
            commit(
                repository, writer, batch, batch.here, message, seen=seen, whole=whole, look=look
            )
            if batch.here:
                waiting.fill(batch)
        yield from failures
        for record in batch:
            if record.verb != SAME:
                yield _saved(record)


def _keep(taken: Taken, batch: _Batch, writer: ObjectWriter) -> None:
    oid, verb = taken.oid, taken.verb
    if taken.blob is not None and taken.in_head is not None:
        oid = hash_object(b"blob", taken.blob, writer.format)
    # The last version has it so already: its file was touched, or its entry in the index.
    if oid is not None and taken.in_head == (taken.mode, oid):
        verb = SAME
    elif taken.blob is not None:
        oid = writer.add(BLOB, taken.blob)
    if taken.stored and taken.key is not None:
        batch.here.add(location_log(taken.key))
        batch.pointer_sizes.add(len(pointer(taken.key)))
    batch.add(Recorded.of(taken.path, taken.mode, oid, taken.status, taken.key, taken.size, verb))


def _list_of_modules(repository: Repository, writer: ObjectWriter) -> Recorded:
    """The file that names the repositories inside, as it is once they were written into it."""
    path = b".gitmodules"
    full = os.path.join(repository.top, path)
    with open(full, "rb") as file:
        oid = writer.add(BLOB, file.read())
    known = repository.git.run("ls-files", "-z", "--", path)
    status = os.lstat(full)
    verb = "modify" if known else "add"
    return Recorded.of(path, FILE, oid, status, None, status.st_size, verb)


def told_failure(taken: Taken, action: str = "save") -> Outcome:
    """What to say of a change that could not be taken in."""
    error = taken.error
    if not isinstance(error, HoldError):
        assert isinstance(error, OSError)
        name = os.fsdecode(taken.path)
        vanished = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
        error = faults.CHANGED_WHILE_READ(path=name) if vanished else _as_fault(error, name)
    return Outcome(action, Status.ERROR, os.fsdecode(taken.path), error=error, note=str(error))


def _as_fault(error: OSError, name: str) -> HoldError:
    file = error.filename
    reading = file is not None and os.path.lexists(file) and not os.access(file, os.R_OK)
    return as_fault(error, name, reading=reading)


def _saved(record: Recorded) -> Outcome:
    return Outcome(
        record.verb,
        Status.OK,
        os.fsdecode(record.path),
        key=Key(record.key) if record.key else None,
        size=record.size,
    )


def _iter_taken(repository: Repository, plan: SavePlan, progress: Progress) -> Iterator[Taken]:
    """Take in every change, in the order of the paths; hashing runs ahead in threads."""
    place = Place(repository.here, "here")
    scan = Scan(repository, plan.paths)
    changes = scan.iter_changes(untracked=not plan.updated)
    objects = objects_of(repository, place)
    rules = Rules(repository, to_git=plan.to_git)
    ingester = Ingester(repository.top, repository.annex_dir + b"/othertmp", objects, rules.limits)
    taker = Taker(repository, rules, ingester)
    with closing(ingester), ThreadPoolExecutor(plan.jobs) as pool:
        ahead: list[Callable[[], list[Taken]]] = []
        while True:
            block = list(islice(changes, BLOCK))
            if block:
                ahead.append(spread(pool, taker.take, block, plan.jobs))
            if ahead and (len(ahead) > 1 or not block):
                for taken in finish_block(repository, ahead.pop(0)()):
                    progress.advance(1, taken.size)
                    yield taken
            if not block and not ahead:
                break
    yield from iter_unreadable(scan)


def iter_unreadable(scan: Scan) -> Iterator[Taken]:
    """The folders that a scan, by now at its end, could not look into."""
    for path in sorted(scan.unreadable):
        error = OSError(errno.EACCES, "Permission denied")
        yield Taken(path, error=as_fault(error, os.fsdecode(path), reading=True))


def spread(
    pool: ThreadPoolExecutor, take: Callable[[Change], Taken], block: list[Change], jobs: int
) -> Callable[[], list[Taken]]:
    """Start taking a block in the pool; the result waits for it, in order."""
    size = max(1, min(64, len(block) // jobs or 1))
    parts = [block[start : start + size] for start in range(0, len(block), size)]
    futures = [pool.submit(lambda part=part: [take(c) for c in part]) for part in parts]  # type: ignore[misc]
    return lambda: [taken for future in futures for taken in future.result()]


def finish_block(repository: Repository, block: list[Taken]) -> Iterator[Taken]:
    """Let git read those files that its own filters apply to, and tell the keys of staged ones."""
    filtered = [taken.path for taken in block if taken.filtered]
    oids = dict(iter_filtered_blobs(repository, filtered)) if filtered else {}
    keys = _keys_of_staged(repository, block)
    for taken in block:
        if taken.filtered:
            yield taken._replace(oid=oids[taken.path])
        elif taken.path in keys:
            key = keys[taken.path]
            yield taken._replace(key=key, size=key.size or 0, stored=True)
        else:
            yield taken


def _keys_of_staged(repository: Repository, block: Sequence[Taken]) -> dict[bytes, Key]:
    """Of what is staged as the folder has it, the keys whose content is here.

    A killed save leaves it so, and the ledger was not told.
    """
    entries = [(t.path, t.mode, hex_oid(t.oid)) for t in block if t.staged and t.oid is not None]
    if not entries:
        return {}
    objects = objects_of(repository, Place(repository.here, "here"))
    files = with_keys(repository, entries)
    return {file.path: file.key for file in files if file.key and objects.has(file.key)}


class Taker:
    """Decides what one change is, and takes it in."""

    def __init__(self, repository: Repository, rules: Rules, ingester: Ingester) -> None:
        self._repository = repository
        self._top = repository.top + b"/"
        self._rules = rules
        self._ingester = ingester

    def take(self, change: Change) -> Taken:
        """One change; what goes wrong with it is told in ``error``."""
        for left in range(_TRIES - 1, -1, -1):
            before = _look(self._top + change.path)
            try:
                return self._take(change)._replace(in_head=change.in_head)
            except (HoldError, OSError) as error:
                # Another program may have saved it, or written to it, as we looked: look again.
                after = _look(self._top + change.path)
                if not left or (before == after and after is not None):
                    return Taken(change.path, error=error)
                if after is None:
                    # git-annex takes a file away for a moment before it puts the link there.
                    time.sleep(_PAUSE_S)
        raise AssertionError("the last try gives what came of it")

    def _take(self, change: Change) -> Taken:
        path = change.path
        if change.in_folder is None and change.in_index is not None:
            return self._take_staged(change, change.in_index)
        if not change.in_folder:
            return Taken(path, verb="delete")
        status = os.lstat(self._top + path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFLNK:
            return self._take_link(change, status)
        if kind == stat.S_IFREG:
            return self._take_file(change, status)
        if kind == stat.S_IFDIR:
            return self._take_repository(change)
        raise faults.NOT_A_FILE(path=os.fsdecode(path))

    def _take_staged(self, change: Change, staged: IndexState) -> Taken:
        """What the folder has as the index does; a link that `git mv` moved is set right first."""
        if staged.mode == LINK:
            status = os.lstat(self._top + change.path)
            # One that was unlocked meanwhile is no link any more: that is of the next version.
            is_link = stat.S_ISLNK(status.st_mode)
            target = os.readlink(self._top + change.path) if is_link else b""
            key = key_of_link(target) if b".git/annex/objects/" in target else None
            if key is not None and target != link_target(key, change.path.count(b"/")):
                return self._take_link(change, status)
        return Taken(change.path, staged.mode, staged.oid, verb=_verb(change), staged=True)

    def _take_link(self, change: Change, status: os.stat_result) -> Taken:
        path = change.path
        target = os.readlink(self._top + path)
        key = key_of_link(target) if b".git/annex/objects/" in target else None
        if key is not None:
            right = link_target(key, path.count(b"/"))
            if right != target:
                target = self._ingester.replace_by_link(path, status, key)
                status = os.lstat(self._top + path)
        here = key is not None and self._ingester.has(key)
        return Taken(
            path, LINK, blob=target, status=status, key=key, stored=here,
            size=(key.size or 0) if key else len(target), verb=_verb(change),
        )  # fmt: skip

    def _take_file(self, change: Change, status: os.stat_result) -> Taken:
        path = change.path
        mode = self._rules.mode(status, change.in_index)
        known = self._rules.key_in_index(change.in_index)
        if not self._rules.is_annexed(path, status.st_size):
            return self._take_into_git(change, status, mode)
        if known is not None or self._rules.is_unlocked(path, status.st_size):
            return self._take_unlocked(change, status, mode, known)
        backend = self._rules.backend(path)
        key, target = self._ingester.lock_in(path, status, backend)
        return Taken(
            path, LINK, blob=target, status=os.lstat(self._top + path), key=key,
            size=status.st_size, stored=True, verb=_verb(change),
        )  # fmt: skip

    def _take_unlocked(
        self, change: Change, status: os.stat_result, mode: bytes, known: Key | None
    ) -> Taken:
        path = change.path
        named = self._rules.pointer_in(path, status)
        if named is not None:
            return Taken(
                path, mode, blob=pointer(named), status=status, key=named, verb=_verb(change)
            )
        # A hash that may not be used any more stays with content that was only touched.
        if (
            known is not None
            and not self._rules.allows(known)
            and matches(self._top + path, TrackedFile(path, mode, b"", known))
        ):
            return Taken(
                path, mode, blob=pointer(known), status=status, key=known, size=status.st_size,
                stored=self._ingester.has(known), verb=_verb(change),
            )  # fmt: skip
        backend = self._rules.backend(path, known)
        key = self._ingester.copy_in(path, status, backend)
        return Taken(
            path, mode, blob=pointer(key), status=status, key=key, size=status.st_size,
            stored=True, verb=_verb(change),
        )  # fmt: skip

    def _take_into_git(self, change: Change, status: os.stat_result, mode: bytes) -> Taken:
        path = change.path
        taken = Taken(path, mode, status=status, size=status.st_size, verb=_verb(change))
        if status.st_size > _LARGE or self._rules.is_filtered(path):
            return taken._replace(filtered=True)
        with open(self._top + path, "rb", buffering=0) as file:
            data = file.read(status.st_size + 1)
            after = os.fstat(file.fileno())
        if len(data) != status.st_size or after.st_mtime_ns != status.st_mtime_ns:
            raise faults.CHANGED_WHILE_READ(path=os.fsdecode(path))
        return taken._replace(blob=data)

    def _take_repository(self, change: Change) -> Taken:
        path = change.path
        oid = head_of(self._repository, path)
        if oid is None:
            raise faults.EMPTY_REPOSITORY(path=os.fsdecode(path))
        status = os.lstat(self._top + path)
        return Taken(path, SUBMODULE_MODE, oid, status=status, verb=_verb(change))


def _look(path: bytes) -> tuple[int, int, int, int] | None:
    """Enough of a file to see whether somebody changed or replaced it; None when it is gone."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, stat.S_IFMT(status.st_mode)


def _verb(change: Change) -> str:
    return "add" if change.in_head is None else "modify"
