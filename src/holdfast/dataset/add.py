"""Staging: files of the folder go into the annex or git and into the index, no version is made."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

from ..core.key import Key
from ..core.outcome import Outcome, Status
from ..core.place import Place
from .changes import Change, Scan
from .checkout import fill_keys
from .commit import Recorded
from .index_file import clear_dead_locks, update_entries
from .ingest import Ingester
from .ledger_write import set_locations
from .objects import objects_of
from .packs import BLOB, ObjectWriter, sync_file_system
from .repository import Repository
from .rules import Rules
from .save import BLOCK, Taken, Taker, finish_block, iter_unreadable, spread, told_failure


def iter_add(
    repository: Repository,
    paths: Sequence[bytes] = (),
    *,
    to_git: bool = False,
    updated: bool = False,
    jobs: int = 2,
) -> Iterator[Outcome]:
    """Stage what is new or changed below some paths, or everywhere; tells of each when it is safe.

    What was deleted is left alone, and so are repositories in the repository. ``updated`` leaves
    out files that git does not know.
    """
    repository.check_writable()
    repository.check_plain_content()
    clear_dead_locks(repository)
    rules = Rules(repository, to_git=to_git)
    objects = objects_of(repository, Place(repository.here, "here"))
    scratch = repository.annex_dir + b"/othertmp"
    scan = Scan(repository, paths)
    changes = _iter_present(repository, scan, updated=updated)
    ingester = Ingester(repository.top, scratch, objects, rules.limits)
    with closing(ingester), ThreadPoolExecutor(jobs) as pool:
        taker = Taker(repository, rules, ingester)
        stored: set[Key] = set()
        while block := list(islice(changes, BLOCK)):
            wait: Callable[[], list[Taken]] = spread(pool, taker.take, block, jobs)
            taken = list(finish_block(repository, wait()))
            _stage(repository, [one for one in taken if one.error is None])
            stored.update(one.key for one in taken if one.stored and one.key is not None)
            yield from map(_told, taken)
    if stored:
        fill_keys(repository, stored)
    yield from map(_told, iter_unreadable(scan))


def _iter_present(repository: Repository, scan: Scan, *, updated: bool) -> Iterator[Change]:
    for change in scan.iter_changes(untracked=not updated):
        if change.in_folder:
            full = os.path.join(repository.top, change.path)
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                yield change


def _stage(repository: Repository, block: Sequence[Taken]) -> None:
    keys: list[Key] = []
    with ObjectWriter(repository.common_dir, repository.object_format) as writer:
        entries = []
        for one in block:
            oid = writer.add(BLOB, one.blob) if one.blob is not None else one.oid
            recorded = Recorded.of(one.path, one.mode, oid, one.status, one.key, 0, one.verb)
            entries.append((one.path, recorded.entry))
            if one.stored and one.key is not None:
                keys.append(one.key)
        writer.finish()
    if keys:
        sync_file_system(repository.annex_dir)
        set_locations(repository, keys, repository.here, present=True)
    update_entries(repository, entries)


def _told(taken: Taken) -> Outcome:
    if taken.error is not None:
        return told_failure(taken, "add")
    return Outcome("add", Status.OK, os.fsdecode(taken.path), key=taken.key, size=taken.size)
